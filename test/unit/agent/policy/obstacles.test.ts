import { expect, test } from 'vitest';
import { serviceObstacle } from '../../../../src/agent/policy/obstacles.ts';

const IPVS_HEAD = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
`;

test.each([
  ['nftables', '', undefined],
  ['iptables', IPVS_HEAD, undefined],
  [undefined, '', undefined],
  ['ipvs', '', /^proxy mode ipvs takes .*set proxy\.mode to nftables or iptables/],
  ['userspace', '', /^proxy mode userspace makes/],
  [undefined, `${IPVS_HEAD}TCP  AC1E000A:0050 rr\n  -> 0A000001:0050 Masq 1 0 0\n`, /ipvsadm -ln/],
  ['nftables', `${IPVS_HEAD}FWM  00000001 rr\n`, /ipvsadm -ln/],
])('proxy mode %s with IPVS %j', (proxyMode, ipvs, want) => {
  const found = serviceObstacle({ proxyMode, ipvs });
  if (want === undefined) expect(found).toBeUndefined();
  else expect(found).toMatch(want);
});
