/** Policies that cost too much fail closed and are named; others hold as if they were not there. */
import { expect, test } from 'vitest';
import { decodeNetworkPolicy } from '../../../src/kube/policy/decode-network-policy.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { BUDGET } from '../../../src/policy/budget.ts';
import type { PolicyChange } from '../../../src/policy/change.ts';
import { PolicyModel } from '../../../src/policy/model.ts';
import { policyWorld } from '../../../src/policy/world.ts';
import { collectGarbage } from '../../support/garbage.ts';
import { namespaceChange, podChange } from '../../support/policy-enforcer.ts';
import { ContentInterpreter } from '../../support/policy-interpreter.ts';
import { Random } from '../../support/policy-random.ts';

const POD = '10.244.0.2';
const OTHER = '10.244.0.3';
const MIB = 1 << 20;
/** Of content that a policy makes, generously. */
const MOST_ELEMENTS = 30_000;
const MOST_HEAP_MIB = 80;
const MOST_MS = 20_000;
/** Of CPU: a tenth to a fifth of it but for a collection of garbage. */
const MOST_TURN_MS = 150;

function newModel(): PolicyModel {
  const model = new PolicyModel({ nodeName: 'n0', inside: [] });
  model.apply(namespaceChange('x', { name: 'x' }));
  for (const [name, ip] of [
    ['x/a', POD],
    ['x/b', OTHER],
  ] as const) {
    model.apply(podChange(name, { ips: [ip], node: 'n0' }));
    model.apply({
      kind: 'localPod',
      key: name,
      now: { key: name, uid: undefined, ips: [parseIP(ip)] },
    });
  }
  return model;
}

function policy(name: string, pod: string, ingress: readonly unknown[]): PolicyChange {
  const spec = { podSelector: { matchLabels: { pod } }, policyTypes: ['Ingress'], ingress };
  const now = decodeNetworkPolicy({ metadata: { namespace: 'x', name }, spec }, 'strict');
  return { kind: 'networkPolicy', key: `x/${name}`, now };
}

const LITTLE = policy('little', 'b', [
  { from: [{ ipBlock: { cidr: '192.0.2.0/24' } }], ports: [{ port: 80 }] },
]);

