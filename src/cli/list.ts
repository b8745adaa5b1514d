/** What the commands that list something have in common: filters, forms, and `--watch`. */

import { lastText } from '../agent/config/flag-text.ts';
import { parseGoDuration } from '../agent/config/go-duration.ts';
import type { FlagValues } from '../agent/config/kube-proxy-flags.ts';
import type { ListTextOptions } from '../agent/debug/lists/text.ts';
import type { Listing } from '../agent/debug/lists/values.ts';
import { prettyJson } from '../util/json.ts';
import type { Declaration } from './declaration.ts';
import type { CommandEffects } from './effects.ts';
import { declareOutput, type Output, outputOf } from './output-flag.ts';
import { declareRunDir, plain, type QuestionEffects, textFlags } from './question.ts';
import { UsageError } from './usage.ts';

export type ListEffects = QuestionEffects & Pick<CommandEffects, 'clock' | 'wait' | 'isScreen'>;

const DEFAULT_INTERVAL_MS = 2_000;
const LEAST_INTERVAL_MS = 500;
const MOST_INTERVAL_MS = 3_600_000;
/** Between two looks there is this many times what the last one took. */
const REST_FACTOR = 10;
/** Home, then away with what is below. */
const REDRAW = '\u001b[H\u001b[J';
const CLEAR = '\u001b[2J';
const MOST_ITEMS = 1_000_000;

export interface ListFlagChoice {
  readonly hasNamespace?: boolean;
  /** It comes in parts. */
  readonly isLong?: boolean;
}

/** `--output`, `--watch` and `--interval`, and those filters that are natural. */
export function declareListFlags(
  declaration: Declaration,
  { hasNamespace = false, isLong = false }: ListFlagChoice = {},
): Declaration {
  const text = textFlags(declaration);
  if (hasNamespace) text('namespace', 'Of this namespace alone [default: of all]');
  if (isLong) text('limit', 'At most about so many [default: all]');
  declareOutput(declaration, 'text, wide or json');
  declaration.option('watch', { type: 'boolean', describe: 'Print it again whenever it differs' });
  text('interval', 'How often --watch looks, from 500ms [default: 2s]');
  return declareRunDir(declaration);
}

/** What is asked about: `--namespace`, and the word behind the command. */
export function wantedOf(flags: FlagValues): {
  readonly namespace?: string;
  readonly name?: string;
} {
  const namespace = lastText(flags['namespace']);
  const name = lastText(flags['NAME']);
  return {
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
  };
}

/** A part of a list that comes after a key. */
export interface PartRequest {
  readonly after?: string;
  readonly limit?: number;
}

/** All parts of a long list, or as many as `--limit` asks for. Throws UsageError. */
export async function allParts<T>(
  flags: FlagValues,
  ask: (part: PartRequest) => Promise<Listing<T>>,
): Promise<Listing<T>> {
  const most = limitOf(flags);
  const items: T[] = [];
  for (let after: string | undefined; ; ) {
    const limit = most === undefined ? {} : { limit: most - items.length };
    const part = await ask({ ...(after === undefined ? {} : { after }), ...limit });
    items.push(...part.items);
    after = part.next;
    const { total, isOnRecord } = part;
    const origin = isOnRecord === undefined ? {} : { isOnRecord };
    if (after === undefined) return { items, total, ...origin };
    if (items.length >= (most ?? MOST_ITEMS)) return { items, total, next: after };
  }
}

function limitOf(flags: FlagValues): number | undefined {
  const text = lastText(flags['limit']);
  if (text === undefined) return undefined;
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit > 0) return limit;
  throw new UsageError(`--limit: expected a number from 1 to 999999, found "${text}"`);
}

/** Prints an answer in the form that is asked for; with `--watch` again whenever it differs, until ended. */
export async function printList<T>(
  flags: FlagValues,
  effects: ListEffects,
  look: () => Promise<T>,
  toText: (answer: T, options: ListTextOptions) => string,
): Promise<number> {
  const output = outputOf(flags);
  const intervalMs = intervalOf(flags);
  const render = async () => {
    const answer = await look();
    const options = { isWide: output === 'wide', nowMs: effects.clock.now() };
    if (output !== 'json') return plain(toText(answer, options));
    return flags['watch'] === true ? `${JSON.stringify(answer)}\n` : prettyJson(answer);
  };
  if (flags['watch'] !== true) {
    effects.print(await render());
    return 0;
  }
  const screen = screenOf(output, effects);
  for (;;) {
    const startedAtMs = effects.clock.elapsed();
    screen(await render());
    const tookMs = effects.clock.elapsed() - startedAtMs;
    await effects.wait(Math.max(intervalMs, REST_FACTOR * tookMs));
  }
}

/** On a terminal the new text takes the place of the old one; elsewhere it follows. */
function screenOf(output: Output, { isScreen, print }: ListEffects): (text: string) => void {
  let last: string | undefined;
  return (text) => {
    if (text === last) return;
    const isRedrawn = isScreen && output !== 'json';
    const redraw = last === undefined ? `${CLEAR}${REDRAW}` : REDRAW;
    print(isRedrawn ? redraw + text : text);
    last = text;
  };
}

function intervalOf(flags: FlagValues): number {
  const text = lastText(flags['interval']);
  if (text === undefined) return DEFAULT_INTERVAL_MS;
  if (flags['watch'] !== true) {
    throw new UsageError('--interval says how often --watch looks; add --watch');
  }
  const intervalMs = parseGoDuration(text) ?? 0;
  if (intervalMs >= LEAST_INTERVAL_MS && intervalMs <= MOST_INTERVAL_MS) return intervalMs;
  throw new UsageError(`--interval: expected a duration from 500ms to 1h, found "${text}"`);
}
