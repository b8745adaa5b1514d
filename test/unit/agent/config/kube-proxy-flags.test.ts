import { describe, expect, test } from 'vitest';
import { fillDefaults } from '../../../../src/agent/config/kube-proxy-config.ts';
import { FLAGS } from '../../../../src/agent/config/kube-proxy-flag-table.ts';
import {
  type FlagValues,
  readKubeProxyOptions,
} from '../../../../src/agent/config/kube-proxy-flags.ts';
import { resolveProxySettings } from '../../../../src/agent/config/proxy-settings.ts';

const FILE = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: from-file
oomScoreAdj: 5000
`;

const read = (values: FlagValues) => readKubeProxyOptions(values, () => FILE);

describe('flags alone', () => {
  test('no flags are the defaults', () => {
    expect(read({})).toMatchObject({
      config: fillDefaults({}),
      warnings: [],
      isCleanup: false,
      isInitOnly: false,
    });
  });

  test.each<[string, unknown, object]>([
    ['proxy-mode', 'ipvs', { mode: 'ipvs' }],
    ['cluster-cidr', '10.0.0.0/8', { clusterCIDR: '10.0.0.0/8' }],
    [
      'nodeport-addresses',
      ['10.0.0.0/8', 'fd00::/8,fe80::/10'],
      { nodePortAddresses: ['10.0.0.0/8', 'fd00::/8', 'fe80::/10'] },
    ],
    ['nodeport-addresses', '', { nodePortAddresses: [] }],
    ['ipvs-exclude-cidrs', '10.0.0.0/8', { ipvs: { excludeCIDRs: ['10.0.0.0/8'] } }],
    ['oom-score-adj', '-7', { oomScoreAdj: -7 }],
    ['feature-gates', 'A=true,B=false', { featureGates: { A: true, B: false } }],
    [
      'masquerade-all',
      true,
      { iptables: { masqueradeAll: true }, nftables: { masqueradeAll: true } },
    ],
    [
      'iptables-min-sync-period',
      '0s',
      { iptables: { minSyncPeriod: '0s' }, nftables: { minSyncPeriod: '0s' } },
    ],
    [
      'iptables-sync-period',
      '1m',
      { iptables: { syncPeriod: '1m' }, nftables: { syncPeriod: '1m' } },
    ],
    ['iptables-localhost-nodeports', false, { iptables: { localhostNodePorts: false } }],
    ['kube-api-burst', '0', { clientConnection: { burst: 0 } }],
    ['hostname-override', ['a', 'b'], { hostnameOverride: 'b' }],
    ['healthz-bind-address', '', { healthzBindAddress: '' }],
    ['bind-address', '::', { bindAddress: '::', healthzBindAddress: '[::]:10256' }],
    ['v', '4', { logging: { verbosity: 4 } }],
  ])('--%s=%j', (name, value, want) => {
    expect(read({ [name]: value }).config).toMatchObject(want);
  });

  test.each<[FlagValues, string | object]>([
    [{ 'healthz-port': '0' }, { healthzBindAddress: '' }],
    [{ 'metrics-port': '0', 'metrics-bind-address': '192.168.0.1:1' }, { metricsBindAddress: '' }],
    [{ 'healthz-port': '99' }, { healthzBindAddress: '0.0.0.0:99' }],
    [{ 'metrics-port': '99', 'bind-address': '::' }, { metricsBindAddress: '[::1]:99' }],
    [
      { 'healthz-port': '99', 'healthz-bind-address': '192.168.0.1' },
      { healthzBindAddress: '192.168.0.1:99' },
    ],
    [
      { 'healthz-port': '99', 'healthz-bind-address': '192.168.0.1:7' },
      { healthzBindAddress: '192.168.0.1:7' },
    ],
    [
      { 'healthz-port': '99', 'healthz-bind-address': 'fd00::7' },
      { healthzBindAddress: '[fd00::7]:99' },
    ],
    [
      { 'healthz-port': '99', 'healthz-bind-address': '[fd00::7]:7' },
      { healthzBindAddress: '[fd00::7]:7' },
    ],
  ])('deprecated ports: %j', (values, want) => {
    expect(read(values).config).toMatchObject(want as object);
  });

  test.each<[FlagValues, string]>([
    [{ 'oom-score-adj': 'low' }, '--oom-score-adj: expected a number, found "low"'],
    [{ 'kube-api-qps': '' }, '--kube-api-qps: expected a number, found ""'],
    [{ 'feature-gates': 'A' }, '--feature-gates: expected Gate=true or Gate=false, found "A"'],
    [
      { 'ipvs-sync-period': '30' },
      '--ipvs-sync-period: expected a duration such as 30s or 1h30m, found "30"',
    ],
    [
      { 'proxy-mode': 'x' },
      '--proxy-mode: expected nftables, iptables, ipvs, userspace, auto or nothing, found "x"',
    ],
    [
      { 'iptables-masquerade-bit': '32' },
      '--iptables-masquerade-bit: expected a whole number, 0 to 31, found 32',
    ],
    [{ 'iptables-sync-period': '0s' }, '--iptables-sync-period: expected more than 0s, found 0s'],
    [
      { 'detect-local-mode': 'BridgeInterface' },
      '--pod-bridge-interface: detectLocalMode BridgeInterface needs it',
    ],
    [
      { 'cluster-cidr': '10.0.0.0/8,x' },
      '--cluster-cidr: expected a CIDR such as 10.0.0.0/8, found "x"',
    ],
  ])('%j is refused', (values, want) => {
    const attempt = () => {
      const { config, origin } = read(values);
      resolveProxySettings(config, origin);
    };
    expect(attempt).toThrow(new RegExp(want.replaceAll(/[().?]/g, '\\$&')));
  });

  test('flags of no effect are said to have none', () => {
    expect(read({ logtostderr: 'true' }).warnings).toEqual([
      '--logtostderr is accepted for compatibility and has no effect',
    ]);
  });
});

describe('with --config', () => {
  test('the file decides, hostname and logging flags excepted', () => {
    const options = read({
      config: 'f.yaml',
      'proxy-mode': 'ipvs',
      'hostname-override': 'from-flag',
      'healthz-port': '7',
      v: '6',
    });
    expect(options.config).toMatchObject({
      mode: 'nftables',
      hostnameOverride: 'from-flag',
      healthzBindAddress: '0.0.0.0:10256',
      logging: { verbosity: 6 },
    });
    expect(options.warnings).toEqual([
      '--proxy-mode is ignored because --config is given',
      '--healthz-port is ignored because --config is given',
    ]);
  });

  test('a wrong field is named by file, line and key', () => {
    const { config, origin } = read({ config: 'f.yaml' });
    expect(() => resolveProxySettings(config, origin)).toThrow(/^f\.yaml:5: oomScoreAdj: /);
  });

  test('what the process shall do comes from flags all the same', () => {
    expect(
      read({ config: 'f', cleanup: true, 'init-only': true, 'write-config-to': 'o', master: 'm' }),
    ).toMatchObject({ isCleanup: true, isInitOnly: true, writeConfigTo: 'o', master: 'm' });
  });
});

test('each flag writes values of the kind its fields hold', () => {
  const kinds: Record<string, string> = {
    text: 'string',
    duration: 'string',
    boolean: 'boolean',
    number: 'number',
    list: 'object',
    gates: 'object',
  };
  const config = fillDefaults({ nodePortAddresses: [] });
  const wrong = FLAGS.flatMap((flag) =>
    flag.paths.filter((path) => typeof at(config, path) !== kinds[flag.kind]).map(() => flag.name),
  );
  expect(wrong).toEqual([]);
});

function at(root: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (node, step) => (node as Record<string, unknown> | undefined)?.[step],
    root,
  );
}
