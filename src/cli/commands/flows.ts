/** `weft flows`: connections of this node with names, as they are and as they come and go. */
import { lastText } from '../../agent/config/flag-text.ts';
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import type { FlowsRequest, MoreFlowsRequest } from '../../agent/debug/questions/flows.ts';
import type { FlowEvent, FlowQuery } from '../../agent/flows/flow-event.ts';
import type { FlowAnswer } from '../../agent/flows/flow-reader.ts';
import { flowText, lossText, noticeText } from '../../agent/flows/flow-text.ts';
import type { Command } from '../command.ts';
import type { CommandEffects } from '../effects.ts';
import { declareOutput, type Output, outputOf } from '../output-flag.ts';
import { ask, declareRunDir, plain, type QuestionEffects, textFlags } from '../question.ts';
import { UsageError } from '../usage.ts';

type FlowEffects = QuestionEffects & Pick<CommandEffects, 'wait' | 'printError'>;

const EPILOGUE = `Prints the connections of this node as the kernel tracks them, with the names of pods, Services and nodes,
then, with --follow, those that begin, end, are denied by a policy or refused. Of a connection to a Service
the endpoint is in parentheses. Bytes and duration are there for connections that began while somebody
followed, or where the sysctls nf_conntrack_acct and nf_conntrack_timestamp were on before.

Flags narrow down what is printed; each has to match, on either side. Connections between nodes alone
are left out without --node. With --output json each event is one line; docs/flows.md has the fields.

Examples:
  weft flows --follow --namespace shop
  weft flows --service shop/web --output json --follow
  weft flows --dropped --follow`;

const FOLLOW_EVERY_MS = 250;
const NAME = /^[^/:\s]+\/[^/:\s]+$/;
const MOST_LAST = 100_000;

export const flowsCommand: Command = {
  name: 'flows',
  describe: 'Tell which connections there are, begin, end or fail on this node',
  declare: (declaration) => {
    declaration.usage('weft flows [flags]').epilogue(EPILOGUE);
    const text = textFlags(declaration);
    const flag = (name: string, describe: string) =>
      declaration.option(name, { type: 'boolean', describe });
    flag('follow', 'Go on with what happens from now on');
    text('pod', 'Only those of a pod: NAME in --namespace, or NAMESPACE/NAME');
    text('service', 'Only those to a Service: NAME in --namespace, or NAMESPACE/NAME');
    text('namespace', 'Only those of pods or Services in a namespace');
    flag('node', 'Only those of the node itself');
    flag('dropped', 'Only those that failed: denied, refused, unanswered');
    text('last', 'Of what is there already, only so many: those told last');
    declareOutput(declaration, 'text, wide (one line each, with addresses) or json');
    return declareRunDir(declaration);
  },
  run: runFlows,
};

/** With `--follow` until somebody ends it, or the agent does. */
export async function runFlows(flags: FlagValues, effects: FlowEffects): Promise<number> {
  const query = queryOf(flags);
  const isFollowed = flags['follow'] === true;
  const printer = new Printer(outputOf(flags), lastOf(flags), effects);
  const first: FlowsRequest = { command: 'flows', query, isFollowed };
  // The agent answers a request of these commands with this shape.
  let answer = (await ask(flags, first, effects)) as FlowAnswer;
  for (;;) {
    printer.take(answer);
    if (answer.isDone) break;
    if (!answer.hasMore) await effects.wait(FOLLOW_EVERY_MS);
    const more: MoreFlowsRequest = { command: 'more flows', reader: answer.reader };
    // As above.
    answer = (await ask(flags, more, effects)) as FlowAnswer;
  }
  if (printer.isEmpty) effects.printError('no such connection\n');
  return 0;
}

/** Prints answers; of what was there at the beginning only the last, where so many are asked for. */
class Printer {
  readonly #format: Output;
  readonly #last: number | undefined;
  readonly #effects: FlowEffects;
  #held: readonly FlowEvent[] = [];
  #isListed = false;
  isEmpty = true;

  constructor(format: Output, last: number | undefined, effects: FlowEffects) {
    this.#format = format;
    this.#last = last;
    this.#effects = effects;
  }

  take({ events, notices, isListed, lost, overwritten }: FlowAnswer): void {
    for (const notice of notices) this.#effects.printError(plain(noticeText(notice)));
    if (this.#last === undefined || this.#isListed) {
      this.#print(events);
    } else {
      this.#held = this.#last === 0 ? [] : [...this.#held, ...events].slice(-this.#last);
      if (isListed) this.#print(this.#held);
      this.#isListed = isListed;
    }
    if (lost + overwritten === 0) return;
    if (this.#format === 'json')
      this.#effects.print(`${JSON.stringify({ kind: 'lost', lost, overwritten })}\n`);
    else this.#effects.print(lossText({ lost, overwritten }));
  }

  #print(events: readonly FlowEvent[]): void {
    if (events.length === 0) return;
    this.isEmpty = false;
    const isWide = this.#format === 'wide';
    const textOf = (event: FlowEvent) =>
      this.#format === 'json' ? `${JSON.stringify(event)}\n` : plain(flowText(event, { isWide }));
    this.#effects.print(events.map(textOf).join(''));
  }
}

function lastOf(flags: FlagValues): number | undefined {
  const text = lastText(flags['last']);
  if (text === undefined) return undefined;
  const last = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (last <= MOST_LAST) return last;
  throw new UsageError(`--last: expected a number up to ${MOST_LAST}, found "${text}"`);
}

function queryOf(flags: FlagValues): FlowQuery {
  const namespace = lastText(flags['namespace']);
  const pod = nameOf(flags, 'pod', namespace);
  const service = nameOf(flags, 'service', namespace);
  return {
    ...(pod === undefined ? {} : { pod }),
    ...(service === undefined ? {} : { service }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(flags['node'] === true ? { isNode: true } : {}),
    ...(flags['dropped'] === true ? { isDropped: true } : {}),
  };
}

/** `namespace/name`, also where the namespace has a flag of its own. */
function nameOf(
  flags: FlagValues,
  flag: 'pod' | 'service',
  namespace: string | undefined,
): string | undefined {
  const text = lastText(flags[flag]);
  if (text === undefined || NAME.test(text)) return text;
  const name = `${namespace ?? ''}/${text}`;
  if (NAME.test(name)) return name;
  throw new UsageError(
    `--${flag}: expected NAMESPACE/NAME, or NAME and --namespace, found "${text}"`,
  );
}
