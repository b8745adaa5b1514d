/** Every mode that this kernel has gives the same verdicts; IPVS is under test/uml. */
import { afterAll, beforeAll } from 'vitest';
import { iptables, NFTABLES, USERSPACE } from '../support/flows/modes.ts';
import { describeFlows } from '../support/flows/suite.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';

let lab: ProxyLab;

beforeAll(async () => {
  lab = await createProxyLab();
});

afterAll(() => lab.remove());

for (const mode of [NFTABLES, iptables('nft'), iptables('legacy'), USERSPACE]) {
  describeFlows(mode, () => lab);
}
