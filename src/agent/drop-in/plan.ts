/** What `weft install --drop-in` and its `--undo` do with each name in the CNI directory. */
import { WeftError } from '../../util/errors.ts';

/** One name in the directory as it is now. */
export interface Seat {
  readonly name: string;
  /** What is executed under the name: nothing, weft, or another program. */
  readonly current: 'absent' | 'weft' | 'other';
  /** `<name>.weft-saved`: absent, with the bytes of the current program, or with others. */
  readonly saved: 'absent' | 'same' | 'different';
  /** What an earlier install noted: it kept an original, or there was none. Undefined: no note. */
  readonly noted: 'saved' | 'created' | undefined;
}

/** Names that stay with whoever has them, and why. */
export type Refused = ReadonlyMap<string, readonly string[]>;

/** `replace` overwrites what is kept already; `forget` removes a copy of what is in place again. */
export type Action = 'create' | 'save' | 'replace' | 'restore' | 'remove' | 'forget' | 'none';

export interface Step {
  readonly name: string;
  readonly action: Action;
  /** Why a name is not taken, or what fails under one that was taken before. */
  readonly reasons?: readonly string[];
}

/** Throws WeftError DROP_IN, naming every obstacle, when an original would be lost. */
export function planInstall(seats: readonly Seat[], refused: Refused = new Map()): readonly Step[] {
  refuse(
    seats
      .filter(({ name }) => !refused.has(name))
      .filter(({ current, saved }) => current === 'other' && saved === 'different'),
    ({ name }) =>
      `${name} and ${savedName(name)} are two different programs; keep one of them elsewhere`,
  );
  return seats.map(({ name, current, saved }): Step => {
    const reasons = refused.get(name);
    if (reasons !== undefined) return { name, action: 'none', reasons };
    if (current === 'weft') return { name, action: 'none' };
    if (current === 'absent') return { name, action: 'create' };
    return { name, action: saved === 'same' ? 'replace' : 'save' };
  });
}

/** Throws WeftError DROP_IN, naming every obstacle, when an original that was kept is missing. */
export function planUndo(seats: readonly Seat[]): readonly Step[] {
  refuse(
    seats.filter(
      ({ current, saved, noted }) =>
        current === 'weft' && saved === 'absent' && noted !== 'created',
    ),
    ({ name }) => `${savedName(name)} is missing; install the original ${name} instead`,
  );
  return seats.map(({ name, current, saved }): Step => {
    if (current === 'other') return { name, action: saved === 'same' ? 'forget' : 'none' };
    if (saved !== 'absent') return { name, action: 'restore' };
    return { name, action: current === 'weft' ? 'remove' : 'none' };
  });
}

/** Where the original of a name is kept, in the same directory. */
export function savedName(name: string): string {
  return `${name}.weft-saved`;
}

function refuse(seats: readonly Seat[], reason: (seat: Seat) => string): void {
  if (seats.length === 0) return;
  const reasons = seats.map(reason).join('\n');
  throw new WeftError('DROP_IN', `nothing was changed:\n${reasons}`);
}
