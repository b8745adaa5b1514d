import { describe, expect, test } from 'vitest';
import { readTrace } from '../../../../../../src/agent/debug/explain/live/live-outcome.ts';
import { TraceFollower } from '../../../../../../src/agent/debug/explain/live/trace-follower.ts';
import { parseIP } from '../../../../../../src/net/ip.ts';
import type { TraceEvent } from '../../../../../../src/nftables/trace.ts';
import type {
  Explanation,
  PacketVerdict,
} from '../../../../../../src/proxy/verdict/explanation.ts';

const CLIENT = parseIP('10.1.0.2');
const POD = parseIP('10.1.0.3');
const NODE = parseIP('10.1.0.1');

function packet(source = CLIENT, destination = parseIP('172.30.0.1'), destinationPort = 80) {
  return { source, destination, protocol: 6, sourcePort: 40_000, destinationPort };
}

function event(chain: string, changes: Partial<TraceEvent> = {}): TraceEvent {
  return {
    ...{ id: 1, family: 'ip', table: 'weft-proxy', chain, kind: 'rule', verdict: 'accept' },
    ...{ ruleHandle: 1n, packet: undefined, inLink: 2, outLink: undefined },
    ...changes,
  };
}

const trace = (chain: string, changes: Partial<TraceEvent> = {}) =>
  event(chain, { table: 'weft-trace-1-1', kind: 'policy', ...changes });
const traced = (request: readonly TraceEvent[], reply: readonly TraceEvent[] = []) => {
  return { request, reply };
};
const start = [
  trace('weft-trace-in', { packet: packet() }),
  trace('weft-trace-tracked', { kind: 'rule', verdict: 'jump weft-trace-new' }),
  event('nat-prerouting', { verdict: 'jump services' }),
  event('services', { verdict: 'goto n1' }),
];
const sent = (source = CLIENT, destination = POD, port = 8080) =>
  trace('weft-trace-sent', { packet: packet(source, destination, port) });

function explanation(verdict: PacketVerdict, origin: 'pod' | 'node' = 'pod'): Explanation {
  return {
    packet: { source: CLIENT, destination: parseIP('172.30.0.1'), protocol: 'tcp', port: 80 },
    decisions: [{ kind: 'origin', origin, sign: { kind: 'nodeAddress' } }],
    verdict,
  };
}

function dnat(isMasqueraded = false, probability = 1): PacketVerdict {
  const because = isMasqueraded ? 'offCluster' : 'fromPod';
  const candidate = { ip: POD, port: 8080, isLocal: true, probability, isMasqueraded, because };
  return { kind: 'dnat', candidates: [{ ...candidate, because }] } as const;
}

describe('what the events say, and whether the model said so', () => {
  const dropped = event('f', { table: 'other', verdict: 'drop' });
  const refused = event('reject-chain', { verdict: 'drop' });
  test.each([
    { name: 'to the endpoint', last: sent(), model: dnat(), outcome: 'sent', agrees: true },
    { name: 'masqueraded', last: sent(NODE), model: dnat(true), outcome: 'sent', agrees: true },
    {
      name: 'masqueraded, not said',
      last: sent(NODE),
      model: dnat(),
      outcome: 'sent',
      agrees: false,
    },
    { name: 'not masqueraded', last: sent(), model: dnat(true), outcome: 'sent', agrees: false },
    {
      name: 'to somebody else',
      last: sent(CLIENT, NODE),
      model: dnat(),
      outcome: 'sent',
      agrees: false,
    },
    {
      name: 'another port',
      last: sent(CLIENT, POD, 80),
      model: dnat(),
      outcome: 'sent',
      agrees: false,
    },
    { name: 'not the hash', last: sent(), model: dnat(false, 0), outcome: 'sent', agrees: false },
    { name: 'dropped', last: dropped, model: dnat(), outcome: 'dropped', agrees: false },
    {
      name: 'dropped as said',
      last: dropped,
      model: { kind: 'drop' },
      outcome: 'dropped',
      agrees: true,
    },
    {
      name: 'refused as said',
      last: refused,
      model: { kind: 'reject' },
      outcome: 'refused',
      agrees: true,
    },
    { name: 'refused', last: refused, model: { kind: 'drop' }, outcome: 'refused', agrees: false },
    {
      name: 'passed as said',
      last: sent(),
      model: { kind: 'pass' },
      outcome: 'sent',
      agrees: true,
    },
    {
      name: 'no Service, and dropped by somebody',
      last: dropped,
      model: { kind: 'pass' },
      outcome: 'dropped',
      agrees: undefined,
    },
  ] as const)('$name', ({ last, model, outcome, agrees }) => {
    const answer = readTrace(traced([...start, last]), explanation(model));
    expect([answer?.outcome.kind, answer?.agreesWithModel]).toEqual([outcome, agrees]);
  });

  const denied = event('refuse', { family: 'inet', table: 'weft-policy', verdict: 'drop' });
  const outcome = (isAllowed: boolean) => [
    { ...{ ip: POD, port: 8080, name: 'ns/a', isAllowed }, reason: '' },
  ];
  test.each([
    { name: 'denied as said', last: denied, policies: outcome(false), agrees: true },
    { name: 'denied, but allowed', last: denied, policies: outcome(true), agrees: false },
    { name: 'denied where no policies are known', last: denied, policies: [], agrees: false },
    { name: 'sent, but denied', last: sent(), policies: outcome(false), agrees: false },
    { name: 'sent as allowed', last: sent(), policies: outcome(true), agrees: true },
  ])('policies: $name', ({ last, policies, agrees }) => {
    const answer = readTrace(traced([...start, last]), explanation(dnat()), policies);
    expect(answer?.outcome.kind).toBe(last === denied ? 'denied' : 'sent');
    expect(answer?.agreesWithModel).toBe(agrees);
  });

  test("the node's own address may be what it is replaced by", () => {
    const answer = readTrace(traced([...start, sent()]), explanation(dnat(true), 'node'));
    expect(answer?.agreesWithModel).toBe(true);
  });

  test('a packet of an older connection proves nothing', () => {
    const [first] = start;
    const answer = readTrace(
      traced([first ?? sent(), trace('weft-trace-tracked'), sent()]),
      explanation(dnat()),
    );
    expect([answer?.isNewConnection, answer?.agreesWithModel]).toEqual([false, undefined]);
  });

  test('the steps leave out what only watches', () => {
    expect(readTrace(traced([...start, sent()]), explanation(dnat()))?.steps).toEqual([
      'ip weft-proxy nat-prerouting -> jump services',
      'ip weft-proxy services -> goto n1',
    ]);
  });

  test('without an end it is unknown', () => {
    expect(readTrace(traced(start), explanation(dnat()))).toMatchObject({
      outcome: { kind: 'unknown' },
      agreesWithModel: undefined,
    });
  });

  test('without events there is no answer', () => {
    expect(readTrace(traced([]), explanation(dnat()))).toBeUndefined();
  });
});

