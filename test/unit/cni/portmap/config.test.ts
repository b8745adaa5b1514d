import { describe, expect, test } from 'vitest';
import { parsePortmapConfig } from '../../../../src/cni/portmap/config.ts';
import { toCniError } from '../../../../src/cni/protocol/errors.ts';

const withMapping = (entry: unknown) => ({ runtimeConfig: { portMappings: [entry] } });
const valid = { hostPort: 8080, containerPort: 80, protocol: 'tcp' };

describe('[118] mappings', () => {
  const plain = { protocol: 'tcp', hostPort: 8080, containerPort: 80, families: [4, 6] };
  test.each([
    { name: 'as runtimes send it', entry: valid, want: plain },
    {
      name: 'upper case protocol',
      entry: { ...valid, protocol: 'UDP' },
      want: { protocol: 'udp' },
    },
    { name: 'SCTP', entry: { ...valid, protocol: 'Sctp' }, want: { protocol: 'sctp' } },
    { name: 'no protocol', entry: { hostPort: 1, containerPort: 2 }, want: { protocol: 'tcp' } },
    { name: 'empty protocol', entry: { ...valid, protocol: '' }, want: { protocol: 'tcp' } },
    { name: 'null protocol', entry: { ...valid, protocol: null }, want: { protocol: 'tcp' } },
    {
      name: 'keys in any case',
      entry: { HOSTPORT: 8080, ContainerPort: 80, Protocol: 'tcp', hostip: '' },
      want: plain,
    },
    { name: 'highest ports', entry: { ...valid, hostPort: 65535 }, want: { hostPort: 65535 } },
    {
      name: 'hostIP',
      entry: { ...valid, hostIP: '192.168.0.1' },
      want: { families: [4], hostIP: '192.168.0.1' },
    },
    {
      name: 'IPv6 hostIP in another spelling',
      entry: { ...valid, hostIP: 'FD00:0::1' },
      want: { families: [6], hostIP: 'fd00::1' },
    },
    {
      name: 'mapped hostIP',
      entry: { ...valid, hostIP: '::ffff:192.168.0.1' },
      want: { families: [4], hostIP: '192.168.0.1' },
    },
    {
      name: 'loopback',
      entry: { ...valid, hostIP: '127.0.0.1' },
      want: { families: [4], hostIP: '127.0.0.1' },
    },
  ])('$name', ({ entry, want }) => {
    expect(parsePortmapConfig(withMapping(entry)).mappings).toMatchObject([want]);
  });

  test.each([
    { hostIP: '0.0.0.0', families: [4] },
    { hostIP: '::', families: [6] },
    { hostIP: '', families: [4, 6] },
    { hostIP: null, families: [4, 6] },
  ])('hostIP $hostIP is every address of $families', ({ hostIP, families }) => {
    const [mapping] = parsePortmapConfig(withMapping({ ...valid, hostIP })).mappings;
    expect([mapping?.families, mapping && 'hostIP' in mapping]).toEqual([families, false]);
  });

  test.each([
    { config: {} },
    { config: { runtimeConfig: null } },
    { config: { runtimeConfig: {} } },
    { config: { runtimeConfig: { portMappings: null } } },
    { config: { runtimeConfig: { portMappings: [] } } },
    { config: { portMappings: [valid] } },
  ])('none in $config', ({ config }) => {
    expect(parsePortmapConfig(config).mappings).toEqual([]);
  });
});

describe('masquerading', () => {
  test.each([
    { config: {}, want: 'subnet' },
    { config: { snat: true }, want: 'subnet' },
    { config: { SNAT: false }, want: 'none' },
    { config: { snat: null }, want: 'subnet' },
    { config: { masqAll: true }, want: 'all' },
    { config: { masqAll: true, snat: false }, want: 'none' },
    { config: { markMasqBit: 5 }, want: 'subnet' },
    { config: { backend: 'nftables' }, want: 'subnet' },
    {
      config: { backend: '', externalSetMarkChain: null, conditionsV4: [], conditionsV6: null },
      want: 'subnet',
    },
  ])('$config: $want', ({ config, want }) => {
    expect(parsePortmapConfig(config).masquerade).toBe(want);
  });
});

test('conditions in the syntax of nft go into our own table, those of iptables into its', () => {
  const nft = { conditionsV4: ['ip', 'saddr', '10.0.0.0/8'] };
  const conditions = { 4: 'ip saddr 10.0.0.0/8', 6: '' };
  expect(parsePortmapConfig(nft)).toEqual({ mappings: [], masquerade: 'subnet', conditions });
  expect(parsePortmapConfig({ ...nft, backend: 'nftables' })).toMatchObject({ conditions });
  const { iptables } = parsePortmapConfig({ conditionsV6: ['-s', 'fd00::/8'] });
  expect(iptables?.conditions).toEqual({ 4: [], 6: ['-s', 'fd00::/8'] });
});

