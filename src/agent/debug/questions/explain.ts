import { join } from 'node:path';
import { openHostPortStore } from '../../../cni/portmap/store.ts';
import { ipFamily } from '../../../net/ip.ts';
import { wire } from '../../../netlink/wire.ts';
import type { Packet } from '../../../proxy/verdict/explanation.ts';
import { errorCode } from '../../../util/errors.ts';
import { readFilterTables } from '../../foreign/read-filter-tables.ts';
import type { ProxyComponent } from '../../proxy/component.ts';
import { lookUpPod, lookUpSelection } from '../explain/api-lookup.ts';
import {
  hasCause,
  serviceWithoutPods,
  withFindings,
  withSelection,
} from '../explain/better-causes.ts';
import { explainLive } from '../explain/live/live.ts';
import { CONTENTS, type Content } from '../explain/live/send.ts';
import { partyNamed } from '../explain/named-parties.ts';
import { openNode } from '../explain/open-node.ts';
import {
  type ExplainAnswer,
  type ExplainedPacket,
  type ExplainSources,
  explain,
} from '../explain.ts';
import {
  asObject,
  DebugRequestError,
  type Fields,
  parseAddress,
  parseInterface,
  parseName,
  parseProtocol,
} from '../fields.ts';
import type { NamedPacket, NamedParty } from '../named-packet.ts';
import { podMasqueradesOf } from '../pod-masquerades.ts';
import { type DebugRequest, MOST_LIVE_MS } from '../protocol.ts';
import type { Question } from '../question.ts';
import { type DebugSubjects, requireProxy } from '../subjects.ts';

export interface ExplainRequest extends DebugRequest, ExplainedPacket {
  readonly command: 'explain';
  readonly liveTimeoutMs: number | undefined;
  readonly content?: Content | undefined;
}

/** Answered with an ExplainAnswer. */
export const explainQuestion: Question<ExplainRequest> = {
  command: 'explain',
  parse: (fields) => ({
    command: 'explain',
    packet: parseAnyPacket(asObject(fields['packet'], 'packet')),
    liveTimeoutMs: parseLiveTimeout(fields['liveTimeoutMs']),
    ...parseContent(fields['content']),
  }),
  answer: answerExplain,
};

function parseAnyPacket(fields: Fields): Packet | NamedPacket {
  return 'from' in fields || 'to' in fields ? parseNamedPacket(fields) : parsePacket(fields);
}

function parseNamedPacket(fields: Fields): NamedPacket {
  const inInterface = parseInterface(fields['inInterface']);
  return {
    from: parseName(fields['from'], 'from'),
    to: parseName(fields['to'], 'to'),
    port: parseName(fields['port'], 'port'),
    protocol: parseProtocol(fields['protocol']),
    ...(inInterface === undefined ? {} : { inInterface }),
  };
}

function parsePacket(fields: Fields): Packet {
  const source = parseAddress(fields['source'], 'source');
  const destination = parseAddress(fields['destination'], 'destination');
  if (ipFamily(source) !== ipFamily(destination)) {
    throw new DebugRequestError(`source ${source} and destination ${destination}: two families`);
  }
  const protocol = parseProtocol(fields['protocol']);
  const port = fields['port'];
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new DebugRequestError('port: expected a number from 1 to 65535');
  }
  const inInterface = parseInterface(fields['inInterface']);
  const packet = { source, destination, protocol, port };
  return inInterface === undefined ? packet : { ...packet, inInterface };
}

function parseContent(value: unknown): { readonly content?: Content } {
  if (value === undefined) return {};
  const content = CONTENTS.find((each) => each === value);
  if (content !== undefined) return { content };
  throw new DebugRequestError(`content: expected one of ${CONTENTS.join(', ')}`);
}

function parseLiveTimeout(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !(value > 0 && value <= MOST_LIVE_MS)) {
    throw new DebugRequestError(`liveTimeoutMs: expected more than 0 and at most ${MOST_LIVE_MS}`);
  }
  return value;
}

async function answerExplain(
  request: ExplainRequest,
  subjects: DebugSubjects,
  signal: AbortSignal,
): Promise<ExplainAnswer> {
  const proxy = requireProxy('explain', subjects);
  const answer = await explainNamed(request, subjects, proxy, signal);
  const whyNot = subjects.policy?.whyNotReady() ?? '';
  const unenforced = whyNot === '' ? [] : [`policies do not hold on this node: ${whyNot}`];
  const doubts = [...(answer.doubts ?? []), ...proxy.problems(), ...unenforced];
  return improved({ ...answer, doubts }, subjects, signal);
}

/** Pods that the agent does not follow are asked of the API server, once. */
async function explainNamed(
  request: ExplainRequest,
  subjects: DebugSubjects,
  proxy: ProxyComponent,
  signal: AbortSignal,
): Promise<ExplainAnswer> {
  const found = new Map<string, NamedParty>();
  const sources = sourcesOf(subjects, proxy, (name) => found.get(name));
  try {
    return await explain(request, sources, signal);
  } catch (thrown) {
    const { packet } = request;
    const { client } = subjects;
    if (errorCode(thrown) !== 'ENOENT' || !('from' in packet) || client === undefined) throw thrown;
    for (const name of [packet.from, packet.to]) {
      const party = await lookUpPod(name, client, signal);
      if (party !== undefined) found.set(name, party);
    }
    if (found.size === 0) throw thrown;
    return await explain(request, sources, signal);
  }
}

function sourcesOf(
  { records, fabric, policy, context }: DebugSubjects,
  proxy: ProxyComponent,
  lookedUp: (name: string) => NamedParty | undefined,
): ExplainSources {
  const { clock, podMasquerade, config } = context;
  const hostPorts = openHostPortStore(join(config.runDir, 'hostports'), {
    ...{ flock: wire.flock, timeoutMs: 0 },
  });
  return {
    snapshots: proxy.snapshots,
    openNode: () => {
      return openNode({ records: () => records.list(), hostPorts: hostPorts.records, fabric });
    },
    mode: proxy.choice.mode,
    policyWorld: policy?.world,
    partyOf: (name, { localAddresses, pods, peers }) => {
      const { nodeName } = config;
      const parties = policy?.world().parties;
      const known = { parties, nodeName, localAddresses, pods: pods(), peers };
      return partyNamed(name, known) ?? lookedUp(name);
    },
    podMasquerades: () => podMasqueradesOf(records.list(), podMasquerade),
    filterTables: () => readFilterTables(),
    wait: (ms) => new Promise((resolve) => clock.schedule(ms, resolve)),
    explainLive: (model, node, options) =>
      explainLive(model, node, { clock, mode: proxy.choice.mode, ...options }),
  };
}

async function improved(
  answer: ExplainAnswer,
  { client, checks }: DebugSubjects,
  signal: AbortSignal,
): Promise<ExplainAnswer> {
  const service = serviceWithoutPods(answer);
  if (service !== undefined && client !== undefined) {
    const selection = await lookUpSelection(service, client, signal);
    return selection === undefined ? answer : withSelection(answer, selection);
  }
  if (!hasCause(answer, 'conntrack-full')) return answer;
  return withFindings(answer, (await checks.recent()).findings);
}