const back = (packetBack: object, chain = 'weft-trace-sent', id = 9) =>
  trace(chain, { id, packet: { ...packet(POD, CLIENT, 40_000), sourcePort: 8080, ...packetBack } });

describe('what comes back', () => {
  test.each([
    { name: 'an answer', reply: back({ tcpFlags: 0x12 }), kind: 'answered', outcome: 'sent' },
    { name: 'a reset', reply: back({ tcpFlags: 0x14 }), kind: 'refused', outcome: 'sent' },
    {
      name: 'an ICMP error',
      reply: back({ protocol: 1, icmp: { type: 3, code: 3 } }),
      kind: 'unreachable',
      outcome: 'sent',
    },
    {
      name: 'an answer to the node',
      reply: back({}, 'weft-trace-delivered'),
      kind: 'answered',
      outcome: 'delivered',
    },
    {
      name: 'an answer that somebody drops',
      reply: event('f', { table: 'other', verdict: 'drop', packet: packet(POD, CLIENT, 40_000) }),
      kind: 'answered',
      outcome: 'dropped',
    },
  ])('$name', ({ reply, kind, outcome }) => {
    const answer = readTrace(traced([...start, sent()], [reply]), explanation(dnat()));
    expect(answer?.reply).toMatchObject({ kind, outcome: { kind: outcome } });
  });

  test('nothing, where something is awaited', () => {
    expect(readTrace(traced([...start, sent()]), explanation(dnat()))?.reply).toBeNull();
    expect(readTrace(traced(start), explanation(dnat()))).not.toHaveProperty('reply');
  });
});

test.each([
  { chains: ['weft-trace-in'], stage: 'tracking' },
  { chains: ['weft-trace-in', 'weft-trace-tracked'], stage: 'prerouting' },
  { chains: ['weft-trace-in', 'weft-trace-tracked', 'weft-trace-forward'], stage: 'forward' },
  { chains: ['weft-trace-out', 'weft-trace-out-tracked'], stage: 'output' },
])('behind $chains it ends at $stage', ({ chains, stage }) => {
  const events = chains.map((chain) => trace(chain, { packet: packet() }));
  const answer = readTrace(traced(events), explanation(dnat()));
  expect(answer).toMatchObject({
    outcome: { kind: 'unknown', stage },
    isNewConnection: stage === 'tracking',
  });
});

describe('following one packet', () => {
  const asked = { source: CLIENT, destination: parseIP('172.30.0.1'), port: 80 };
  const follow = (events: readonly TraceEvent[], sourcePort?: number) => {
    const follower = new TraceFollower(asked, sourcePort);
    for (const one of events) follower.add(one);
    return follower;
  };

  test('another packet is left out', () => {
    const other = { ...packet(), sourcePort: 40_001 };
    const follower = follow([
      ...start,
      event('services', { id: 2 }),
      trace('x', { id: 3, packet: other }),
    ]);
    expect([follower.request.length, follower.isRequestComplete]).toEqual([4, false]);
    expect(follow(start, 40_001).request).toEqual([]);
  });

  test('the same packet under another id joins', () => {
    const delivered = trace('weft-trace-delivered', { id: 2, packet: packet(CLIENT, NODE) });
    const follower = follow([
      ...start,
      event('filter-input', { id: 2, packet: packet() }),
      delivered,
    ]);
    expect([follower.request.length, follower.isRequestComplete]).toEqual([6, true]);
  });

  test('nothing is added behind the end', () => {
    expect(follow([...start, sent(), event('late')]).request).toHaveLength(5);
  });

  test('the answer is another packet, and other connections are not it', () => {
    const other = back({ destinationPort: 40_001 }, 'weft-trace-in', 8);
    const follower = follow([...start, sent(), other, back({}, 'weft-trace-in'), back({})]);
    expect([follower.reply.length, follower.isReplyComplete]).toEqual([2, true]);
  });
});
