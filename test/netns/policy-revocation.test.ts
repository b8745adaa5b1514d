/** Connections that were allowed when they began: pushing servers, and policies that change meanwhile. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { EnforcedCluster } from '../support/policy-enforced.ts';
import { createEnforcedLab, type EnforcedLab } from '../support/policy-enforced-lab.ts';
import { countAfter, openStreams } from '../support/policy-revocation.ts';

const WATCH_MS = 300;
const ALLOW = 'ingress: [{from: [{namespaceSelector: {}}]}]';
const DENY = 'ingress: []';

let lab: EnforcedLab;
let cluster: EnforcedCluster;

beforeEachLab();

/** Streams of one test must not be counted in another. */
function beforeEachLab(): void {
  beforeAll(async () => {
    lab = await createEnforcedLab({ pods: [['x/a', 'x/b'], ['y/a']], ports: [80] });
    ({ cluster } = lab);
    for (const name of ['x', 'y']) cluster.putNamespace(name, {});
    for (const pod of lab.pods) cluster.place(pod);
    cluster.setSynced();
    cluster.commit();
  });
  afterEach(() => {
    cluster.deletePolicies();
    cluster.commit();
  });
  afterAll(() => lab?.remove());
}

function policy(spec: string, name = 'p'): string {
  return `{kind: NetworkPolicy, metadata: {namespace: x, name: ${name}}, spec: {podSelector: {matchLabels: {pod: a}}, ${spec}}}`;
}

const REVOKED = [
  // The server that pushes is the selected pod: its packets are the connection's replies.
  'y/a -> x/a:80/udp',
  'y/a -> x/a:80/tcp over IPv6',
  'x/b -> x/a:80/tcp',
  'x/b -> x/a:80/udp over IPv6',
];
const KEPT = ['y/a -> x/b:80/udp', 'x/b -> y/a:80/tcp over IPv6'];

describe('pushing servers', () => {
  test('get nothing through once a policy allows it no more, and go on when it does', async () => {
    cluster.putPolicy(policy(ALLOW));
    cluster.commit();
    await openStreams(lab, [...REVOKED, ...KEPT].map(lab.ask));
    const revoked = await countAfter(lab, () => void cluster.putPolicy(policy(DENY)), WATCH_MS);
    expect(revoked.slice(0, REVOKED.length).map((stream) => stream.bytesAfter)).toEqual(
      REVOKED.map(() => 0),
    );
    for (const { bytesAfter } of revoked.slice(REVOKED.length))
      expect(bytesAfter).toBeGreaterThan(0);
    const allowed = await countAfter(lab, () => void cluster.putPolicy(policy(ALLOW)), WATCH_MS);
    for (const [i, { bytesAfter }] of allowed.entries()) {
      const question = [...REVOKED, ...KEPT][i] ?? '';
      // A refused connection of TCP has ended.
      if (!(question.includes('tcp') && i < REVOKED.length)) expect(bytesAfter).toBeGreaterThan(0);
    }
  });
});
