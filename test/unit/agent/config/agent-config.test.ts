import { describe, expect, test } from 'vitest';
import {
  type AgentFlags,
  agentConfigFromKubeProxy,
  resolveAgentConfig,
} from '../../../../src/agent/config/agent-config.ts';
import { readKubeProxyOptions } from '../../../../src/agent/config/kube-proxy-flags.ts';
import { readOwnFlags } from '../../../../src/agent/config/own-settings.ts';
import { ConfigError } from '../../../../src/util/errors.ts';

const outside = { hostname: 'Node-A', environment: {} };
const inCluster = { hostname: 'Node-A', environment: { KUBERNETES_SERVICE_HOST: '172.30.0.1' } };

function resolve(flags: AgentFlags, text?: string, surroundings = inCluster as typeof outside) {
  const files = text === undefined ? [] : [{ path: 'weft.yaml', text }];
  return resolveAgentConfig(flags, files, surroundings);
}

describe('several files', () => {
  const read = (...texts: readonly string[]) => {
    const files = texts.map((text, index) => ({ path: `${index}.yaml`, text }));
    return resolveAgentConfig({}, files, outside);
  };
  const BASE = 'manifests: /m\ncomponents: [cni]\nproxy:\n  mode: ipvs\n  conntrack: {min: 5}\n';

  test('a later one replaces settings and lists, and leaves the others', () => {
    const { components, kubeProxy } = read(BASE, 'components: [proxy]\nproxy: {mode: nftables}\n');
    expect([components, kubeProxy.mode, kubeProxy.conntrack.min]).toEqual([
      new Set(['proxy']),
      'nftables',
      5,
    ]);
    expect(read(BASE, '# nothing\n', 'proxy:\n').kubeProxy.mode).toBe('ipvs');
  });

  test.each([
    ['in the file that has it last', [BASE, 'proxy: {mode: ip}', ''], /^1\.yaml:1: proxy\.mode/],
    ['in the first of two', [BASE, '{}', 'nodeNam: a'], /^2\.yaml:1: .*nodeName/],
    ['in both', ['a: 1', 'b: 1'], /^0\.yaml:1: .*\n1\.yaml:1: /],
  ])('what is wrong is told %s', (_name, texts, message) => {
    expect(() => read(...texts)).toThrow(message);
  });
});

describe.each(['healthzBindAddress', 'metricsBindAddress'] as const)('an empty %s', (key) => {
  const file = `{apiVersion: kubeproxy.config.k8s.io/v1alpha1, kind: KubeProxyConfiguration, ${key}: ""}`;

  test('turns the server off, as the flag does', () => {
    expect(resolve({}, `proxy: {${key}: ""}`).proxy[key]).toBeUndefined();
  });

  test("is the default where kube-proxy's own file is below proxy", () => {
    expect(resolve({}, `proxy: ${file}`).proxy[key]).toEqual(resolve({}).proxy[key]);
  });
});

test('networks of Services', () => {
  expect(resolve({}, 'serviceCIDRs: [10.96.0.0/12, "fd00:96::/108"]').serviceCIDRs).toEqual([
    '10.96.0.0/12',
    'fd00:96::/108',
  ]);
  expect(() => resolve({}, 'serviceCIDRs: [10.96.0.0]')).toThrow(/^weft\.yaml:1: serviceCIDRs/);
});