function heapUsed(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** What the content says, which is what the evaluator says. */
function allowsOf(model: PolicyModel) {
  const interpreter = new ContentInterpreter(model.book.content());
  const { parties, evaluator } = policyWorld(model.objects());
  return (from: string, to: string, port: number) => {
    const traffic = { protocol: 'TCP', port } as const;
    const isAllowed = interpreter.allows(parseIP(from), parseIP(to), traffic);
    const [source, destination] = [parties.resolve(from), parties.resolve(to)];
    if (!('kind' in source && 'kind' in destination)) throw new Error(`${from} or ${to}`);
    const verdict = evaluator.verdict({ from: source, to: destination, family: 4, ...traffic });
    expect(verdict.isAllowed, `${from} to ${to} ${port}`).toBe(isAllowed);
    return isAllowed;
  };
}

/** What becomes of a policy of pod a, beside a little one of pod b. */
function enforce(ingress: readonly unknown[], others: readonly PolicyChange[] = []) {
  const model = newModel();
  for (const change of [LITTLE, ...others]) model.apply(change);
  model.settle();
  const [size, heap, began] = [model.book.size, heapUsed(), performance.now()];
  model.apply(policy('big', 'a', ingress));
  model.settle();
  expect(performance.now() - began).toBeLessThan(MOST_MS);
  expect((heapUsed() - heap) / MIB).toBeLessThan(MOST_HEAP_MIB);
  expect(model.book.size - size).toBeLessThan(MOST_ELEMENTS);
  const allows = (...words: Parameters<ReturnType<typeof allowsOf>>) => allowsOf(model)(...words);
  expect(allows('192.0.2.7', OTHER, 80)).toBe(true);
  expect(allows('192.0.2.7', OTHER, 81)).toBe(false);
  const { selections } = model;
  return { model, allows, problems: selections.problems(), overBudget: selections.overBudget };
}

const many = <T>(count: number, make: (i: number) => T) =>
  Array.from({ length: count }, (_, i) => make(i));
const overlapping = (i: number) => ({
  ipBlock: {
    cidr: `10.${i % 250}.0.0/${8 + (i % 9)}`,
    except: [`10.${i % 250}.${(i * 13) % 256}.0/27`],
  },
});
const small = (i: number) => ({ ipBlock: { cidr: `172.16.${i >> 8}.${i & 255}/32` } });
const PORTS = many(1_000, (i) => ({ port: 1_000 + 2 * i }));
const CLOSED = [
  {
    policy: 'x/big',
    problem:
      'ingress: more blocks, selectors and ports than weft enforces for one policy, it fails closed',
  },
];

test('5,000 overlapping blocks with exceptions in a rule are one peer, and hold', () => {
  const { allows, problems } = enforce([{ from: many(5_000, overlapping) }]);
  expect(problems).toEqual([]);
  expect(allows('10.3.255.1', POD, 80)).toBe(true);
  expect(allows('192.0.2.7', POD, 80)).toBe(false);
});

test('5,000 overlapping blocks with ports of their own: closed, and named', () => {
  const rules = many(5_000, (i) => ({ from: [overlapping(i)], ports: [{ port: 1 + i }] }));
  const { allows, problems, overBudget } = enforce(rules);
  expect(problems).toEqual(CLOSED);
  expect(overBudget).toBe(1);
  expect(allows('10.3.255.1', POD, 4)).toBe(false);
});

test('2,000 blocks with 1,000 ports hold', () => {
  const { allows, problems } = enforce([{ from: many(2_000, small), ports: PORTS }]);
  expect(problems).toEqual([]);
  expect(allows('172.16.7.1', POD, 1_002)).toBe(true);
  expect(allows('172.16.7.1', POD, 1_003)).toBe(false);
  expect(allows('172.17.7.1', POD, 1_002)).toBe(false);
});

test('200 blocks with 1,000 ports each, 5,000 selectors: closed, and named', () => {
  const ports = many(200, (i) => ({ from: [small(i)], ports: [...PORTS, { port: 5_000 + i }] }));
  const selectors = many(5_000, (i) => ({ podSelector: { matchLabels: { app: `${i}` } } }));
  for (const rules of [ports, [{ from: selectors }]]) {
    const { allows, problems } = enforce(rules);
    expect(problems).toEqual(CLOSED);
    expect(allows('172.16.0.1', POD, 1_002)).toBe(false);
    expect(allows(OTHER, POD, 1_002)).toBe(false);
  }
});

/** Namespaces that selectors tell apart, each with a pod of another node. */
const tenants = (count: number) =>
  many(count, (i) => [
    namespaceChange(`ns-${i}`, { name: `ns-${i}` }),
    podChange(`ns-${i}/p`, { ips: [`10.245.${i >> 8}.${i & 255}`], node: 'n1' }),
  ]).flat();
const all = { namespaceSelector: {} };
const named = (operator: 'In' | 'NotIn', i: number) => ({
  namespaceSelector: { matchExpressions: [{ key: 'name', operator, values: [`ns-${i}`] }] },
});
const NO_ROOM =
  'ingress: more blocks, selectors and ports, by whom they tell apart, than weft enforces on one node, it fails closed';

test('1,000 selectors with a port each and 500 namespaces: closed while all are there, and named', () => {
  const rules = many(1_000, (i) => ({ from: [named('NotIn', i)], ports: [{ port: 1 + 2 * i }] }));
  const { model, allows, problems, overBudget } = enforce(rules, tenants(500));
  expect(problems).toEqual([{ policy: 'x/big', problem: NO_ROOM }]);
  expect(overBudget).toBe(1);
  expect(allows('10.245.0.7', POD, 1)).toBe(false);
  for (let i = 60; i < 500; i++) {
    model.apply({ kind: 'pod', key: `ns-${i}/p` });
    model.apply({ kind: 'namespace', key: `ns-${i}` });
  }
  model.settle();
  expect(model.selections.problems()).toEqual([]);
  expect(allows('10.245.0.7', POD, 1)).toBe(true);
  expect(allows('10.245.0.7', POD, 15)).toBe(false);
});

test('others have their turns while it is computed how much that is', async () => {
  const model = newModel();
  for (const change of tenants(500)) model.apply(change);
  model.settle();
  const rules = many(1_000, (i) => ({ from: [named('NotIn', i)], ports: [{ port: 1 + 2 * i }] }));
  model.apply(policy('big', 'a', rules));
  let isDone = false;
  const settling = model.settleInTurns().then(() => {
    isDone = true;
  });
  let longest = 0;
  while (!isDone) {
    const began = process.threadCpuUsage();
    await new Promise(setImmediate);
    const { user, system } = process.threadCpuUsage(began);
    longest = Math.max(longest, (user + system) / 1_000);
  }
  await settling;
  expect(longest).toBeLessThan(MOST_TURN_MS);
});

test('10,000 ports for everybody and 500 selectors with a port each: the ports are closed, the selectors hold', () => {
  const ports = many(10_000, (i) => ({ port: 20_000 + 2 * i }));
  const selectors = policy(
    'selectors',
    'a',
    many(500, (i) => ({ from: [named('In', i)], ports: [{ port: 1 + i }] })),
  );
  const { model, allows, problems } = enforce(
    [{ from: [all], ports }],
    [...tenants(500), selectors],
  );
  expect(problems).toEqual([{ policy: 'x/big', problem: NO_ROOM }]);
  expect(allows('10.245.0.7', POD, 8)).toBe(true);
  expect(allows('10.245.0.7', POD, 20_002)).toBe(false);
  model.apply({ kind: 'networkPolicy', key: 'x/selectors' });
  model.settle();
  expect(model.selections.problems()).toEqual([]);
  expect(allows('10.245.0.7', POD, 8)).toBe(false);
  expect(allows('10.245.0.7', POD, 20_002)).toBe(true);
});

test('500 ranges in each other, whose ends cut them: closed, and named', () => {
  const rules = many(500, (i) => ({
    from: [named('In', i)],
    ports: [{ port: 1 + 10 * i, endPort: 20_000 - 10 * i }],
  }));
  const { allows, problems } = enforce(rules, tenants(500));
  expect(problems).toEqual([{ policy: 'x/big', problem: NO_ROOM }]);
  expect(allows('10.245.0.0', POD, 1)).toBe(false);
});

test('hostile policies at random: bounded, and the evaluator says the same', () => {
  const random = new Random(7);
  const model = newModel();
  for (const change of [LITTLE, ...tenants(300)]) model.apply(change);
  model.settle();
  const peer = () =>
    random.pick([
      () => named('NotIn', random.below(400)),
      () => named('In', random.below(300)),
      () => ({
        ipBlock: {
          cidr: `10.${244 + random.below(2)}.${random.below(4)}.${random.below(256)}/${20 + random.below(13)}`,
        },
      }),
      () => all,
    ])();
  const port = () => {
    const first = 1 + random.below(60_000);
    return random.below(3) === 0
      ? { port: first, endPort: first + random.below(5_000) }
      : { port: first };
  };
  const rule = (most: number) => () => ({
    from: many(1 + random.below(3), peer),
    ports: many(1 + random.below(most), port),
  });
  for (let round = 0; round < 12; round++) {
    const rules = many(1 + random.below(900), rule(random.pick([1, 3, 20])));
    model.apply(policy(`p${random.below(6)}`, random.pick(['a', 'b']), rules));
    const began = process.threadCpuUsage();
    model.settle();
    const { user, system } = process.threadCpuUsage(began);
    expect((user + system) / 1_000).toBeLessThan(MOST_MS);
    expect(model.book.size).toBeLessThan(BUDGET.total * 1.1);
    const allows = allowsOf(model);
    for (let i = 0; i < 50; i++) {
      allows(
        `10.245.${random.below(2)}.${random.below(40)}`,
        random.pick([POD, OTHER]),
        1 + random.below(60_000),
      );
    }
  }
  expect(model.selections.overBudget).toBeGreaterThan(0);
});

test('too much together: the most expensive are closed, and open again when there is room', () => {
  const model = newModel();
  model.apply(LITTLE);
  const rules = (seed: number) =>
    many(70, (i) => ({
      from: [
        { ipBlock: { cidr: `10.${(seed * 31) % 256}.${(i * 37 + seed) % 256}.0/${9 + (i % 16)}` } },
      ],
      ports: [{ port: 1 + i }],
    }));
  for (const i of many(40, (n) => n)) model.apply(policy(`p${i}`, 'a', rules(i)));
  model.settle();
  const { selections } = model;
  expect(selections.overBudget).toBeGreaterThan(0);
  expect(selections.overBudget).toBeLessThan(40);
  expect(selections.problems().map((each) => each.policy)).not.toContain('x/little');
  expect(selections.problems()[0]?.problem).toContain('on one node, it fails closed');
  expect(model.book.size).toBeLessThan(4 * MOST_ELEMENTS);
  for (const i of many(35, (n) => n)) model.apply({ kind: 'networkPolicy', key: `x/p${i}` });
  model.settle();
  expect(selections.overBudget).toBe(0);
  const anew = newModel();
  anew.apply(LITTLE);
  for (const i of [35, 36, 37, 38, 39]) anew.apply(policy(`p${i}`, 'a', rules(i)));
  anew.settle();
  const texts = (of: PolicyModel) =>
    [...of.book.content()].map(([set, elements]) => [set, elements.map(({ key }) => key).sort()]);
  expect(texts(model).toSorted()).toEqual(texts(anew).toSorted());
});
