import { describe, expect, test } from 'vitest';
import { liveCauses } from '../../../../../../src/agent/debug/explain/live/live-causes.ts';
import {
  type Holder,
  type ModeFacts,
  NOBODY,
  type Read,
  readFlow,
  withModeSteps,
} from '../../../../../../src/agent/debug/explain/live/mode-steps.ts';
import type { Probed } from '../../../../../../src/agent/debug/explain/live/probe.ts';
import type { Tracked } from '../../../../../../src/agent/debug/explain/live/tracked.ts';
import { wayTo } from '../../../../../../src/agent/debug/explain/way.ts';
import { parseIP } from '../../../../../../src/net/ip.ts';
import type {
  Explanation,
  PacketVerdict,
} from '../../../../../../src/proxy/verdict/explanation.ts';
import { IoError } from '../../../../../../src/util/errors.ts';
import { fakeNode } from '../../../../../support/fake-node.ts';

const CLIENT = parseIP('10.1.0.2');
const VIP = parseIP('172.30.0.1');
const NODE = parseIP('192.168.0.1');
const [FIRST, SECOND] = [parseIP('10.2.0.2'), parseIP('10.2.0.3')];
const packet = { source: CLIENT, destination: VIP, protocol: 'tcp', port: 80 } as const;
const endpoint = (ip: typeof FIRST, isMasqueraded = true) => ({
  ...{ ip, port: 8080, isLocal: false, probability: 0.5, isMasqueraded },
  because: 'forwarded' as const,
});
const DNAT: PacketVerdict = { kind: 'dnat', candidates: [endpoint(FIRST), endpoint(SECOND)] };
const AGENT: Holder = { who: 'this agent', isOurs: true };
const node = fakeNode({
  addresses: ['192.168.0.1', '172.30.0.1'],
  routes: ['10.2.0.0/24 via 192.168.0.2 dev eth0 src 192.168.0.1', '10.1.0.0/24 dev br0'],
});

const flow: Tracked['flow'] = {
  ...{ family: 4, protocol: 6, status: 2, mark: 0 },
  original: { source: CLIENT, destination: VIP, sourcePort: 40_000, destinationPort: 80 },
  reply: { source: FIRST, destination: NODE, sourcePort: 8080, destinationPort: 40_000 },
};
const untouched: Tracked['flow'] = {
  ...flow,
  reply: { source: VIP, destination: CLIENT, sourcePort: 80, destinationPort: 40_000 },
};

function tracked(of: Tracked['flow'], answer: Tracked['answer'] = 'answered'): Tracked {
  return { flow: of, answer };
}

function facts(verdict: PacketVerdict, more: Partial<ModeFacts> = {}): ModeFacts {
  const explanation: Explanation = { packet, decisions: [], verdict };
  const candidates = verdict.kind === 'dnat' ? verdict.candidates : [];
  const places = candidates.map(({ ip, port }) => {
    return { ip, port, isMasqueraded: true, isForwarded: true } as const;
  });
  return {
    ...{ mode: 'userspace', explanation, policies: [], node },
    ways: places.map((place) => wayTo(packet, place, node)),
    flowFrom: () => undefined,
    destinations: () => [],
    listenerAt: async () => AGENT,
    ask: async (place) => ({ ip: place.ip, port: place.port, protocol: 'tcp', answer: 'answers' }),
    ...more,
  };
}

const back = { kind: 'sent', source: VIP, destination: CLIENT, port: 40_000 } as const;
function delivered(kind: 'answered' | 'refused' = 'answered'): Read {
  return {
    outcome: { kind: 'delivered', source: CLIENT, destination: VIP, port: 80 },
    ...{ isNewConnection: true, agreesWithModel: false, steps: ['before'] },
    reply: { kind, outcome: back, steps: [] },
  };
}

const causesOf = (answer: Read) => {
  const view = { before: { tables: [], counters: [] }, after: { tables: [], counters: [] } };
  const traced = { request: [], reply: [] };
  return liveCauses(answer, traced, {
    ...{ node, client: CLIENT, places: [], commentOf: () => undefined },
    // No rules of iptables-legacy.
    legacy: view as never,
  }).map(({ id, seen }) => ({ id, seen }));
};

