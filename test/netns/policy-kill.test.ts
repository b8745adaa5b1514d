/** An Enforcer that is killed while it changes policies: what the kernel has is one of the states, whole. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PolicyChange } from '../../src/policy/change.ts';
import { EnforcedCluster } from '../support/policy-enforced.ts';
import { createPolicyLab, type PolicyLab } from '../support/policy-lab.ts';
import { matrix, mismatches, type Question } from '../support/policy-matrix.ts';

const ROUNDS = Number(process.env['POLICY_KILLS'] ?? 6);
const PORTS = [80, 81];
const CHURNER = new URL('../support/workloads/policy-churner.ts', import.meta.url).pathname;
/** From before there is a table in the first round to some hundred changes. */
const LONGEST_LIFE_MS = 900;

let lab: PolicyLab;

beforeAll(async () => {
  lab = await createPolicyLab({ pods: [['x/a', 'x/b'], ['y/a']], ports: PORTS });
});

afterAll(() => lab?.remove());

function policy(name: string, selector: string, spec: string): string {
  return `{kind: NetworkPolicy, metadata: {namespace: x, name: ${name}}, spec: {podSelector: {${selector}}, ${spec}}}`;
}

const A = 'matchLabels: {pod: a}';
/** Always there: nobody but x/b reaches x/a. */
const STANDING = policy(
  'standing',
  A,
  'ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]',
);
/** One after the other; none of them has to do with y/a to x/a. */
const TURNS: readonly ((cluster: EnforcedCluster) => void)[] = [
  (cluster) => cluster.putPolicy(policy('turn', '', 'policyTypes: [Egress]')),
  (cluster) =>
    cluster.putPolicy(policy('turn', '', 'policyTypes: [Egress], egress: [{ports: [{port: 80}]}]')),
  (cluster) =>
    cluster.putPolicy(policy('turn', 'matchLabels: {pod: b}', 'ingress: [{ports: [{port: 81}]}]')),
  (cluster) => cluster.deletePolicy({ kind: 'networkPolicy', key: 'x/turn' }),
];

/** What an Enforcer of the first node is told, and the worlds that it goes through. */
function script() {
  const told: PolicyChange[] = [];
  const recorder = {
    apply: (change: PolicyChange) => void told.push(change),
    setSynced: () => undefined,
    commit: () => undefined,
    close: () => Promise.resolve(),
  };
  const cluster = new EnforcedCluster(lab, [recorder]);
  for (const name of ['x', 'y']) cluster.putNamespace(name, {});
  for (const pod of lab.pods) cluster.place(pod);
  cluster.putPolicy(STANDING);
  const first = told.splice(0);
  const questions = matrix({
    from: lab.pods,
    to: lab.pods,
    ports: PORTS,
    protocols: ['TCP', 'UDP'],
  });
  const answers = () => new Map(questions.map((each) => [each, cluster.isAllowed(each)]));
  const worlds = [answers()];
  const turns = TURNS.map((turn) => {
    turn(cluster);
    worlds.push(answers());
    return told.splice(0);
  });
  return { text: JSON.stringify({ first, turns }), questions, worlds };
}

test('the kernel has one of the states, none wider than those, however often it is killed', async () => {
  const { text, questions, worlds } = script();
  const [node] = lab.nodes;
  const [closed] = questions.filter(({ from, to }) => from.name === 'y/a' && to.name === 'x/a');
  if (node === undefined || closed === undefined) throw new Error('no node');
  const seen = new Set<number>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const child = node.netns.start(process.execPath, [CHURNER, node.nodeName], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let isReady = round > 0;
    child.stdout?.on('data', () => {
      isReady = true;
    });
    child.stdin?.write(`${text}\n`);
    while (!isReady) await sleep(5);
    const until = performance.now() + Math.random() * LONGEST_LIFE_MS;
    while (performance.now() < until) {
      expect(await tryOne(closed)).toBe('reset');
    }
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    const found = await stateOf(questions, worlds);
    expect(found).toBeGreaterThanOrEqual(0);
    seen.add(found);
  }
});

async function tryOne({ from, to, family, port }: Question): Promise<string> {
  const probe = { from: from.index, protocol: 'TCP' as const, host: to.ips[family], port };
  const [outcome] = await lab.sockets.try([probe], 1000);
  return outcome?.kind ?? 'nothing';
}

/** Which of the worlds packets find; -1 for none. */
async function stateOf(
  questions: readonly Question[],
  worlds: readonly ReadonlyMap<Question, boolean>[],
): Promise<number> {
  const found: (readonly string[])[] = [];
  for (const world of worlds) {
    const isAllowed = (question: Question) => world.get(question) ?? false;
    found.push(await mismatches(lab, questions, { isAllowed }));
    if (found.at(-1)?.length === 0) return found.length - 1;
  }
  console.error(found);
  return -1;
}
