import { expect, test } from 'vitest';
import type { NatTable } from '../../../../src/agent/fabric/foreign-masquerade.ts';
import { ForeignMasqueradeWatch } from '../../../../src/agent/fabric/foreign-watch.ts';
import { natTableOf } from '../../../../src/agent/fabric/iptables-nat.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { until } from '../../../support/until.ts';

test('it looks when there are other nodes with pods, and each five minutes', async () => {
  const clock = new FakeClock();
  let rules: readonly string[] = ['-j MASQUERADE'];
  let looks = 0;
  const read = async (): Promise<readonly NatTable[]> => {
    looks += 1;
    return [natTableOf(new Map([['POSTROUTING', rules]]), 'iptables-nft', 4)];
  };
  const watch = new ForeignMasqueradeWatch({ clock, log: createLogger('silent'), read });
  const traffic = { podCIDRs: [parseCidr('10.244.1.0/24')], underlays: ['eth0'] };
  watch.follow({ ...traffic, clusterCIDRs: [] });
  watch.follow({ ...traffic, clusterCIDRs: [parseCidr('10.244.2.0/24')] });
  watch.follow({ ...traffic, clusterCIDRs: [parseCidr('10.244.3.0/24')] });
  clock.advance(0);
  await until('the rule is found', () => watch.problems.length === 1);
  expect(looks).toBe(1);
  rules = [];
  clock.advance(300_000);
  await until('it is gone', () => watch.problems.length === 0);
  await watch.close();
});
