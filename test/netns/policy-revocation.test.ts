/** Connections that were allowed when they began: pushing servers, and policies that change meanwhile. */
import { afterEach, expect, test } from 'vitest';
import { createEnforcedLab, type EnforcedLab } from '../support/policy-enforced-lab.ts';
import type { Refusal } from '../support/policy-matrix.ts';
import { countAfter, openStreams } from '../support/policy-revocation.ts';

const WATCH_MS = 300;
/** TCP sends again what was dropped, less and less often. */
const RETRANSMISSION_MS = 2000;
const ALLOW = 'ingress: [{from: [{namespaceSelector: {}}]}]';
const DENY = 'ingress: []';
/** The server that pushes is the selected pod: its packets are the connection's replies. */
const REVOKED = [
  'y/a -> x/a:80/udp',
  'x/b -> x/a:80/udp over IPv6',
  'y/a -> x/a:80/tcp over IPv6',
  'x/b -> x/a:80/tcp',
];
const KEPT = ['y/a -> x/b:80/udp', 'x/b -> y/a:80/tcp over IPv6'];

let lab: EnforcedLab | undefined;

afterEach(() => lab?.remove());

async function openLab(deniedInside: Refusal): Promise<EnforcedLab> {
  lab = await createEnforcedLab({ pods: [['x/a', 'x/b'], ['y/a']], ports: [80], deniedInside });
  for (const name of ['x', 'y']) lab.cluster.putNamespace(name, {});
  for (const pod of lab.pods) lab.cluster.place(pod);
  lab.cluster.putPolicy(policy(ALLOW));
  lab.cluster.setSynced();
  lab.cluster.commit();
  await openStreams(lab, [...REVOKED, ...KEPT].map(lab.ask));
  return lab;
}

function policy(spec: string): string {
  return `{kind: NetworkPolicy, metadata: {namespace: x, name: p}, spec: {podSelector: {matchLabels: {pod: a}}, ${spec}}}`;
}

/** Bytes of streams that are revoked, and of the others, after a policy of x/a is this one. */
async function bytesAfter(opened: EnforcedLab, spec: string, watchMs: number) {
  const put = () => void opened.cluster.putPolicy(policy(spec));
  const all = (await countAfter(opened, put, watchMs)).map((stream) => stream.bytesAfter);
  return { revoked: all.slice(0, REVOKED.length), kept: all.slice(REVOKED.length) };
}

const some = (counts: readonly number[]) => counts.map((count) => count > 0);

test('nothing of a pushing server gets through once it is not allowed, others go on', async () => {
  const { revoked, kept } = await bytesAfter(await openLab('reject'), DENY, WATCH_MS);
  expect(revoked).toEqual([0, 0, 0, 0]);
  expect(some(kept)).toEqual([true, true]);
  const later = await bytesAfter(lab as EnforcedLab, ALLOW, WATCH_MS);
  // Of TCP the refusal was a reset.
  expect(some(later.revoked)).toEqual([true, true, false, false]);
});

test('where nobody is told of refusals, TCP goes on too when it is allowed again', async () => {
  const { revoked, kept } = await bytesAfter(await openLab('drop'), DENY, WATCH_MS);
  expect(revoked).toEqual([0, 0, 0, 0]);
  expect(some(kept)).toEqual([true, true]);
  const later = await bytesAfter(lab as EnforcedLab, ALLOW, RETRANSMISSION_MS);
  expect(some(later.revoked)).toEqual([true, true, true, true]);
});