describe('resolveAgentConfig', () => {
  test('defaults', () => {
    expect(resolve({})).toMatchObject({
      components: new Set(['cni', 'proxy']),
      nodeName: 'node-a',
      source: {
        ...{ kind: 'apiServer', kubeconfig: undefined, servers: [] },
        kubelet: {
          kubeconfigs: ['/etc/kubernetes/kubelet.conf'],
          hostRoot: '/',
        },
      },
      runDir: '/run/weft',
      logLevel: 'info',
      isInitOnly: false,
      cni: { ipamDirectory: '/var/lib/cni/networks' },
      proxy: { mode: 'nftables', syncPeriodMs: 30_000 },
      own: {
        stateDir: '/var/lib/weft',
        allowMassDeletion: false,
        conntrackKillTCP: false,
        takeOver: true,
        iptablesVariant: 'auto',
      },
      warnings: [],
    });
  });

  const FILE = `components: [cni, proxy]
nodeName: From-File
kubeconfig: /file/kubeconfig
runDir: /run/file
logLevel: warn
proxy:
  mode: nftables
  clusterCIDR: 10.0.0.0/8
  nftables: {minSyncPeriod: 100ms}
cni:
  ipamDirectory: /file/ipam
`;

  test('the file over defaults', () => {
    expect(resolve({}, FILE)).toMatchObject({
      components: new Set(['cni', 'proxy']),
      nodeName: 'from-file',
      source: { kind: 'apiServer', kubeconfig: '/file/kubeconfig' },
      runDir: '/run/file',
      logLevel: 'warn',
      proxy: {
        clusterCIDRs: ['10.0.0.0/8'],
        minSyncPeriodMs: 100,
        nodePortAddresses: { kind: 'primary' },
      },
      cni: { ipamDirectory: '/file/ipam' },
    });
  });

  test.each<[AgentFlags, object]>([
    [{ components: 'proxy, cni' }, { components: new Set(['proxy', 'cni']) }],
    [{ nodeName: 'From-Flag' }, { nodeName: 'from-flag' }],
    [{ kubeconfig: '/flag' }, { source: { kind: 'apiServer', kubeconfig: '/flag' } }],
    [{ manifests: '/flag' }, { source: { kind: 'manifests', directory: '/flag' } }],
    [
      { apiServers: 'https://10.0.0.1:6443, https://[fd00::2]:6443' },
      { source: { servers: ['https://10.0.0.1:6443', 'https://[fd00::2]:6443'] } },
    ],
    [{ apiServers: 'http://[::1]:8001' }, { source: { servers: ['http://[::1]:8001'] } }],
    [{ runDir: '/run/flag/' }, { runDir: '/run/flag/' }],
    [{ logLevel: 'trace' }, { logLevel: 'trace' }],
  ])('%j over the file', (flags, want) => {
    expect(resolve(flags, FILE)).toMatchObject(want);
  });

  test.each<[string, object]>([
    ['proxy: {hostnameOverride: Other}', { nodeName: 'other' }],
    ['proxy: {clientConnection: {kubeconfig: /k}}', { source: { kubeconfig: '/k' } }],
    [
      'kubeconfig: /k\nproxy: {clientConnection: {kubeconfig: /l}}',
      { source: { kubeconfig: '/k' } },
    ],
    [
      'apiServers: [https://10.0.0.1:6443]\nkubelet: {hostRoot: /host}',
      { source: { servers: ['https://10.0.0.1:6443'], kubelet: { hostRoot: '/host' } } },
    ],
    ['', { nodeName: 'node-a' }],
    ['# nothing\n', { nodeName: 'node-a' }],
  ])('file %j', (text, want) => {
    expect(resolve({}, text)).toMatchObject(want);
  });

  test.each<[AgentFlags, string, string]>([
    [{ apiServers: '10.0.0.1:6443' }, '', '--api-server: expected a URL such as https://'],
    [{ apiServers: 'https://u:secret@a' }, '', '--api-server: the URL must not hold a user name'],
    [{ apiServers: 'http://10.0.0.1:8080' }, '', "the agent's token is not sent without TLS"],
    [{}, 'apiServers:\n  - https://a\n  - ftp://b', 'weft.yaml:3: apiServers.1: expected a URL'],
    [{}, 'kubelet: {hostRoot: host}', 'kubelet.hostRoot'],
  ])('%j and file %j are refused', (flags, text, message) => {
    expect(() => resolve(flags, text)).toThrow(message);
    expect(() => resolve(flags, text)).not.toThrow('secret');
  });

  test('WEFT_RUN_DIR is the default only', () => {
    const surroundings = { hostname: 'a', environment: { WEFT_RUN_DIR: '/run/env' } };
    const runDirs = [{ components: 'cni' }, { components: 'cni', runDir: '/run/flag' }].map(
      (flags) => resolve(flags, undefined, surroundings).runDir,
    );
    expect(runDirs).toEqual(['/run/env', '/run/flag']);
  });

  test('cni alone needs no source of objects', () => {
    expect(resolve({ components: 'cni' }, undefined, outside).source).toEqual({ kind: 'none' });
  });

  test.each<[string, AgentFlags, string | undefined, RegExp]>([
    [
      'unknown key',
      {},
      'nodename: a',
      /^weft\.yaml:1: nodename: unknown key \(did you mean nodeName\?\)$/,
    ],
    [
      'unknown nested key',
      {},
      'cni:\n  ipamDir: /x',
      /^weft\.yaml:2: cni\.ipamDir: unknown key \(did you mean ipamDirectory\?\)$/,
    ],
    [
      'unknown proxy key',
      {},
      'proxy:\n  clusterCidr: x',
      /^weft\.yaml:2: proxy\.clusterCidr: unknown key \(did you mean clusterCIDR\?\)$/,
    ],
    ['duplicate key', {}, 'runDir: /a\nrunDir: /b', /^weft\.yaml:2: runDir: duplicate key$/],
    ['wrong type', {}, 'nodeName: 7', /^weft\.yaml:1: nodeName: expected string, found number 7$/],
    [
      'wrong component',
      {},
      'components:\n- cni\n- polisy',
      /^weft\.yaml:3: components\.1: expected one of "cni", "proxy", "fabric", "policy", "routing", found string "polisy"/,
    ],
    ['no component', {}, 'components: []', /^weft\.yaml:1: components: .*fewer than 1/],
    ['a list', {}, '- a', /^weft\.yaml: expected object, found list$/],
    ['wrong proxy value', {}, 'proxy:\n  mode: x', /^weft\.yaml:2: proxy\.mode: expected nftables/],
    [
      'both sources',
      { kubeconfig: 'a', manifests: 'b' },
      undefined,
      /^--kubeconfig and --manifests exclude each other/,
    ],
    [
      'both in the file',
      {},
      'kubeconfig: a\nmanifests: b',
      /^kubeconfig and manifests exclude each other/,
    ],
    [
      'component flag',
      { components: 'prox' },
      undefined,
      /^--components: expected cni, proxy, fabric, policy, routing, found "prox" \(did you mean proxy\?\)$/,
    ],
    ['level flag', { logLevel: 'inf' }, undefined, /^--log-level: .*\(did you mean info\?\)$/],
    [
      'blank node name',
      { nodeName: '  ' },
      undefined,
      /^--node-name: the node's name must not be blank$/,
    ],
    [
      'relative run directory',
      { runDir: 'run' },
      undefined,
      /^run directory "run": expected an absolute path$/,
    ],
  ])('%s', (_name, flags, text, message) => {
    const attempt = () => resolve(flags, text);
    expect(attempt).toThrow(ConfigError);
    expect(attempt).toThrow(message);
  });

  test('no source of objects', () => {
    expect(() => resolve({}, undefined, outside)).toThrow(
      /give --kubeconfig FILE or --manifests DIR/,
    );
  });
});

