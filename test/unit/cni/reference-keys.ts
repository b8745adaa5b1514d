/**
 * Every key that the reference plugins read, up to release 1.9.1: since when, as far as 1.1.1 and its
 * documents say, and which test of ours shows what it does here. Results and keys of libcni (`name`,
 * `cniVersion`, `capabilities`, `prevResult`, `dns`) are the protocol's.
 */
export interface ReferenceKey {
  /** Its path in the configuration of the plugin. */
  readonly key: string;
  /** Release of the reference; `1.1.1` also stands for those before. */
  readonly since: string;
  /** The release that reads it no more: there as here it changes nothing. */
  readonly until?: string;
  /** What is added to a configuration that works. */
  readonly config: object;
  /** A file of tests, and text in it that names the test. */
  readonly test: readonly [file: string, title: string];
}

const net = (name: string) => `test/netns/${name}.test.ts`;
const unit = (name: string) => `test/unit/${name}.test.ts`;

const ports = net('cni-bridge-ports');
const bridgeConfig = unit('cni/bridge/config');
const executables = unit('cni/plugins/executables');
const ranges = unit('ipam/range-config');
const iptablesPorts = net('cni-portmap-iptables');
const firewall = net('cni-firewall');
const tuning = net('cni-tuning');
const bandwidth = net('cni-bandwidth');

const hostLocal = (more: object) => ({
  ipam: { type: 'host-local', subnet: '10.1.0.0/24', ...more },
});
const fixed = (more: object) => ({
  ipam: { type: 'static', addresses: [{ address: '10.1.0.5/24' }], ...more },
});
const limits = { ingressRate: 8_000_000, ingressBurst: 800_000 };

