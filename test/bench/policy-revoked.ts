/** Data that comes through after a policy no longer allows its connection. */
import { createEnforcedLab } from '../support/policy-enforced-lab.ts';
import { countAfter, openStreams } from '../support/policy-revocation.ts';

export interface RevocationRow {
  readonly stream: string;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

const STREAMS = ['tcp', 'udp'].flatMap((protocol) => [
  `y/a -> x/a:80/${protocol}`,
  `x/b -> x/a:80/${protocol} over IPv6`,
]);
const WATCH_MS = 500;

/** Sums over rounds. */
export async function measureRevocation(rounds: number): Promise<readonly RevocationRow[]> {
  const sums = STREAMS.map((stream) => ({ stream, bytesBefore: 0, bytesAfter: 0 }));
  for (let round = 0; round < rounds; round += 1) {
    const lab = await createEnforcedLab({ pods: [['x/a', 'x/b'], ['y/a']], ports: [80] });
    try {
      for (const name of ['x', 'y']) lab.cluster.putNamespace(name, {});
      for (const pod of lab.pods) lab.cluster.place(pod);
      lab.cluster.putPolicy(policy('ingress: [{from: [{namespaceSelector: {}}]}]'));
      lab.cluster.setSynced();
      lab.cluster.commit();
      await openStreams(lab, STREAMS.map(lab.ask));
      const deny = () => void lab.cluster.putPolicy(policy('ingress: []'));
      for (const [i, counts] of (await countAfter(lab, deny, WATCH_MS)).entries()) {
        const sum = sums[i];
        if (sum === undefined) continue;
        sum.bytesBefore += counts.bytesBefore;
        sum.bytesAfter += counts.bytesAfter;
      }
    } finally {
      await lab.remove();
    }
  }
  return sums;
}

function policy(spec: string): string {
  return `{kind: NetworkPolicy, metadata: {namespace: x, name: p}, spec: {podSelector: {matchLabels: {pod: a}}, ${spec}}}`;
}
