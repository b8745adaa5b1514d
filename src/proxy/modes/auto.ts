import { IoError, toError } from '../../util/errors.ts';
import type { OpenedMode } from './mode.ts';
import { MODES, type ModeName, RULES, type RulesKind } from './names.ts';

/** A mode that was not taken, and why. */
export interface PassedOver {
  readonly mode: ModeName;
  readonly reason: string;
}

/** The mode an agent works in and how it came to it; for people. */
export interface ModeChoice {
  readonly mode: ModeName;
  readonly reason: string;
  readonly passedOver: readonly PassedOver[];
}

export interface ChosenMode {
  readonly opened: OpenedMode;
  readonly choice: ModeChoice;
}

/** Serves where nothing else does: never a reason to stay. */
const LAST_RESORT: ModeName = 'userspace';

/**
 * Opens the first mode that this node can do, beginning with the one whose rules are on record: as
 * long as it works a node does not change its way. Opening changes nothing. Throws IoError with the
 * reasons of all when there is none.
 */
export async function chooseMode(options: {
  /** Throws what the node lacks. */
  readonly open: (mode: ModeName) => OpenedMode | Promise<OpenedMode>;
  readonly recorded: ReadonlySet<RulesKind>;
}): Promise<ChosenMode> {
  const kept = modeOnRecord(options.recorded);
  const passedOver: PassedOver[] = [];
  for (const mode of kept === undefined ? MODES : [kept, ...without(kept)]) {
    try {
      const opened = await options.open(mode);
      const choice = { mode, reason: reasonFor(mode, kept, passedOver), passedOver };
      return { opened, choice };
    } catch (thrown) {
      passedOver.push({ mode, reason: toError(thrown).message });
    }
  }
  const reasons = passedOver.map(({ mode, reason }) => `${mode}: ${reason}`);
  throw new IoError(`proxy mode auto: this node can do none\n${reasons.join('\n')}`);
}

/** Undefined when there is none, or more than one of a start that was cut short. */
function modeOnRecord(recorded: ReadonlySet<RulesKind>): ModeName | undefined {
  const modes = new Set(Array.from(recorded, (kind) => RULES[kind].mode));
  const [mode] = modes;
  return modes.size === 1 && mode !== LAST_RESORT ? mode : undefined;
}

function without(mode: ModeName): readonly ModeName[] {
  return MODES.filter((other) => other !== mode);
}

function reasonFor(
  mode: ModeName,
  kept: ModeName | undefined,
  { length }: readonly PassedOver[],
): string {
  if (mode === kept) return 'auto: its rules are on this node already, and it works';
  return length === 0 ? 'auto: the first choice works' : 'auto: the first that works';
}
