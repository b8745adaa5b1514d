/** What `weft connectivity-test` does: connections from pods of this node, one after the other. */

import { randomBytes } from 'node:crypto';
import { lastText } from '../../agent/config/flag-text.ts';
import { parseGoDuration } from '../../agent/config/go-duration.ts';
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import type { ExplainAnswer } from '../../agent/debug/explain.ts';
import type {
  ListedEndpoint,
  ListedPod,
  ListedService,
  Listing,
  NodesAnswer,
} from '../../agent/debug/lists/values.ts';
import type { DebugRequest } from '../../agent/debug/protocol.ts';
import type { AgentStatus } from '../../agent/status/values.ts';
import { type IP, tryParseIP } from '../../net/ip.ts';
import { toError } from '../../util/errors.ts';
import { prettyJson } from '../../util/json.ts';
import type { CommandEffects } from '../effects.ts';
import { wantsJson } from '../output-flag.ts';
import { ask, plain, type QuestionEffects, runDirOf } from '../question.ts';
import { UsageError } from '../usage.ts';
import {
  type CheckResult,
  type ConnectivityCheck,
  failedCheck,
  judge,
  type Plan,
  requestOf,
} from './checks.ts';
import { type ClusterApi, type Made, otherNodes, withTestObjects } from './cluster.ts';
import { DEFAULT_COMMAND, DEFAULT_IMAGE } from './defaults.ts';
import { NAMESPACE_PREFIX, planMade } from './objects.ts';
import { planFound } from './plan.ts';
import { resultText, skippedText, summaryText } from './text.ts';

const DEFAULT_TIMEOUT_MS = 120_000;
const MOST_TIMEOUT_MS = 600_000;
const MOST_NODES = 20;
/** Until the agent has heard of what was made. */
const AGENT_MS = 30_000;
const POLL_MS = 200;

export type ConnectivityEffects = QuestionEffects &
  Pick<CommandEffects, 'clock' | 'wait' | 'openApi' | 'onInterrupt' | 'lockConnectivityTest'>;

/** 0: all is as it should be, 1: something is not, 2: nothing could be tried. Throws UsageError. */
export async function runConnectivityTest(
  flags: FlagValues,
  effects: ConnectivityEffects,
): Promise<number> {
  const settings = readSettings(flags);
  const say = settings.isJson ? () => {} : (text: string) => effects.print(plain(text));
  const tryAll: OwnParts['tryAll'] = (plan, signal) =>
    tryPlan(plan, { flags, effects, say, signal });
  const { plan, results } =
    settings.kubeconfig === undefined
      ? await tryAll(planFound(await readFound(flags, effects, settings.outside)))
      : await tryOwn(settings, settings.kubeconfig, { flags, effects, say, tryAll });
  if (settings.isJson) effects.print(prettyJson({ results, skipped: plan.skipped }));
  say(summaryText(results));
  if (results.length === 0) return 2;
  return results.every(({ isGood }) => isGood) ? 0 : 1;
}

interface Tried {
  readonly plan: Plan;
  readonly results: readonly CheckResult[];
}

type Settings = ReturnType<typeof readSettings>;

interface OwnParts {
  readonly flags: FlagValues;
  readonly effects: ConnectivityEffects;
  readonly say: (text: string) => void;
  readonly tryAll: (plan: Plan, signal?: AbortSignal) => Promise<Tried>;
}

/** One at a time on a node: what another one has made is not taken for what a killed one has left. */
async function tryOwn(settings: Settings, kubeconfig: string, parts: OwnParts): Promise<Tried> {
  const { flags, effects } = parts;
  // The agent answers a request of this command with this shape.
  const status = (await ask(flags, { command: 'status' }, effects)) as AgentStatus;
  const unlock = await effects.lockConnectivityTest(runDirOf(flags, effects));
  try {
    return await tryMade(settings, { kubeconfig, status }, parts);
  } finally {
    unlock();
  }
}

async function tryMade(
  { image, command, nodes, timeoutMs, outside }: Settings,
  { kubeconfig, status }: { readonly kubeconfig: string; readonly status: AgentStatus },
  { flags, effects, say, tryAll }: OwnParts,
): Promise<Tried> {
  const api: ClusterApi = await effects.openApi(kubeconfig);
  const stop = new AbortController();
  const forget = effects.onInterrupt(() => stop.abort(new UsageError('interrupted')));
  try {
    const { clock, wait } = effects;
    const around = {
      ...{ api, signal: stop.signal, print: say },
      ...{ now: () => clock.elapsed(), wait },
    };
    const namespace = `${NAMESPACE_PREFIX}${randomBytes(3).toString('hex')}`;
    const others = await otherNodes(around, status.node, nodes);
    const own = { namespace, image, command, thisNode: status.node, otherNodes: others };
    return await withTestObjects(own, timeoutMs, around, async (made) => {
      const hasPolicies = status.components.includes('policy');
      await agentKnows(made, flags, effects, stop.signal);
      return tryAll(planMade({ ...made, outside, hasPolicies }), stop.signal);
    });
  } catch (thrown) {
    // What was under way then fails for that reason.
    stop.signal.throwIfAborted();
    throw thrown;
  } finally {
    forget();
    api.close();
  }
}

