import { expect, test } from 'vitest';
import { parseNetworkConfig } from '../../../../src/fabric/subnets/network-config.ts';

const parse = (value: object) =>
  parseNetworkConfig(JSON.stringify({ Backend: { Type: 'vxlan' }, ...value }));

test.each([
  [{ Network: '10.244.0.0/16' }, [24, '10.244.1.0', '10.244.255.0']],
  [{ Network: '10.244.0.0/22' }, [24, '10.244.1.0', '10.244.3.0']],
  [{ Network: '10.244.0.0/23' }, [25, '10.244.0.128', '10.244.1.128']],
  [{ Network: '10.0.0.0/28' }, [30, '10.0.0.4', '10.0.0.12']],
  [{ Network: '10.0.0.0/8', SubnetLen: 20 }, [20, '10.0.16.0', '10.255.240.0']],
  [
    { Network: '10.0.0.0/8', SubnetMin: '10.5.0.0', SubnetMax: '10.6.0.0' },
    [24, '10.5.0.0', '10.6.0.0'],
  ],
  [
    { Network: '10.244.0.0/16', SubnetMin: '0.0.0.0', SubnetLen: 0 },
    [24, '10.244.1.0', '10.244.255.0'],
  ],
])('subnets of %o', (value, [length, first, last]) => {
  expect(parse(value).pools[4]).toMatchObject({ length, first, last });
  expect(parse(value).pools[6]).toBeUndefined();
});

test('both families', () => {
  const value = { Network: '10.244.0.0/16', EnableIPv6: true, IPv6Network: 'fd00:10:244::/48' };
  expect(parse(value).pools[6]).toMatchObject({
    ...{ length: 64, first: 'fd00:10:244:1::', last: 'fd00:10:244:ffff::' },
  });
});

test.each([
  [{ Type: 'vxlan' }, ['vxlan', 'vxlan', 1, 8472]],
  [{ Type: 'vxlan', VNI: 7, Port: 4789, DirectRouting: true }, ['auto', 'vxlan', 7, 4789]],
  [{ Type: 'vxlan', Port: 0 }, ['vxlan', 'vxlan', 1, 8472]],
  [{ Type: 'host-gw' }, ['host-gw', 'host-gw', 1, 8472]],
])('back end %o', (Backend, want) => {
  const { backend, backendType, vni, tunnelPort } = parse({ Network: '10.0.0.0/16', Backend });
  expect([backend, backendType, vni, tunnelPort]).toEqual(want);
});

test.each([
  ['', 'the configuration is not a JSON object'],
  ['[]', 'the configuration is not a JSON object'],
  ['{"Network": "10.0.0.0/16"}', 'there is no Backend, which means udp'],
  ['{"Network": "10.0.0.0/16", "Backend": {"Type": "wireguard"}}', 'Backend.Type is "wireguard"'],
  ['{"EnableIPv4": false}', 'subnet leases need IPv4'],
])('%s is refused', (text, message) => {
  expect(() => parseNetworkConfig(text)).toThrow(message);
});

test.each([
  [{}, 'Network: expected a network of IPv4, found nothing'],
  [{ Network: 'fd00::/48' }, 'Network: expected a network of IPv4'],
  [{ Network: '10.0.0.0/29' }, 'is too small for four subnets'],
  [{ Network: '10.0.0.0/16', SubnetLen: 17 }, 'SubnetLen: expected 18 to 30, found 17'],
  [
    { Network: '10.0.0.0/16', SubnetMin: '10.1.0.0' },
    'SubnetMin: expected an address of 10.0.0.0/16',
  ],
  [{ Network: '10.0.0.0/16', SubnetMax: '10.0.7.1' }, 'SubnetMax: 10.0.7.1 is no first address'],
  [{ Network: '10.0.0.0/16', EnableIPv6: true }, 'IPv6Network: expected a network of IPv6'],
  [
    { Network: '10.0.0.0/16', Backend: { Type: 'vxlan', VNI: 0 } },
    'Backend.VNI: expected 1 to 16777215',
  ],
])('%o is refused', (value, message) => {
  expect(() => parse(value)).toThrow(message);
});
