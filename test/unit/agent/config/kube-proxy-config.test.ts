import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findDoubts } from '../../../../src/agent/config/doubts.ts';
import {
  fillDefaults,
  parseKubeProxyConfig,
  renderKubeProxyConfig,
  KUBE_PROXY_SCHEMA as schema,
} from '../../../../src/agent/config/kube-proxy-config.ts';
import { resolveProxySettings } from '../../../../src/agent/config/proxy-settings.ts';
import { ConfigError } from '../../../../src/util/errors.ts';

const HEADER = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n';
const parse = (body: string) => parseKubeProxyConfig(HEADER + body, 'config.conf');

/** What `kubeadm init` puts into the ConfigMap kube-proxy. */
const KUBEADM = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection:
  acceptContentTypes: ""
  burst: 0
  contentType: ""
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
  qps: 0
clusterCIDR: 10.0.0.0/8
configSyncPeriod: 0s
conntrack:
  maxPerCore: null
  min: null
  tcpBeLiberal: false
  tcpCloseWaitTimeout: null
  tcpEstablishedTimeout: null
  udpStreamTimeout: 0s
  udpTimeout: 0s
detectLocal:
  bridgeInterface: ""
  interfaceNamePrefix: ""
detectLocalMode: ""
enableProfiling: false
healthzBindAddress: ""
hostnameOverride: ""
iptables:
  localhostNodePorts: null
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
ipvs:
  excludeCIDRs: null
  minSyncPeriod: 0s
  scheduler: ""
  strictARP: false
  syncPeriod: 0s
  tcpFinTimeout: 0s
  tcpTimeout: 0s
  udpTimeout: 0s
kind: KubeProxyConfiguration
logging:
  flushFrequency: 0
  options:
    json:
      infoBufferSize: "0"
    text:
      infoBufferSize: "0"
  verbosity: 0
metricsBindAddress: ""
mode: ""
nftables:
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
nodePortAddresses: null
oomScoreAdj: null
portRange: ""
showHiddenMetricsForVersion: ""
winkernel:
  enableDSR: false
  forwardHealthCheckVip: false
  networkName: ""
  rootHnsEndpointName: ""
  sourceVip: ""