/** Until the agent leads the client to the endpoints of the Service. */
async function agentKnows(
  { pods, clusterIPs }: Made,
  flags: FlagValues,
  effects: ConnectivityEffects,
  signal: AbortSignal,
): Promise<void> {
  const [source] = pods.get('client') ?? [];
  const destination = clusterIPs.find((ip) => ip.includes(':') === source?.includes(':'));
  if (source === undefined || destination === undefined) return;
  const packet = { source, destination, port: 80, protocol: 'tcp' } as const;
  const request = { command: 'explain', packet };
  for (const endMs = effects.clock.elapsed() + AGENT_MS; effects.clock.elapsed() < endMs; ) {
    signal.throwIfAborted();
    const { explanation, pending } = (await ask(flags, request, effects)) as ExplainAnswer;
    if (explanation.verdict.kind === 'dnat' && pending === 0) return;
    await effects.wait(POLL_MS);
  }
}

interface Trying extends Pick<OwnParts, 'flags' | 'say'> {
  readonly effects: QuestionEffects;
  /** Aborted: nothing more is tried. */
  readonly signal: AbortSignal | undefined;
}

async function tryPlan(plan: Plan, { flags, effects, say, signal }: Trying): Promise<Tried> {
  const results: CheckResult[] = [];
  for (const check of plan.checks) {
    signal?.throwIfAborted();
    const result = await tryCheck(check, flags, effects);
    results.push(result);
    say(resultText(result));
  }
  for (const skipped of plan.skipped) say(skippedText(skipped));
  return { plan, results };
}

/** A datagram may be lost: nobody sends it again. */
async function tryCheck(
  check: ConnectivityCheck,
  flags: FlagValues,
  effects: QuestionEffects,
): Promise<CheckResult> {
  let result = await tryOnce(check, flags, effects);
  if (!result.isGood && check.protocol === 'udp') result = await tryOnce(check, flags, effects);
  return result;
}

async function tryOnce(
  check: ConnectivityCheck,
  flags: FlagValues,
  effects: QuestionEffects,
): Promise<CheckResult> {
  try {
    // As above.
    return judge(check, (await ask(flags, requestOf(check), effects)) as ExplainAnswer);
  } catch (thrown) {
    return failedCheck(check, toError(thrown).message);
  }
}

async function readFound(
  flags: FlagValues,
  effects: QuestionEffects,
  outside: Settings['outside'],
) {
  const list = async <T>(request: DebugRequest) => {
    // The agent answers a request of a list with this shape.
    const { items } = (await ask(flags, request, effects)) as Listing<T>;
    return items;
  };
  return {
    pods: await list<ListedPod>({ command: 'pods' }),
    services: await list<ListedService>({ command: 'services' }),
    endpoints: await list<ListedEndpoint>({ command: 'endpoints' }),
    nodeAddresses: await readNodeAddresses(flags, effects),
    outside,
  };
}

/** Known where the fabric runs. */
async function readNodeAddresses(
  flags: FlagValues,
  effects: QuestionEffects,
): Promise<readonly IP[]> {
  try {
    // As above.
    const { items } = (await ask(flags, { command: 'nodes' }, effects)) as NodesAnswer;
    return items.find(({ isThis }) => isThis)?.addresses ?? [];
  } catch {
    return [];
  }
}

function readSettings(flags: FlagValues) {
  const kubeconfig = lastText(flags['kubeconfig']);
  const nodesText = lastText(flags['nodes']) ?? '3';
  const nodes = /^\d{1,2}$/.test(nodesText) ? Number(nodesText) : -1;
  if (nodes < 0 || nodes > MOST_NODES) {
    throw new UsageError(
      `--nodes: expected a number from 0 to ${MOST_NODES}, found "${nodesText}"`,
    );
  }
  const timeoutText = lastText(flags['timeout']);
  const timeoutMs = timeoutText === undefined ? DEFAULT_TIMEOUT_MS : parseGoDuration(timeoutText);
  if (timeoutMs === undefined || timeoutMs <= 0 || timeoutMs > MOST_TIMEOUT_MS) {
    throw new UsageError(`--timeout: expected a duration up to 10m, found "${timeoutText}"`);
  }
  const made = ['image', 'server-command', 'nodes', 'timeout'].find((name) => name in flags);
  if (kubeconfig === undefined && made !== undefined) {
    throw new UsageError(`--${made} is for pods that are made; add --kubeconfig`);
  }
  const words = (lastText(flags['server-command']) ?? DEFAULT_COMMAND).split(' ');
  return {
    ...{ kubeconfig, nodes, timeoutMs, isJson: wantsJson(flags) },
    image: lastText(flags['image']) ?? DEFAULT_IMAGE,
    command: words.filter((word) => word !== ''),
    outside: parseOutside(lastText(flags['outside']) ?? ''),
  };
}

function parseOutside(text: string): readonly { readonly ip: IP; readonly port: number }[] {
  return text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const [, six, four = '', portText = ''] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(part) ?? [];
      const ip = tryParseIP(six ?? four);
      const port = Number(portText);
      if (ip !== undefined && port >= 1 && port <= 65_535) return { ip, port };
      throw new UsageError(
        `--outside: expected 192.0.2.1:443 or [2001:db8::1]:443, found "${part}"`,
      );
    });
}
