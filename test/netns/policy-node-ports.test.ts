/**
 * Policies and NodePorts: by the node of the pod the client is judged itself, by another one as that node, whose
 * address it has then.
 */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createEnforcedLab, type EnforcedLab } from '../support/policy-enforced-lab.ts';

const PATIENCE_MS = 300;

let lab: EnforcedLab;

beforeAll(async () => {
  lab = await createEnforcedLab({ pods: [['x/a', 'x/b'], ['y/a']], ports: [80] });
  for (const name of ['x', 'y']) lab.cluster.putNamespace(name, {});
  for (const pod of lab.pods) lab.cluster.place(pod, {});
  lab.cluster.setSynced();
  lab.cluster.commit();
}, 60_000);
afterEach(() => {
  lab.cluster.deletePolicies();
  lab.cluster.commit();
});
afterAll(() => lab?.remove());

const policy = (pod: string, spec: string) =>
  `{kind: NetworkPolicy, metadata: {namespace: x, name: p}, spec: {podSelector: {matchLabels: {pod: ${pod}}}, ${spec}}}`;
const ONLY_B = policy('a', 'ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]');
const ONLY_N2 = policy(
  'a',
  'ingress: [{from: [{ipBlock: {cidr: "192.0.2.2/32"}}, {ipBlock: {cidr: "2001:db8::2/128"}}]}]',
);
const B_TO_A = policy(
  'b',
  'policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {pod: a}}}]}]',
);

/** `x/b -> x/a by n1`: which of these are answered, in both families. */
async function answered(texts: readonly string[]): Promise<readonly string[]> {
  const asked = texts.flatMap((text) =>
    ([4, 6] as const).map((family) => {
      const [probe = '', entry] = text.split(' by ');
      const node = lab.nodes.find(({ nodeName }) => nodeName === entry);
      if (node === undefined) throw new Error(text);
      const question = lab.ask(`${probe}:80 over IPv${family}`);
      const { via, from } = lab.services.byNodePort(question, node);
      if (via === undefined) throw new Error(text);
      return { text, probe: { from: from.index, protocol: 'TCP' as const, ...via } };
    }),
  );
  const outcomes = await lab.sockets.try(
    asked.map(({ probe }) => probe),
    PATIENCE_MS,
  );
  return asked.flatMap(({ text }, i) => (outcomes[i]?.kind === 'answered' ? [text] : []));
}

const twice = (texts: readonly string[]) => texts.flatMap((text) => [text, text]);
const ALL = [
  ...['x/b -> x/a by n1', 'x/b -> x/a by n2', 'y/a -> x/a by n1', 'y/a -> x/a by n2'],
  ...['outside -> x/a by n1', 'outside -> x/a by n2', 'node/n1 -> x/a by n1'],
];

test.each([
  { name: 'without policies all are let in', policies: [], want: ALL },
  {
    name: 'one client is, and the node of the pod',
    policies: [ONLY_B],
    want: ['x/b -> x/a by n1', 'node/n1 -> x/a by n1'],
  },
  {
    name: 'whoever comes by another node is',
    policies: [ONLY_N2],
    want: [
      ...['x/b -> x/a by n2', 'y/a -> x/a by n2', 'outside -> x/a by n2'],
      'node/n1 -> x/a by n1',
    ],
  },
])('ingress: $name', async ({ policies, want }) => {
  for (const each of policies) lab.cluster.putPolicy(each);
  lab.cluster.commit();
  expect(await answered(ALL)).toEqual(twice(ALL.filter((text) => want.includes(text))));
});

test('egress: a pod is judged by the pod behind the port of its own node', async () => {
  const asked = ['x/b -> x/a by n1', 'x/b -> y/a by n1', 'x/a -> y/a by n1'];
  lab.cluster.putPolicy(B_TO_A);
  lab.cluster.commit();
  expect(await answered(asked)).toEqual(twice(['x/b -> x/a by n1', 'x/a -> y/a by n1']));
});
