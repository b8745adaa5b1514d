import { join } from 'node:path';
import { openHostPortStore } from '../../../cni/portmap/store.ts';
import { ipFamily } from '../../../net/ip.ts';
import { wire } from '../../../netlink/wire.ts';
import type { ModeName } from '../../../proxy/modes/names.ts';
import type { Packet } from '../../../proxy/verdict/explanation.ts';
import { WeftError } from '../../../util/errors.ts';
import { readFilterTables } from '../../foreign/read-filter-tables.ts';
import { explainLive } from '../explain/live/live.ts';
import { CONTENTS, type Content } from '../explain/live/send.ts';
import { partyNamed } from '../explain/named-parties.ts';
import { openNode } from '../explain/open-node.ts';
import { type ExplainAnswer, type ExplainedPacket, explain } from '../explain.ts';
import {
  asObject,
  DebugRequestError,
  type Fields,
  parseAddress,
  parseInterface,
  parseName,
  parseProtocol,
} from '../fields.ts';
import type { NamedPacket } from '../named-packet.ts';
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

/** What a process forwards is two connections; what IPVS does no rule shows. Throws ENOTSUP. */
function requireTraces(mode: ModeName): void {
  if (mode === 'nftables' || mode === 'iptables') return;
  const reason = `it follows packets through rules, and mode ${mode} does not work by rules`;
  throw new WeftError(
    'ENOTSUP',
    `weft explain --live: ${reason}; without --live the model answers`,
  );
}

async function answerExplain(
  request: ExplainRequest,
  subjects: DebugSubjects,
  signal: AbortSignal,
): Promise<ExplainAnswer> {
  const { records, fabric } = subjects;
  const { clock, podMasquerade, config } = subjects.context;
  const proxy = requireProxy('explain', subjects);
  if (request.liveTimeoutMs !== undefined) requireTraces(proxy.choice.mode);
  const hostPorts = openHostPortStore(join(config.runDir, 'hostports'), {
    ...{ flock: wire.flock, timeoutMs: 0 },
  });
  const answer = await explain(
    request,
    {
      snapshots: proxy.snapshots,
      openNode: () => {
        return openNode({ records: () => records.list(), hostPorts: hostPorts.records, fabric });
      },
      mode: proxy.choice.mode,
      policyWorld: subjects.policy?.world,
      partyOf: (name, { localAddresses, pods, peers }) => {
        const { nodeName } = config;
        const parties = subjects.policy?.world().parties;
        return partyNamed(name, { parties, nodeName, localAddresses, pods: pods(), peers });
      },
      podMasquerades: () => podMasqueradesOf(records.list(), podMasquerade),
      filterTables: () => readFilterTables(),
      explainLive: (model, node, options) => explainLive(model, node, { clock, ...options }),
    },
    signal,
  );
  const whyNot = subjects.policy?.whyNotReady() ?? '';
  const unenforced = whyNot === '' ? [] : [`policies do not hold on this node: ${whyNot}`];
  return { ...answer, doubts: [...(answer.doubts ?? []), ...proxy.problems(), ...unenforced] };
}
