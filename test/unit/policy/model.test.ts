/** What the table holds, asked as its rules ask it, is what the evaluator says: clusters at random. */
import { describe, expect, test } from 'vitest';
import { type IP, ipFamily } from '../../../src/net/ip.ts';
import type { Element } from '../../../src/nftables/model.ts';
import type { PolicyChange } from '../../../src/policy/change.ts';
import { PolicyModel } from '../../../src/policy/model.ts';
import type { Party } from '../../../src/policy/parties.ts';
import type { Traffic } from '../../../src/policy/ports.ts';
import { policyWorld } from '../../../src/policy/world.ts';
import { ContentInterpreter } from '../../support/policy-interpreter.ts';
import {
  OWN_NODE,
  PORTS,
  Random,
  randomChange,
  randomCluster,
  STRANGERS,
} from '../../support/policy-random.ts';

/** `WEFT_POLICY_WORLDS=100000 vitest run …` for a long run. */
const WORLDS = Number(process.env['WEFT_POLICY_WORLDS'] ?? 2_000);
const CHANGES = 4;

const TRAFFIC: readonly Traffic[] = [
  { protocol: 'ICMP', port: 0 },
  ...(['TCP', 'UDP', 'SCTP'] as const).flatMap((protocol) =>
    PORTS.map((port) => ({ protocol, port })),
  ),
];

function newModel(): PolicyModel {
  return new PolicyModel({ nodeName: OWN_NODE, inside: [] });
}

/** Who has which address; a pod or node is asked by each of its addresses. */
function partiesOf(model: PolicyModel) {
  const world = policyWorld(model.objects());
  const ips = new Set<IP>(STRANGERS);
  for (const { ips: own } of world.parties.pods()) for (const ip of own) ips.add(ip);
  for (const name of ['n1', 'n2', 'n3']) {
    const node = world.parties.resolve(`node/${name}`);
    if ('ips' in node) for (const ip of node.ips) ips.add(ip);
  }
  const byIP = new Map<IP, Party>();
  for (const ip of ips) {
    const party = world.parties.resolve(ip);
    if ('kind' in party) byIP.set(ip, party);
  }
  return { world, byIP };
}

/** Pairs of which one is a pod of this node: nobody else's packets are judged here. */
function* questions(model: PolicyModel, byIP: ReadonlyMap<IP, Party>) {
  const isLocal = (party: Party) => party.kind === 'pod' && model.facts.locals.has(party.key);
  for (const [from, source] of byIP) {
    for (const [to, destination] of byIP) {
      if (ipFamily(from) !== ipFamily(to)) continue;
      if (isLocal(source) || isLocal(destination)) yield { from, to, source, destination };
    }
  }
}

function disagreements(model: PolicyModel, mostPerWorld: number, random: Random): string[] {
  const { world, byIP } = partiesOf(model);
  const interpreter = new ContentInterpreter(model.book.content());
  const asked = [...questions(model, byIP)];
  const wrong: string[] = [];
  for (let i = 0; i < mostPerWorld; i++) {
    const { from, to, source, destination } = random.pick(asked);
    const traffic = random.pick(TRAFFIC);
    const family = ipFamily(from);
    const verdict = world.evaluator.verdict({ from: source, to: destination, family, ...traffic });
    const isLocal = (party: Party) => party.kind === 'pod' && model.facts.locals.has(party.key);
    const wanted =
      (verdict.egress.isAllowed || !isLocal(source)) &&
      (verdict.ingress.isAllowed || !isLocal(destination));
    if (interpreter.allows(from, to, traffic) !== wanted) {
      wrong.push(
        `${from} to ${to} ${traffic.protocol} ${traffic.port}: ${JSON.stringify(verdict)}`,
      );
    }
  }
  return wrong;
}

/** What was allowed and is not any more, without a word about it; sampled. */
function lostUnsaid(model: PolicyModel, changes: readonly PolicyChange[], random: Random) {
  const asked = [...questions(model, partiesOf(model).byIP)];
  const sample = Array.from({ length: 60 }, () => ({
    ...random.pick(asked),
    traffic: random.pick(TRAFFIC),
  }));
  const before = new ContentInterpreter(model.book.content());
  for (const change of changes) model.apply(change);
  if (model.settle()) return [];
  const now = new ContentInterpreter(model.book.content());
  return sample
    .filter(({ from, to, traffic }) => before.allows(from, to, traffic))
    .filter(({ from, to, traffic }) => !now.allows(from, to, traffic))
    .map(({ from, to, traffic }) => `${from} to ${to} ${traffic.protocol} ${traffic.port}`);
}

/** One line for each element. */
function lines(model: PolicyModel): readonly string[] {
  const lineOf = (set: string, { key, keyEnd = key, data }: Element) =>
    `${set} ${JSON.stringify([key, keyEnd, data])}`;
  return [...model.book.content()]
    .flatMap(([set, elements]) => elements.map((element) => lineOf(set, element)))
    .sort();
}

describe('clusters at random', () => {
  test('content and evaluator agree, and changes lead where a beginning leads', () => {
    for (let seed = 1; seed <= WORLDS; seed++) {
      const random = new Random(seed);
      const model = newModel();
      for (const change of randomCluster(random)) model.apply(change);
      model.settle();
      expect(disagreements(model, 120, random), `seed ${seed}`).toEqual([]);
      model.book.settle();
      for (let i = 0; i < CHANGES; i++) {
        expect(lostUnsaid(model, randomChange(random), random), `seed ${seed}`).toEqual([]);
      }
      expect(disagreements(model, 60, random), `seed ${seed}, changed`).toEqual([]);
      expect(lines(model).join('\n'), `seed ${seed}, anew`).toBe(lines(anew(model)).join('\n'));
    }
  }, 600_000);
});

/** Another model that is told only what there is now. */
function anew({ facts }: PolicyModel): PolicyModel {
  const model = newModel();
  for (const [key, now] of facts.namespaces) model.apply({ kind: 'namespace', key, now });
  for (const [key, now] of facts.nodes) model.apply({ kind: 'node', key, now });
  for (const [key, now] of facts.pods) model.apply({ kind: 'pod', key, now });
  for (const [key, { local }] of facts.locals) model.apply({ kind: 'localPod', key, now: local });
  for (const [key, now] of facts.networkPolicies) model.apply({ kind: 'networkPolicy', key, now });
  for (const [key, now] of facts.clusterNetworkPolicies) {
    model.apply({ kind: 'clusterNetworkPolicy', key, now });
  }
  model.settle();
  return model;
}
