import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { netnses } from '../../src/kernel/netns.ts';
import type { Netns } from '../../src/kernel/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import type { ServiceProxyOptions } from '../../src/proxy/service-proxy.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { createProxy } from '../support/proxy-lab.ts';
import { service, slice } from '../support/proxy-objects.ts';

let node: TestNetns;
let other: TestNetns;
let nodeNetns: Netns;

beforeAll(() => {
  node = createNetns('golden');
  other = createNetns('reloaded');
  nodeNetns = netnses.open(node.path);
});

afterAll(() => {
  nodeNetns.close();
  node.remove();
  other.remove();
});

const ports = [
  { name: 'http', protocol: 'TCP', port: 80, nodePort: 30080 },
  { name: 'dns', protocol: 'UDP', port: 53 },
  { name: 'sip', protocol: 'SCTP', port: 5060 },
] as const;
const services = [
  service('web', '172.30.0.1', {
    type: 'NodePort',
    ports,
    clusterIPs: ['172.30.0.1', 'fd00:172::1'],
    ipFamilies: ['IPv4', 'IPv6'],
  }),
  service('empty', '172.30.0.2'),
  service('local', '172.30.0.3', { internalTrafficPolicy: 'Local' }),
];
const targets = ports.map(
  ({ nodePort, ...port }: { nodePort?: number } & (typeof ports)[number]) => ({
    ...port,
    port: port.port + 8000,
  }),
);
const slices = [
  slice({
    service: 'web',
    endpoints: [{ ip: '10.1.0.3', nodeName: 'node-a' }, '10.2.0.2'],
    ports: targets,
  }),
  slice({ service: 'web', suffix: '6', endpoints: ['fd00:10:2::2'], ports: targets }),
  slice({ service: 'local', endpoints: ['10.2.0.2'] }),
];

const cases: readonly { readonly name: string; readonly options: Partial<ServiceProxyOptions> }[] =
  [
    { name: 'default', options: {} },
    {
      name: 'listed-addresses-by-bridge',
      options: {
        nodePortAddresses: {
          kind: 'cidrs',
          cidrs: ['192.168.0.0/24', 'fd00:192::/64'].map(parseCidr),
        },
        localAddresses: () => ['192.168.0.1', 'fd00:192::1'].map(parseIP),
        localDetection: { kind: 'bridge', name: 'br0' },
      },
    },
    { name: 'masquerade-all', options: { masqueradesAll: true } },
  ];

describe.each(cases)('$name', ({ name, options }) => {
  beforeAll(async () => {
    const proxy = createProxy(nodeNetns, options);
    for (const object of services) proxy.onServiceAdd(object);
    for (const object of slices) proxy.onEndpointSliceAdd(object);
    proxy.setSynced();
    await proxy.sync();
    await proxy.stop();
  });

  test('is listed as in the golden file', async () => {
    await expect(node.run('nft', 'list', 'ruleset')).toMatchFileSnapshot(
      `../golden/proxy/${name}.nft`,
    );
  });

  test('loads from its own listing', () => {
    const listing = node.run('nft', 'list', 'ruleset');
    other.run('nft', 'flush', 'ruleset');
    other.run('sh', '-c', `nft -f - <<'END'\n${listing}\nEND`);
    expect(other.run('nft', 'list', 'ruleset')).toBe(listing);
  });
});