describe('errors', () => {
  const at = 'runtimeConfig.portMappings[0]';
  test.each([
    {
      entry: { ...valid, hostPort: 0 },
      code: 7,
      text: `${at}.hostPort: invalid host port number: 0`,
    },
    { entry: { containerPort: 1 }, code: 7, text: `${at}.hostPort: invalid host port number: 0` },
    { entry: { ...valid, hostPort: -1 }, code: 7, text: 'invalid host port number: -1' },
    { entry: { ...valid, hostPort: 65536 }, code: 7, text: 'invalid host port number: 65536' },
    { entry: { ...valid, hostPort: 1.5 }, code: 7, text: 'invalid host port number: 1.5' },
    { entry: { ...valid, hostPort: '80' }, code: 7, text: 'invalid host port number: "80"' },
    {
      entry: { hostPort: 1 },
      code: 7,
      text: `${at}.containerPort: invalid container port number: 0`,
    },
    { entry: { ...valid, containerPort: 70000 }, code: 7, text: 'invalid container port number' },
    {
      entry: { ...valid, protocol: 'icmp' },
      code: 7,
      text: `${at}.protocol: unknown protocol "icmp"`,
    },
    { entry: { ...valid, protocol: 6 }, code: 7, text: `${at}.protocol: unknown protocol 6` },
    {
      entry: { ...valid, hostIP: 'node' },
      code: 7,
      text: `${at}.hostIP: invalid IP address "node"`,
    },
    { entry: { ...valid, hostIP: 'fe80::1%eth0' }, code: 7, text: `${at}.hostIP` },
    { entry: { ...valid, hostIP: 4 }, code: 7, text: `${at}.hostIP: invalid IP address 4` },
    { entry: { ...valid, hostIP: '::1' }, code: 2, text: `${at}.hostIP = "::1"` },
    { entry: 'tcp', code: 7, text: `${at}: must be an object` },
    { entry: null, code: 7, text: `${at}: must be an object` },
    { config: { runtimeConfig: [] }, code: 7, text: 'runtimeConfig: must be an object' },
    { config: { runtimeConfig: { portMappings: {} } }, code: 7, text: 'must be an array' },
    { config: { snat: 'yes' }, code: 7, text: 'snat: must be a boolean' },
    { config: { masqAll: 1 }, code: 7, text: 'masqAll: must be a boolean' },
    { config: { markMasqBit: 32 }, code: 7, text: 'markMasqBit: must be 0 to 31' },
    { config: { markMasqBit: -1 }, code: 7, text: 'markMasqBit: must be 0 to 31' },
    { config: { backend: 'pf' }, code: 7, text: 'unrecognized backend "pf"' },
    { config: { externalSetMarkChain: 'a b' }, code: 7, text: 'invalid chain name "a b"' },
    {
      config: { externalSetMarkChain: 'KUBE-MARK-MASQ', markMasqBit: 14 },
      code: 7,
      text: 'Cannot specify externalSetMarkChain and markMasqBit',
    },
    {
      config: { backend: 'nftables', externalSetMarkChain: 'KUBE-MARK-MASQ' },
      code: 7,
      text: '"nftables" does not go with externalSetMarkChain',
    },
    {
      config: { backend: 'nftables', conditionsV4: ['-s', '10.0.0.0/8'] },
      code: 7,
      text: '"nftables" does not go with conditionsV4/V6',
    },
    {
      config: { conditionsV4: ['-s', 'a\nb'] },
      code: 7,
      text: 'conditionsV4[1]: must be a string',
    },
    { config: { conditionsV4: ['-j', 'ACCEPT'] }, code: 7, text: '"-j" is no condition' },
    {
      config: { conditionsV6: ['!', '--table=raw'] },
      code: 7,
      text: '"--table=raw" is no condition',
    },
    {
      config: { backend: 'iptables', conditionsV6: ['ip6 saddr fd00::/8'] },
      code: 7,
      text: 'conditionsV6: is in the syntax of nft',
    },
    {
      config: { externalSetMarkChain: 'MARK', conditionsV4: ['tcp dport 80'] },
      code: 7,
      text: 'conditionsV4: is in the syntax of nft, which externalSetMarkChain does not know',
    },
    {
      config: { conditionsV4: ['tcp dport 80'], conditionsV6: ['-s', 'fd00::/8'] },
      code: 7,
      text: 'conditionsV6: is in the syntax of iptables, conditionsV4 in that of nft',
    },
    { config: { conditionsV6: ['ip6'] }, code: 7, text: 'conditionsV6: ends too early' },
    {
      config: { backend: 'nftables', conditionsV4: ['ct', 'state new'] },
      code: 7,
      text: 'conditionsV4: "ct" is not understood: say it in the syntax of iptables',
    },
    { config: { conditionsV4: 'x' }, code: 7, text: 'conditionsV4: must be an array' },
  ])('[119] $text', ({ entry, config, code, text }) => {
    const parse = () => parsePortmapConfig(config ?? withMapping(entry));
    let thrown: unknown;
    try {
      parse();
    } catch (error) {
      thrown = error;
    }
    const { cniCode, message } = toCniError(thrown);
    expect([cniCode, message]).toEqual([code, expect.stringContaining(text)]);
  });
});
