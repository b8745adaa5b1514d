/**
 * The cases of Kubernetes' own suite (test/e2e/network/netpol), by their numbers in the order of its source,
 * between three pods of each of three namespaces, through the Services of the pods.
 */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { EnforcedCluster } from '../support/policy-enforced.ts';
import { createEnforcedLab, type EnforcedLab } from '../support/policy-enforced-lab.ts';
import { matrix, mismatches, type Question } from '../support/policy-matrix.ts';
import { UPSTREAM_CASES } from '../support/policy-upstream/cases.ts';
import type { Check } from '../support/policy-upstream/words.ts';

const PORTS = [80, 81];
const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;
const NAMED = PROTOCOLS.flatMap((protocol) =>
  PORTS.map((port) => `serve-${port}-${protocol.toLowerCase()}:${port}/${protocol}`),
);

let lab: EnforcedLab;
let cluster: EnforcedCluster;

beforeAll(async () => {
  lab = await createEnforcedLab({
    pods: [
      ['x/a', 'x/b', 'y/c', 'z/a', 'z/b'],
      ['x/c', 'y/a', 'y/b', 'z/c'],
    ],
    ports: PORTS,
  });
  ({ cluster } = lab);
  reset();
  cluster.setSynced();
  cluster.commit();
});

afterEach(() => {
  reset();
  cluster.commit();
});

afterAll(() => lab?.remove());

function reset(): void {
  cluster.deletePolicies();
  for (const name of ['x', 'y', 'z']) cluster.putNamespace(name, { ns: name });
  for (const pod of lab.pods) cluster.place(pod, { ports: NAMED });
}

/** Of the wants that are about a connection the last one holds; a pod always reaches itself. */
function isWanted({ wants }: Check, from: string, to: string): boolean {
  const isMeant = (pattern: string, name: string) =>
    pattern === '*' || pattern === name || pattern === name.replace(/\/.*/, '/*');
  if (from === to) return true;
  return wants.findLast(([f, t]) => isMeant(f, from) && isMeant(t, to))?.[2] ?? true;
}

async function differences(check: Check): Promise<readonly string[]> {
  const [, port, protocol] = /^(\d+)\/(TCP|UDP|SCTP)$/.exec(check.at) ?? [];
  const { pods, services } = lab;
  const questions = matrix({
    ...{ from: pods, to: pods, ports: [Number(port)] },
    protocols: PROTOCOLS.filter((each) => each === protocol),
  });
  return mismatches(lab, questions.map(services.byClusterIP), {
    isAllowed: ({ from, to }) => isWanted(check, from.name, to.name),
  });
}

/** Everything else between pods, by the evaluator; both families have their turn. */
function elsewhere(number: number): readonly Question[] {
  const { pods } = lab;
  const families = [number % 2 === 0 ? 4 : 6] as const;
  return matrix({ from: pods, to: pods, ports: PORTS, protocols: PROTOCOLS, families });
}

test.each(UPSTREAM_CASES)('[$number] $title', async ({ number, steps }) => {
  for (const { act, checks } of steps) {
    act(cluster, (name) => lab.pod(name), NAMED);
    cluster.commit();
    for (const check of checks)
      expect([check.at, await differences(check)]).toEqual([check.at, []]);
  }
  const isAllowed = (question: Question) => cluster.isAllowed(question);
  expect(await mismatches(lab, elsewhere(number), { isAllowed })).toEqual([]);
});

test('no number is missing', () => {
  const numbers = new Set(UPSTREAM_CASES.map(({ number }) => number));
  expect([...numbers]).toEqual(Array.from({ length: 48 }, (_, i) => i + 1));
});