export const referenceKeys: Readonly<Record<string, readonly ReferenceKey[]>> = {
  bridge: [
    { key: 'bridge', since: '1.1.1', config: { bridge: 'br1' }, test: [ports, '[74] is made, up'] },
    {
      key: 'isGateway',
      since: '1.1.1',
      config: { isGateway: true },
      test: [ports, '[84] addresses'],
    },
    {
      key: 'isDefaultGateway',
      since: '1.1.1',
      config: { isDefaultGateway: true },
      test: [ports, '[68] addresses and routes'],
    },
    {
      key: 'forceAddress',
      since: '1.1.1',
      config: { forceAddress: true },
      test: [ports, '[84] addresses'],
    },
    {
      key: 'ipMasq',
      since: '1.1.1',
      config: { ipMasq: true },
      test: [net('cni-bridge'), 'ipMasq'],
    },
    {
      key: 'ipMasqBackend',
      since: '1.6.0',
      config: { ipMasqBackend: 'iptables' },
      test: [net('cni-iptables'), '[90] ipMasqBackend: iptables'],
    },
    { key: 'mtu', since: '1.1.1', config: { mtu: 1400 }, test: [ports, '[133] mtu'] },
    {
      key: 'hairpinMode',
      since: '1.1.1',
      config: { hairpinMode: true },
      test: [net('cni-bridge'), 'hairpin'],
    },
    {
      key: 'promiscMode',
      since: '1.1.1',
      config: { promiscMode: true },
      test: [ports, '[85] promiscMode'],
    },
    {
      key: 'vlan',
      since: '1.1.1',
      config: { vlan: 100 },
      test: [net('cni-bridge-vlan'), 'vlan: 100'],
    },
    {
      key: 'vlanTrunk',
      since: '1.3.0',
      config: { vlanTrunk: [{ minID: 200, maxID: 210 }, { id: 5 }] },
      test: [net('cni-bridge-vlan'), 'vlanTrunk: trunk'],
    },
    {
      key: 'preserveDefaultVlan',
      since: '1.3.0',
      config: { vlan: 100, preserveDefaultVlan: true },
      test: [net('cni-bridge-vlan'), 'preserveDefaultVlan'],
    },
    {
      key: 'macspoofchk',
      since: '1.1.1',
      config: { macspoofchk: true },
      test: [ports, '[92] macspoofchk'],
    },
    {
      key: 'enabledad',
      since: '1.1.1',
      config: { enabledad: true },
      test: [ports, '[73] duplicate address detection'],
    },
    {
      key: 'disableContainerInterface',
      since: '1.5.0',
      config: { disableContainerInterface: true, ipam: {} },
      test: [ports, '[93] disableContainerInterface'],
    },
    {
      key: 'portIsolation',
      since: '1.6.0',
      config: { portIsolation: true },
      test: [ports, '[94] isolated ports'],
    },
    {
      key: 'args.cni.mac',
      since: '1.1.1',
      config: { args: { cni: { mac: 'c2:11:22:33:44:55' } } },
      test: [ports, '[88] hardware address'],
    },
    {
      key: 'runtimeConfig.mac',
      since: '1.1.1',
      config: { runtimeConfig: { mac: 'c2:11:22:33:44:55' } },
      test: [ports, '[88] hardware address'],
    },
  ],
  'host-local': [
    {
      key: 'ipam.subnet',
      since: '1.1.1',
      config: hostLocal({}),
      test: [ranges, '[97] every form of configuration'],
    },
    {
      key: 'ipam.rangeStart',
      since: '1.1.1',
      config: hostLocal({ rangeStart: '10.1.0.10' }),
      test: [ranges, '[97] every form of configuration'],
    },
    {
      key: 'ipam.rangeEnd',
      since: '1.1.1',
      config: hostLocal({ rangeEnd: '10.1.0.20' }),
      test: [ranges, '[97] every form of configuration'],
    },
    {
      key: 'ipam.gateway',
      since: '1.1.1',
      config: hostLocal({ gateway: '10.1.0.254' }),
      test: [ranges, '[97] every form of configuration'],
    },
    {
      key: 'ipam.ranges',
      since: '1.1.1',
      config: { ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }]] } },
      test: [ranges, '[97] every form of configuration'],
    },
    {
      key: 'ipam.routes',
      since: '1.1.1',
      config: hostLocal({ routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }] }),
      test: [ports, '[68] addresses and routes'],
    },
    {
      key: 'ipam.dataDir',
      since: '1.1.1',
      config: hostLocal({ dataDir: '/run/addresses' }),
      test: [unit('ipam/allocate'), '[107] ADD and DEL write'],
    },
    {
      key: 'ipam.resolvConf',
      since: '1.1.1',
      config: hostLocal({ resolvConf: '/etc/resolv.conf' }),
      test: [unit('ipam/resolv-conf'), '[116] resolv.conf'],
    },
    {
      key: 'runtimeConfig.ipRanges',
      since: '1.1.1',
      config: { ...hostLocal({}), runtimeConfig: { ipRanges: [[{ subnet: '10.2.0.0/24' }]] } },
      test: [bridgeConfig, 'ranges of the runtime'],
    },
    {
      key: 'runtimeConfig.ips',
      since: '1.1.1',
      config: { ...hostLocal({}), runtimeConfig: { ips: ['10.1.0.7'] } },
      test: [ranges, '[59, 98] requested addresses'],
    },
    {
      key: 'args.cni.ips',
      since: '1.1.1',
      config: { ...hostLocal({}), args: { cni: { ips: ['10.1.0.7'] } } },
      test: [ranges, '[59, 98] requested addresses'],
    },
  ],
  static: [
    {
      key: 'ipam.addresses',
      since: '1.1.1',
      config: fixed({}),
      test: [executables, 'gives what is configured'],
    },
    {
      key: 'ipam.routes',
      since: '1.1.1',
      config: fixed({ routes: [{ dst: '0.0.0.0/0' }] }),
      test: [executables, 'gives what is configured'],
    },
    {
      key: 'ipam.dns',
      since: '1.1.1',
      config: fixed({ dns: { nameservers: ['10.0.0.53'] } }),
      test: [executables, 'gives what is configured'],
    },
    {
      key: 'args.cni.ips',
      since: '1.1.1',
      config: {
        ...fixed({ addresses: [{ address: 'later' }] }),
        args: { cni: { ips: ['10.1.0.6/24'] } },
      },
      test: [executables, 'addresses that %s replace are not judged'],
    },
    {
      key: 'runtimeConfig.ips',
      since: '1.1.1',
      config: {
        ...fixed({ addresses: [{ address: 'later' }] }),
        runtimeConfig: { ips: ['10.1.0.6/24'] },
      },
      test: [executables, 'addresses that %s replace are not judged'],
    },
  ],
  portmap: [
    {
      key: 'runtimeConfig.portMappings',
      since: '1.1.1',
      config: {
        runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 80, protocol: 'tcp' }] },
      },
      test: [net('cni-portmap-chain'), 'type weft: one execution'],
    },
    { key: 'snat', since: '1.1.1', config: { snat: false }, test: [iptablesPorts, 'snat: false'] },
    {
      key: 'masqAll',
      since: '1.6.0',
      config: { masqAll: true },
      test: [iptablesPorts, 'addresses of the node: each port'],
    },
    {
      key: 'markMasqBit',
      since: '1.1.1',
      config: { markMasqBit: 5 },
      test: [iptablesPorts, "'markMasqBit'"],
    },
    {
      key: 'externalSetMarkChain',
      since: '1.1.1',
      config: { externalSetMarkChain: 'KUBE-MARK-MASQ' },
      test: [iptablesPorts, "'externalSetMarkChain'"],
    },
    {
      key: 'backend',
      since: '1.6.0',
      config: { backend: 'iptables' },
      test: [iptablesPorts, "'backend iptables'"],
    },
    {
      key: 'conditionsV4',
      since: '1.1.1',
      config: { conditionsV4: ['!', '-s', '192.0.2.0/24'] },
      test: [iptablesPorts, "'conditions'"],
    },
    {
      key: 'conditionsV6',
      since: '1.1.1',
      config: { conditionsV6: ['!', '-d', '2001:db8::/32'] },
      test: [iptablesPorts, "'conditions'"],
    },
    {
      key: 'conditionsV4: nft',
      since: '1.6.0',
      config: { conditionsV4: ['ip saddr != { 192.0.2.0/24, 198.51.100.0/24 } tcp dport > 1023'] },
      test: [net('cni-portmap-conditions'), 'conditions decide who gets through'],
    },
    {
      key: 'conditionsV6: nft',
      since: '1.6.0',
      config: { conditionsV6: ['ip6', 'daddr', '2001:db8::/32'] },
      test: [net('cni-portmap-conditions'), 'what nft itself would make of it'],
    },
  ],
  bandwidth: [
    { key: 'ingressRate', since: '1.1.1', config: limits, test: [bandwidth, 'ingress'] },
    { key: 'ingressBurst', since: '1.1.1', config: limits, test: [bandwidth, 'ingress'] },
    {
      key: 'egressRate',
      since: '1.1.1',
      config: { egressRate: 8_000_000, egressBurst: 800_000 },
      test: [bandwidth, 'egress'],
    },
    {
      key: 'egressBurst',
      since: '1.1.1',
      config: { egressRate: 8_000_000, egressBurst: 800_000 },
      test: [bandwidth, 'egress'],
    },
    {
      key: 'unshapedSubnets',
      since: '1.5.0',
      until: '1.6.0',
      config: { ...limits, unshapedSubnets: ['10.0.0.0/8'] },
      test: [unit('cni/bandwidth/config'), 'subnets'],
    },
    {
      key: 'shapedSubnets',
      since: '1.5.0',
      until: '1.6.0',
      config: { ...limits, shapedSubnets: ['10.0.0.0/8', 'fd00::/8'] },
      test: [unit('cni/bandwidth/config'), 'subnets'],
    },
    {
      key: 'runtimeConfig.bandwidth',
      since: '1.1.1',
      config: { runtimeConfig: { bandwidth: limits } },
      test: [unit('cni/bandwidth/config'), 'runtimeConfig'],
    },
  ],
  firewall: [
    {
      key: 'firewalldZone',
      since: '1.1.1',
      config: { firewalldZone: 'trusted' },
      test: [net('cni-firewalld'), "firewalldZone: 'work'"],
    },
    {
      key: 'backend: firewalld',
      since: '1.1.1',
      config: { backend: 'firewalld' },
      test: [net('cni-firewalld'), "backend: 'firewalld'"],
    },
    {
      key: 'backend',
      since: '1.1.1',
      config: { backend: 'iptables' },
      test: [firewall, 'rules are those that'],
    },
    {
      key: 'iptablesAdminChainName',
      since: '1.1.1',
      config: { iptablesAdminChainName: 'MINE' },
      test: [unit('cni/firewall/config'), "iptablesAdminChainName: 'X-1'"],
    },
    {
      key: 'ingressPolicy',
      since: '1.1.1',
      config: { ingressPolicy: 'same-bridge' },
      test: [firewall, 'same-bridge: other bridges'],
    },
    {
      key: 'ingressPolicy: isolated',
      since: '1.7.0',
      config: { ingressPolicy: 'isolated' },
      test: [firewall, 'isolated: nothing of the bridge'],
    },
  ],
  tuning: [
    {
      key: 'sysctl',
      since: '1.1.1',
      config: { sysctl: { 'net.core.somaxconn': '500' } },
      test: [tuning, 'are the pod’s, not the node’s'],
    },
    {
      key: 'mac',
      since: '1.1.1',
      config: { mac: 'c2:11:22:33:44:55' },
      test: [tuning, 'are applied, told'],
    },
    { key: 'mtu', since: '1.1.1', config: { mtu: 1400 }, test: [tuning, 'are applied, told'] },
    {
      key: 'promisc',
      since: '1.1.1',
      config: { promisc: true },
      test: [tuning, 'are applied, told'],
    },
    {
      key: 'allmulti',
      since: '1.1.1',
      config: { allmulti: true },
      test: [tuning, 'are applied, told'],
    },
    { key: 'txQLen', since: '1.2.0', config: { txQLen: 500 }, test: [tuning, 'are applied, told'] },
    {
      key: 'dataDir',
      since: '1.1.1',
      config: { dataDir: '/run/tuning' },
      test: [tuning, 'host-device handed'],
    },
    {
      key: 'runtimeConfig.mac',
      since: '1.1.1',
      config: { runtimeConfig: { mac: 'c2:11:22:33:44:55' } },
      test: [unit('cni/tuning/config'), 'the mac of %j'],
    },
    ...['sysctl', 'mac', 'mtu', 'promisc', 'allmulti', 'txQLen'].map((name): ReferenceKey => {
      const values: Readonly<Record<string, unknown>> = {
        sysctl: { 'net.core.somaxconn': '500' },
        mac: 'c2:11:22:33:44:55',
        mtu: 1400,
        promisc: false,
        allmulti: false,
        txQLen: 0,
      };
      const config = { args: { cni: { [name]: values[name] } } };
      const since = name === 'txQLen' ? '1.2.0' : '1.1.1';
      return {
        key: `args.cni.${name}`,
        since,
        config,
        test: [unit('cni/tuning/config'), 'args.cni'],
      };
    }),
  ],
};
