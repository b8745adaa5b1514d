/** The policy lab itself: it sees what rules made by hand let pass, and it can fail. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createPolicyLab, type PolicyLab } from '../support/policy-lab.ts';
import { matrix, mismatches, questionText } from '../support/policy-matrix.ts';

const PORTS = [80, 81];
const PROTOCOLS = ['TCP', 'UDP', 'SCTP', 'ICMP'] as const;

let lab: PolicyLab;

beforeAll(async () => {
  lab = await createPolicyLab({
    pods: [
      ['x/a', 'x/b'],
      ['y/a', 'y/b'],
    ],
    ports: PORTS,
  });
});

afterEach(() => {
  for (const { netns } of lab.nodes) netns.run('nft', 'flush', 'ruleset');
});

afterAll(() => lab?.remove());

function everything() {
  const { pods, nodes, outside } = lab;
  const to = pods;
  return matrix({ from: [...pods, ...nodes, outside], to, ports: PORTS, protocols: PROTOCOLS });
}

/** On the node of y/a and y/b. */
function filter(...rules: readonly string[]): void {
  const chain = 'type filter hook forward priority 0; policy accept;';
  const text = `table inet t {\nchain c {\n${chain}\n${rules.join('\n')}\n}\n}\n`;
  lab.nodes[1]?.netns.run('sh', '-c', `echo '${text}' | nft -f -`);
}

test('without rules everybody reaches everybody over all protocols and both families', async () => {
  const questions = everything();
  expect(questions).toHaveLength(7 * 4 * 2 * 7);
  expect(await mismatches(lab, questions, { isAllowed: () => true })).toEqual([]);
});

test('a wrong expectation is named: who, to whom, over what, and what came instead', async () => {
  const isAllowed = () => false;
  const questions = everything();
  const found = await mismatches(lab, questions, { isAllowed });
  expect(found).toHaveLength(questions.length);
  expect(found[0]).toBe('x/a -> x/a:80/tcp over IPv4: answer of x/a, expected reset');
});

test('one pod, port, protocol and family that is closed is the one that is found', async () => {
  filter(
    'ip6 saddr fd00:244:1::a ip6 daddr fd00:244:2::b sctp dport 81 reject with icmpx admin-prohibited',
  );
  const found = await mismatches(lab, everything(), { isAllowed: () => true });
  expect(found).toEqual(['x/a -> y/b:81/sctp over IPv6: prohibited, expected answer of y/b']);
});

test('refusals are told apart: a reset, an ICMP error, silence', async () => {
  filter(
    'ip saddr 192.0.2.254 drop',
    'ip6 saddr 2001:db8::fe drop',
    'meta l4proto tcp reject with tcp reset',
    'reject with icmpx admin-prohibited',
  );
  const { pods, nodes, outside } = lab;
  const from = [...pods.slice(0, 2), ...nodes.slice(0, 1), outside];
  const crossing = matrix({ from, to: pods.slice(2), ports: PORTS, protocols: PROTOCOLS });
  expect(await mismatches(lab, crossing, { isAllowed: () => false })).toEqual([]);
});

test('a stream is counted until its packets are dropped, and after that again', async () => {
  const [a, , , b] = lab.pods;
  if (a === undefined || b === undefined) throw new Error('no pods');
  for (const protocol of ['TCP', 'UDP'] as const) {
    lab.sockets.openStream({ from: a.index, protocol, host: b.ips[4], port: 80 });
  }
  const bytes = async () => (await lab.sockets.streams()).map((stream) => stream.bytes);
  await expect.poll(async () => (await bytes()).every((count) => count > 1000)).toBe(true);
  filter('ip saddr 10.244.2.11 drop');
  const before = await bytes();
  expect(await bytes()).toEqual(before);
  lab.nodes[1]?.netns.run('nft', 'flush', 'ruleset');
  await expect
    .poll(async () => (await bytes()).every((count, i) => count > (before[i] ?? 0)))
    .toBe(true);
});

test('a question tells itself in words', () => {
  const [first] = everything();
  expect(first && questionText(first)).toBe('x/a -> x/a:80/tcp over IPv4');
});