describe("weft's own settings", () => {
  test('flags over the file over defaults', () => {
    const text = 'stateDir: /file\ntakeOver: false\nallowMassDeletion: true\n';
    const own = readOwnFlags({ 'state-dir': ['/a', '/b'], 'allow-mass-deletion': false });
    expect(resolve({ own }, text).own).toMatchObject({
      stateDir: '/b',
      allowMassDeletion: false,
      conntrackKillTCP: false,
      takeOver: false,
    });
  });

  test.each([
    { flag: undefined, text: '', want: 'auto' },
    { flag: undefined, text: 'iptablesVariant: legacy\n', want: 'legacy' },
    { flag: 'nft', text: 'iptablesVariant: legacy\n', want: 'nft' },
  ])('the variant of iptables: $flag over $text', ({ flag, text, want }) => {
    const own = readOwnFlags({ 'iptables-variant': flag });
    expect(resolve({ own }, `logLevel: info\n${text}`).own.iptablesVariant).toBe(want);
  });

  test('an unknown variant of iptables', () => {
    const own = readOwnFlags({ 'iptables-variant': 'nftt' });
    expect(() => resolve({ own })).toThrow(
      '--iptables-variant: expected auto, nft, legacy, found "nftt" (did you mean nft?)',
    );
    expect(() => resolve({}, 'iptablesVariant: old\n')).toThrow(/^weft.yaml:1: iptablesVariant: /);
  });

  test.each([
    { flag: undefined, text: '', want: 16_384 },
    { flag: undefined, text: 'userspaceMaxConnections: 100\n', want: 100 },
    { flag: '200', text: 'userspaceMaxConnections: 100\n', want: 200 },
  ])('a number: $flag over $text', ({ flag, text, want }) => {
    const own = readOwnFlags({ 'userspace-max-connections': flag });
    expect(resolve({ own }, `logLevel: info\n${text}`).own.userspaceMaxConnections).toBe(want);
  });

  test.each(['0', '-1', '1.5', 'many', '500001', ''])('a number out of its range: "%s"', (flag) => {
    const own = readOwnFlags({ 'userspace-max-connections': flag });
    expect(() => resolve({ own })).toThrow(
      '--userspace-max-connections: expected a whole number from 1 to 500000',
    );
  });

  test('the same in the file', () => {
    expect(() => resolve({}, 'userspaceUdpIdleSeconds: 86401\n')).toThrow(
      /^weft.yaml:1: userspaceUdpIdleSeconds: expected a whole number from 1 to 86400$/,
    );
    expect(() => resolve({}, 'userspaceMaxUdpFlows: many\n')).toThrow(/^weft.yaml:1: /);
  });

  test('they count for weft proxy beside --config', () => {
    const file = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n';
    const values = { config: 'f', 'conntrack-kill-tcp': true };
    const options = readKubeProxyOptions(values, () => file);
    const config = agentConfigFromKubeProxy(options, readOwnFlags(values), inCluster);
    expect([config.own.conntrackKillTCP, config.warnings]).toEqual([true, []]);
  });

  test.each<[AgentFlags, string | undefined, RegExp]>([
    [{ own: { stateDir: 'relative' } }, undefined, /^--state-dir: expected an absolute path/],
    [{}, 'logLevel: info\nstateDir: relative\n', /^weft.yaml:2: stateDir: expected an absolute/],
    [{}, 'takeOver: 1\n', /^weft.yaml:1: takeOver: expected boolean/],
  ])('%j %j', (flags, text, want) => {
    expect(() => resolve(flags, text)).toThrow(want);
  });
});