`;

describe('defaults', () => {
  test('a file with nothing in it', () => {
    expect(parse('').config).toEqual({
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
      kind: 'KubeProxyConfiguration',
      featureGates: {},
      clientConnection: {
        kubeconfig: '',
        acceptContentTypes: '',
        contentType: 'application/vnd.kubernetes.protobuf',
        qps: 5,
        burst: 10,
      },
      logging: { format: 'text', flushFrequency: '5s', verbosity: 0 },
      hostnameOverride: '',
      bindAddress: '0.0.0.0',
      healthzBindAddress: '0.0.0.0:10256',
      metricsBindAddress: '127.0.0.1:10249',
      bindAddressHardFail: false,
      enableProfiling: false,
      showHiddenMetricsForVersion: '',
      mode: '',
      iptables: {
        masqueradeBit: 14,
        masqueradeAll: false,
        localhostNodePorts: true,
        syncPeriod: '30s',
        minSyncPeriod: '1s',
      },
      ipvs: {
        syncPeriod: '30s',
        minSyncPeriod: '0s',
        scheduler: '',
        excludeCIDRs: [],
        strictARP: false,
        tcpTimeout: '0s',
        tcpFinTimeout: '0s',
        udpTimeout: '0s',
      },
      nftables: {
        masqueradeBit: 14,
        masqueradeAll: false,
        syncPeriod: '30s',
        minSyncPeriod: '1s',
      },
      detectLocalMode: '',
      detectLocal: { bridgeInterface: '', interfaceNamePrefix: '' },
      clusterCIDR: '',
      oomScoreAdj: -999,
      conntrack: {
        maxPerCore: 32768,
        min: 131072,
        tcpEstablishedTimeout: '24h0m0s',
        tcpCloseWaitTimeout: '1h0m0s',
        tcpBeLiberal: false,
        udpTimeout: '0s',
        udpStreamTimeout: '0s',
      },
      configSyncPeriod: '15m0s',
    });
  });

  test("kubeadm's file is the defaults but for what it sets, without a warning", () => {
    const { config, warnings } = parseKubeProxyConfig(KUBEADM, 'config.conf');
    const defaults = parse('').config;
    expect(warnings).toEqual([]);
    expect(config).toMatchObject({
      ...defaults,
      clusterCIDR: '10.0.0.0/8',
      clientConnection: {
        ...defaults.clientConnection,
        kubeconfig: '/var/lib/kube-proxy/kubeconfig.conf',
      },
      logging: { verbosity: 0, format: 'text' },
    });
  });

  test('an IPv6 bindAddress moves both servers to IPv6', () => {
    const { config } = parse('bindAddress: "::"');
    expect([config.healthzBindAddress, config.metricsBindAddress]).toEqual([
      '[::]:10256',
      '[::1]:10249',
    ]);
  });

  test.each([
    ['conntrack: {min: 0}', { conntrack: { min: 0 } }],
    ['conntrack: {tcpEstablishedTimeout: 0s}', { conntrack: { tcpEstablishedTimeout: '0s' } }],
    ['iptables: {masqueradeBit: 0}', { iptables: { masqueradeBit: 0 } }],
    ['iptables: {localhostNodePorts: false}', { iptables: { localhostNodePorts: false } }],
    ['oomScoreAdj: 0', { oomScoreAdj: 0 }],
    ['nodePortAddresses: []', { nodePortAddresses: [] }],
  ])('%s is a setting, not an absence', (body, want) => {
    expect(parse(body).config).toMatchObject(want);
  });

  test.each([
    ['iptables: {minSyncPeriod: 0s}', { iptables: { minSyncPeriod: '1s' } }],
    ['nftables: {minSyncPeriod: 0s}', { nftables: { minSyncPeriod: '1s' } }],
    ['nftables: {syncPeriod: "0"}', { nftables: { syncPeriod: '30s' } }],
    ['ipvs: {minSyncPeriod: 0s}', { ipvs: { minSyncPeriod: '0s' } }],
    ['configSyncPeriod: 0s', { configSyncPeriod: '15m0s' }],
    ['healthzBindAddress: ""', { healthzBindAddress: '0.0.0.0:10256' }],
    ['metricsBindAddress: ""', { metricsBindAddress: '127.0.0.1:10249' }],
  ])('%s gives the default', (body, want) => {
    expect(parse(body).config).toMatchObject(want);
  });

  test('what is written out is read back', () => {
    const config = fillDefaults({
      mode: 'nftables',
      nodePortAddresses: ['primary'],
      featureGates: { A: true, B: false },
    });
    expect(parseKubeProxyConfig(renderKubeProxyConfig(config), 'f').config).toEqual(config);
  });
});

describe('lenient', () => {
  test.each([
    ['modes: ipvs', 'config.conf:3: modes: unknown key (did you mean mode?)'],
    ['iptables:\n  masqBit: 14', 'config.conf:4: iptables.masqBit: unknown key'],
    ['mode: ipvs\nmode: nftables', 'config.conf:4: mode: duplicate key, the last counts'],
    ['conntrack:\n  other: 1', 'config.conf:4: conntrack.other: unknown key'],
  ])('%j is accepted with a warning', (body, want) => {
    expect(parse(body).warnings).toEqual([want]);
  });

  test('the last of two equal keys counts', () => {
    expect(parse('mode: ipvs\nmode: nftables').config.mode).toBe('nftables');
  });

  test('unknown feature gates are no matter', () => {
    const { config, warnings } = parse('featureGates: {NeverHeardOf: true}');
    expect({ gates: config.featureGates, warnings }).toEqual({
      gates: { NeverHeardOf: true },
      warnings: [],
    });
  });
});

describe('wrong types', () => {
  test.each([
    [
      'bindAddress: 7',
      'bindAddress',
      'config.conf:3: bindAddress: expected string, found number 7',
    ],
    [
      'iptables:\n  masqueradeAll: "true"',
      'iptables.masqueradeAll',
      'config.conf:4: iptables.masqueradeAll: expected boolean, found string "true"',
    ],
    [
      'iptables: {syncPeriod: 30}',
      'iptables.syncPeriod',
      'config.conf:3: iptables.syncPeriod: expected string, found number 30',
    ],
    [
      'ipvs: {udpTimeout: 5 minutes}',
      'ipvs.udpTimeout',
      'config.conf:3: ipvs.udpTimeout: expected a duration such as 30s or 1h30m, found string "5 minutes"',
    ],
    [
      'nodePortAddresses: primary',
      'nodePortAddresses',
      'config.conf:3: nodePortAddresses: expected array, found string "primary"',
    ],
    [
      'nodePortAddresses:\n- 10.0.0.0/8\n- 4',
      'nodePortAddresses.1',
      'config.conf:5: nodePortAddresses.1: expected string, found number 4',
    ],
    ['conntrack: []', 'conntrack', 'config.conf:3: conntrack: expected object, found list'],
    [
      'featureGates: {A: "true"}',
      'featureGates.A',
      'config.conf:3: featureGates.A: expected boolean, found string "true"',
    ],
    [
      'oomScoreAdj: 1.5',
      'oomScoreAdj',
      'config.conf:3: oomScoreAdj: expected integer, found number 1.5',
    ],
  ])('%j', (body, key, message) => {
    expect(errorOf(() => parse(body))).toEqual({ key, message });
  });

  test('an unquoted IPv6 address is fatal and the line is shown', () => {
    expect(() => parse('bindAddress: ::')).toThrow(
      /^parse config\.conf:3:14: .* in "bindAddress: ::"$/,
    );
  });

  test('every field refuses a value of another type', () => {
    for (const { path, wrong } of wrongValues(schema.properties, [])) {
      const yaml = JSON.stringify(nested(path, wrong));
      const file = `{"apiVersion":"${schemaHeader.apiVersion}","kind":"${schemaHeader.kind}",${yaml.slice(1)}`;
      expect(
        errorOf(() => parseKubeProxyConfig(file, 'f')),
        yaml,
      ).toMatchObject({
        key: path.join('.'),
      });
    }
  });

  test.each([
    ['', 'f: apiVersion: expected kubeproxy.config.k8s.io/v1alpha1, found nothing'],
    [
      'apiVersion: kubeproxy.config.k8s.io/v1beta1',
      'f: apiVersion: expected kubeproxy.config.k8s.io/v1alpha1, found "kubeproxy.config.k8s.io/v1beta1"',
    ],
    [
      'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeletConfiguration',
      'f: kind: expected KubeProxyConfiguration, found "KubeletConfiguration"',
    ],
    ['- 1', 'f: apiVersion: expected kubeproxy.config.k8s.io/v1alpha1, found nothing'],
  ])('header %j', (text, message) => {
    expect(errorOf(() => parseKubeProxyConfig(text, 'f'))).toMatchObject({ message });
  });
});

const schemaHeader = {
  apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
  kind: 'KubeProxyConfiguration',
};

interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
}

test('the sample configuration is valid, says what it does, and has the defaults', () => {
  const file = join(import.meta.dirname, '../../../../cni-conf/kube-proxy-config.yaml');
  const { config, warnings, origin } = parseKubeProxyConfig(readFileSync(file, 'utf8'), file);
  const settings = resolveProxySettings(config, origin);
  expect([warnings, findDoubts(settings)]).toEqual([[], []]);
  expect(config).toEqual({
    ...fillDefaults({ mode: 'nftables' }),
    clusterCIDR: '10.244.0.0/16',
    detectLocalMode: 'ClusterCIDR',
    nodePortAddresses: ['primary'],
  });
});

/** For each field of the schema a value no type of it allows. */
function wrongValues(
  properties: Readonly<Record<string, SchemaNode>>,
  path: readonly string[],
): { path: readonly string[]; wrong: unknown }[] {
  return Object.entries(properties).flatMap(([name, node]) => {
    if (path.length === 0 && (name === 'apiVersion' || name === 'kind')) return [];
    const own = [...path, name];
    const wrong = node.type === 'boolean' ? 'text' : true;
    return [{ path: own, wrong }, ...wrongValues(node.properties ?? {}, own)];
  });
}

function nested(path: readonly string[], value: unknown): unknown {
  return path.reduceRight<unknown>((inner, step) => ({ [step]: inner }), value);
}

function errorOf(attempt: () => unknown): { key: string; message: string } | undefined {
  try {
    attempt();
  } catch (error) {
    if (error instanceof ConfigError) return { key: error.key, message: error.message };
    throw error;
  }
  return undefined;
}
