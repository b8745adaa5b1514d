import { describe, expect, test } from 'vitest';
import { removeFormerGateways } from '../../../../src/agent/fabric/former-gateways.ts';
import {
  findFormerPods,
  formerPodProblems,
  type PodRecord,
} from '../../../../src/agent/fabric/former-pods.ts';
import { hostVethName } from '../../../../src/cni/attachment.ts';
import type { Link, LinkAddress } from '../../../../src/kernel/types.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';

const facts = {
  podCIDRs: [parseCidr('10.244.1.0/24'), parseCidr('fd00:10:244:1::/64')],
  mtu: 1450,
};

function pod(
  containerId: string,
  addresses: readonly string[],
  change: { readonly network?: string; readonly mtu?: number | 'auto' } = {},
): PodRecord {
  const { network = 'weft', mtu = 1450 } = change;
  return {
    attachment: { network, containerId, ifName: 'eth0' },
    pod: { podNamespace: 'default', podName: containerId },
    addresses: addresses.map((text) => parseIP(text)),
    plan: { bridge: { mtu } },
  };
}

const inside = pod('inside', ['10.244.1.5', 'fd00:10:244:1::5']);
const outside = pod('outside', ['10.244.9.5', 'fd00:10:244:1::6']);

describe('pods from before', () => {
  test('have an address that no podCIDR holds', () => {
    const foreign = pod('foreign', ['192.168.0.2'], { network: 'storage' });
    const found = findFormerPods([inside, outside, foreign], facts);
    expect(found.outside).toEqual([outside]);
    expect(formerPodProblems(found, facts)).toEqual([
      'pods with addresses outside of podCIDRs 10.244.1.0/24, fd00:10:244:1::/64, which other nodes ' +
        'do not reach: default/outside (10.244.9.5, fd00:10:244:1::6); delete them, whoever owns ' +
        'them makes new ones',
    ]);
  });

  test('or an MTU that is too large', () => {
    const large = pod('large', ['10.244.1.6'], { mtu: 1500 });
    const followed = pod('auto', ['10.244.1.7'], { mtu: 'auto' });
    const found = findFormerPods([inside, large, followed], facts);
    expect(found).toEqual({ outside: [], tooLarge: [large] });
    expect(formerPodProblems(found, facts)).toEqual([
      expect.stringMatching(/MTU above 1450, .*: default\/large \(10\.244\.1\.6\)/),
    ]);
  });

  test('are named up to a few', () => {
    const pods = Array.from({ length: 200 }, (_, i) => pod(`p${i}`, [`10.244.9.${i}`]));
    const [text = ''] = formerPodProblems(findFormerPods(pods, facts), facts);
    expect(text).toContain('and 195 more');
    expect(text.length).toBeLessThan(500);
  });
});

describe('gateways from before', () => {
  const bridge = { index: 3, name: 'weft0', kind: 'bridge' } as Link;
  const port = (record: PodRecord) =>
    ({ name: hostVethName(record.attachment), master: 3 }) as Link;
  const address = (text: string, prefixLength: number) => ({
    address: parseIP(text),
    prefixLength,
  });

  function node(links: readonly Link[], texts: readonly (readonly [string, number])[]) {
    const present: LinkAddress[] = texts.map(([text, length]) => address(text, length));
    const rtnl = {
      link: (name: string) => links.find((each) => each.name === name),
      links: () => links,
      addresses: () => present.map((each) => ({ ...each, link: 3 })),
      deleteAddress: (_index: number, gone: LinkAddress) => {
        const at = present.findIndex((each) => each.address === gone.address);
        return present.splice(at, 1).length > 0;
      },
    };
    return { rtnl, left: () => present.map((each) => each.address) };
  }

  const all = [
    ['10.244.1.1', 24],
    ['10.244.9.1', 24],
    ['fe80::1', 64],
    ['fd00:10:244:1::1', 64],
    ['fd00:10:244:9::1', 64],
  ] as const;

  test('go where nobody needs them', () => {
    const { rtnl, left } = node([bridge, port(inside)], all);
    expect(removeFormerGateways(rtnl, facts, [inside])).toEqual(['10.244.9.1', 'fd00:10:244:9::1']);
    expect(left()).toEqual(['10.244.1.1', 'fe80::1', 'fd00:10:244:1::1']);
    expect(removeFormerGateways(rtnl, facts, [inside])).toEqual([]);
  });

  test.each([
    ['a port is not on record', [bridge, port(inside), port(outside)]],
    ['the link is no bridge', [{ ...bridge, kind: 'dummy' }]],
    ['there is no link', []],
  ])('stay where %s', (_name, links) => {
    const { rtnl, left } = node(links, all);
    expect(removeFormerGateways(rtnl, facts, [inside])).toEqual([]);
    expect(left()).toHaveLength(all.length);
  });
});