describe('agentConfigFromKubeProxy', () => {
  const from = (values: Record<string, unknown>, hostname = 'Node-A') => {
    const options = readKubeProxyOptions(values, () => '');
    return agentConfigFromKubeProxy(options, {}, { hostname, environment: {} });
  };

  test('only the proxy, on an API server', () => {
    expect(
      from({ kubeconfig: '/k', master: 'https://192.168.0.1', 'init-only': true }),
    ).toMatchObject({
      components: new Set(['proxy']),
      nodeName: 'node-a',
      source: {
        ...{ kind: 'apiServer', kubeconfig: '/k', servers: ['https://192.168.0.1'] },
        kubelet: { kubeconfigs: [] },
      },
      isInitOnly: true,
    });
  });

  test.each([
    [' Host.Name ', 'host.name'],
    ['', 'node-a'],
  ])('--hostname-override=%j', (override, want) => {
    expect(from({ 'hostname-override': override }).nodeName).toBe(want);
  });

  test('a blank override is refused', () => {
    expect(() => from({ 'hostname-override': '  ' })).toThrow(/^--hostname-override: .*blank$/);
  });

  test.each([
    ['0', 'info'],
    ['3', 'info'],
    ['4', 'debug'],
    ['10', 'trace'],
  ])('-v %s logs at %s', (v, want) => {
    expect(from({ v }).logLevel).toBe(want);
  });
});