describe('mode userspace', () => {
  const asking = (answers: Readonly<Record<string, Probed['answer']>>): ModeFacts['ask'] => {
    return async ({ ip, port }) => ({ ip, port, protocol: 'tcp', answer: answers[ip] ?? 'silent' });
  };

  test('the first endpoint that answers', async () => {
    const ask = asking({ [FIRST]: 'refuses', [SECOND]: 'answers' });
    const read = await withModeSteps(delivered(), 40_000, facts(DNAT, { ask }));
    expect(read).toMatchObject({
      outcome: { kind: 'sent', source: NODE, destination: SECOND, port: 8080 },
      agreesWithModel: true,
      reply: { kind: 'answered' },
      steps: [
        'before',
        'this agent listens at 172.30.0.1:80',
        'the agent, from 172.30.0.1:80 -> 10.2.0.2:8080 refuses',
        'the agent, from 172.30.0.1:80 -> 10.2.0.3:8080 answers',
      ],
    });
    expect(causesOf(read)).toEqual([]);
  });

  test('none of them takes it: the client is reset', async () => {
    const ask = asking({ [FIRST]: 'silent', [SECOND]: 'refuses' });
    const read = await withModeSteps(delivered(), 40_000, facts(DNAT, { ask }));
    expect(read).toMatchObject({ agreesWithModel: true, reply: { kind: 'refused' } });
    expect(causesOf(read)).toMatchObject([
      { id: 'not-listening', seen: expect.stringContaining('10.2.0.3:8080') },
    ]);
  });

  test.each([
    ['no endpoint', { kind: 'reject' }, NOBODY, 'refused', true, []],
    ['a source range', { kind: 'reset' }, AGENT.who, 'answered', true, []],
    [
      'the agent does not listen',
      DNAT,
      NOBODY,
      'refused',
      false,
      [{ id: 'not-listening', seen: 'the agent does not listen at 172.30.0.1:80' }],
    ],
  ] as const)('closed: %s', async (_, verdict, who, reply, agreesWithModel, causes) => {
    const listenerAt = async () => ({ who, isOurs: who === AGENT.who });
    const read = await withModeSteps(delivered(reply), 40_000, facts(verdict, { listenerAt }));
    expect(read).toMatchObject({
      outcome: { kind: 'closed', ip: VIP, port: 80 },
      agreesWithModel,
    });
    expect(causesOf(read)).toEqual(causes);
  });

  test('another program has the port', async () => {
    const listenerAt = async () => ({ who: 'nginx, pid 7', isOurs: false });
    const read = await withModeSteps(delivered(), 40_000, facts(DNAT, { listenerAt }));
    expect(read.agreesWithModel).toBe(false);
    expect(causesOf(read)).toEqual([
      {
        id: 'other-listener',
        seen: 'nginx, pid 7 listens at 172.30.0.1:80, in the place of the agent',
      },
    ]);
  });
});

describe('mode ipvs', () => {
  const held: Read = {
    outcome: { kind: 'unknown', stage: 'input' },
    ...{ isNewConnection: true, agreesWithModel: undefined, steps: [] },
  };
  const destination = {
    ...{ ip: FIRST, port: 8080, weight: 1, activeConnections: 2, inactiveConnections: 0 },
    ...{ persistentConnections: 0, isMasquerading: true },
  };

  test('what the virtual server has chosen, by the tracked connection', async () => {
    const read = await withModeSteps(
      held,
      40_000,
      facts(DNAT, {
        mode: 'ipvs',
        flowFrom: () => tracked(flow),
        destinations: () => [destination],
      }),
    );
    expect(read).toMatchObject({
      outcome: { kind: 'sent', source: NODE, destination: FIRST, port: 8080 },
      ...{ agreesWithModel: true, reply: { kind: 'answered' } },
      steps: ['ipvs tcp 172.30.0.1:80 -> one of 10.2.0.2:8080 (weight 1, 2 active)'],
    });
  });

  test.each([
    ['no server', () => [], '-> no virtual server with destinations'],
    [
      'no IPVS',
      () => {
        throw new IoError('this kernel has no IPVS');
      },
      '-> not to be read: this kernel has no IPVS',
    ],
  ])('%s', async (_, destinations, says) => {
    const more = { mode: 'ipvs', destinations, flowFrom: () => tracked(untouched) } as const;
    const read = await withModeSteps(held, 40_000, facts(DNAT, more));
    expect(read).toMatchObject({ outcome: held.outcome, steps: [expect.stringContaining(says)] });
  });
});

test('IPVS has no server there, and the kernel resets', async () => {
  const read = readFlow(tracked(untouched, 'refused'), facts({ kind: 'reject' }));
  expect(read).toMatchObject({ agreesWithModel: false, reply: { kind: 'refused' } });
  const seen = await withModeSteps(read, 40_000, facts({ kind: 'reject' }, { mode: 'ipvs' }));
  expect(seen).toMatchObject({ outcome: { kind: 'closed', ip: VIP }, agreesWithModel: true });
});

describe('a kernel that reports no rules', () => {
  test.each([
    ['tracked', tracked(flow), DNAT, { kind: 'sent', destination: FIRST, source: NODE }, true],
    [
      'tracked, to somewhere else',
      tracked(untouched),
      DNAT,
      { kind: 'sent', destination: VIP },
      false,
    ],
    ['refused as the model says', 'unseen', { kind: 'reject' }, { kind: 'unknown' }, true],
    ['vanished', 'unseen', DNAT, { kind: 'unknown', stage: 'untracked' }, false],
    ['vanished, no Service', 'unseen', { kind: 'pass' }, { kind: 'unknown' }, undefined],
  ] as const)('%s', (_, found, verdict, outcome, agreesWithModel) => {
    const read = readFlow(found, facts(verdict));
    expect(read).toMatchObject({ outcome, isNewConnection: true });
    expect(read.agreesWithModel).toBe(agreesWithModel);
  });
});
