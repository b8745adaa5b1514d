import { expect, test } from 'vitest';
import { resolveAgentConfig } from '../../../../src/agent/config/agent-config.ts';

function resolve(section: string) {
  const text = `components: [cni, routing]\nmanifests: /m\nrouting:\n${section}`;
  const surroundings = { hostname: 'n1', environment: {} };
  return resolveAgentConfig({}, [{ path: 'weft.yaml', text }], surroundings).routing;
}

test('a whole section', () => {
  const settings = resolve(`  asn: 64600
  topology: reflectors
  reflectors: "!spare"
  advertise: [podCIDRs, loadBalancerIPs]
  communities: ["64512:100", "1:2:3"]
  peers:
    - {name: rack-a, nodes: rack=a, address: 192.0.2.254, asn: 64999, multihop: 2, localASN: 1,
       passwordFile: /etc/weft/bgp/rack-a, import: ["10.0.0.0/8 le 24", "0.0.0.0/0"], bfd: true}
`);
  expect(settings).toMatchObject({
    ...{ asn: 64_600, topology: 'reflectors', bfd: true, directory: '/run/weft/bird' },
    advertise: new Set(['podCIDRs', 'loadBalancerIPs']),
    communities: [
      [64_512, 100],
      [1, 2, 3],
    ],
    reflectors: { text: '!spare' },
  });
  expect(settings.peers).toMatchObject([
    {
      ...{ name: 'rack-a', address: '192.0.2.254', asn: 64_999, localASN: 1, multihop: 2 },
      imports: [
        { network: '10.0.0.0/8', longest: 24 },
        { network: '0.0.0.0/0', longest: 0 },
      ],
    },
  ]);
});

const peer = (more: string) => `  peers: [{name: a, address: 192.0.2.1, asn: 1, ${more}}]\n`;

test.each([
  ['  asn: 0\n', /weft\.yaml:4: routing\.asn: expected a whole number, 1 to 4294967295, found 0/],
  ['  peers: [{name: a, address: 192.0.2.1, asn: 0}]\n', /routing\.peers\.0\.asn: must be >= 1/],
  ['  peers: [{name: a, asn: 1}]\n', /routing\.peers\.0: .*address/],
  ['  peers: [{name: "a b", address: 192.0.2.1, asn: 1}]\n', /routing\.peers\.0\.name: must match/],
  ['  peers: [{name: a, address: there, asn: 1}]\n', /peers\.0\.address: expected an IP address/],
  [peer('nodes: "rack in (a)"'), /peers\.0\.nodes: expected labels such as rack=a/],
  [peer('import: ["10.0.0.0/8 le 7"]'), /"10\.0\.0\.0\/8 le 7": le goes from 8 to 32/],
  [peer('import: [all]'), /expected a network such as 10\.0\.0\.0\/8 le 24, found "all"/],
  [peer('communities: ["70000:1"]'), /expected a community such as 64512:100/],
  [peer('paswordFile: /x'), /unknown key \(did you mean passwordFile\?\)/],
  [`${peer('')}${''}`.replace(']', ', {name: a, address: 192.0.2.2, asn: 1}]'), /two are called a/],
  ['  advertise: [podCIDR]\n', /routing\.advertise: expected .*\(did you mean podCIDRs\?\)/],
  ['  directory: "/run/a b"\n', /routing\.directory: must match pattern/],
])('%j is refused', (section, words) => {
  expect(() => resolve(section)).toThrow(words);
});
