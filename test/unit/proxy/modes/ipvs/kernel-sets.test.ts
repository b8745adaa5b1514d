import { beforeEach, expect, test } from 'vitest';
import { parseIP } from '../../../../../src/net/ip.ts';
import { portalEntry } from '../../../../../src/proxy/modes/ipvs/fragment.ts';
import { KernelSets } from '../../../../../src/proxy/modes/ipvs/kernel-sets.ts';
import { SET_ROLES, setName } from '../../../../../src/proxy/modes/ipvs/sets.ts';
import { FakeIpSets } from '../../../../support/fake-ip-sets.ts';

const WEB = portalEntry('clusterIP', { ip: parseIP('172.30.0.1'), protocol: 'tcp', port: 80 });

let ipSets: FakeIpSets;

beforeEach(() => {
  ipSets = new FakeIpSets();
});

test('names are those of kube-proxy, with room for IPv6', () => {
  expect(setName('nodePortLocalSctp', 4)).toBe('KUBE-NODE-PORT-LOCAL-SCTP-HASH');
  expect(setName('nodePortLocalSctp', 6)).toBe('KUBE-6-NODE-PORT-LOCAL-SCTP-HAS');
  const names = SET_ROLES.flatMap((role) => [setName(role, 4), setName(role, 6)]);
  expect(new Set(names).size).toBe(names.length);
  expect(names.filter((name) => name.length > 31)).toEqual([]);
});

test('what is missing is made, in both families', async () => {
  await new KernelSets(ipSets, 4).ensure();
  await new KernelSets(ipSets, 6).ensure();
  expect(ipSets.names()).toHaveLength(2 * SET_ROLES.length);
  expect(ipSets.set('KUBE-6-CLUSTER-IP')?.family).toBe(6);
});

test('what is there keeps its entries', async () => {
  const sets = new KernelSets(ipSets, 4);
  await sets.ensure();
  await sets.add([WEB]);
  await new KernelSets(ipSets, 4).ensure();
  expect([await sets.entries('clusterIP'), sets.sizes().get('clusterIP')]).toEqual([[WEB], 1]);
  await sets.remove([WEB]);
  expect(ipSets.texts('KUBE-CLUSTER-IP')).toEqual([]);
});

test("kube-proxy's become larger without a moment in which they are empty", async () => {
  ipSets.create({
    ...{ name: 'KUBE-CLUSTER-IP', type: 'hash:ip,port', family: 4 },
    ...{ maxElements: 65_536, hashSize: 1_024 },
  });
  await ipSets.add('KUBE-CLUSTER-IP', [WEB.entry]);
  ipSets.used.add('KUBE-CLUSTER-IP');
  await new KernelSets(ipSets, 4).ensure();
  expect(ipSets.set('KUBE-CLUSTER-IP')?.maxElements).toBe(1_048_576);
  expect(ipSets.texts('KUBE-CLUSTER-IP')).toEqual(['172.30.0.1,tcp:80']);
  expect(ipSets.names()).toHaveLength(SET_ROLES.length);
});

test('a set of another type is an error that names it', async () => {
  ipSets.create({
    ...{ name: 'KUBE-LOOP-BACK', type: 'hash:ip', family: 4 },
    ...{ maxElements: 65_536, hashSize: 1_024 },
  });
  await expect(new KernelSets(ipSets, 4).ensure()).rejects.toThrow(
    /ipset KUBE-LOOP-BACK is of type hash:ip, not hash:ip,port,ip as wanted: .*rename or destroy/,
  );
});
