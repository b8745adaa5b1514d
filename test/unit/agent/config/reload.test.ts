import { describe, expect, test } from 'vitest';
import { resolveAgentConfig } from '../../../../src/agent/config/agent-config.ts';
import { planReload } from '../../../../src/agent/config/reload.ts';
import { ConfigError } from '../../../../src/util/errors.ts';

const surroundings = { hostname: 'node-a', environment: {} };

function config(text: string) {
  return resolveAgentConfig({}, [{ path: 'weft.yaml', text }], surroundings);
}

const BASE = 'manifests: /objects\nproxy:\n  mode: nftables\n';

describe('planReload', () => {
  test.each([
    { name: 'nothing', text: BASE, applied: [], kept: [] },
    {
      name: 'what a running proxy takes over',
      text: `${BASE}  clusterCIDR: 10.0.0.0/8
  nodePortAddresses: [192.168.0.0/24]
  conntrack: {udpTimeout: 10s}
  nftables: {masqueradeAll: true, minSyncPeriod: 100ms}
`,
      applied: [
        'conntrack.udpTimeout',
        'nftables.masqueradeAll',
        'nftables.minSyncPeriod',
        'clusterCIDR',
        'nodePortAddresses',
      ],
      kept: [],
    },
    {
      name: 'what needs a new start',
      text: `components: [proxy]
manifests: /other
stateDir: /state
proxy:
  mode: ""
  metricsBindAddress: 0.0.0.0:10249
  featureGates: {SomeGate: true}
`,
      applied: [],
      kept: [
        'components',
        'kubeconfig, apiServers, kubelet, manifests or etcd',
        'stateDir',
        'metricsBindAddress',
        'mode',
        'featureGates.SomeGate',
      ],
    },
    {
      name: 'both at once',
      text: `logLevel: debug\nnodeName: node-b\n${BASE}  clusterCIDR: 10.0.0.0/8\n`,
      applied: ['logLevel', 'clusterCIDR'],
      kept: ['nodeName'],
    },
  ])('$name', ({ text, applied, kept }) => {
    const plan = planReload(config(BASE), config(text));
    expect([[...plan.applied].sort(), [...plan.kept].sort()]).toEqual([
      [...applied].sort(),
      [...kept].sort(),
    ]);
  });

  test('the new configuration has the applied values, and the old ones elsewhere', () => {
    const wanted = config(`${BASE}  clusterCIDR: 10.0.0.0/8\n  bindAddressHardFail: true\n`);
    const plan = planReload(config(BASE), wanted);
    expect(plan.config).toMatchObject({
      proxy: { clusterCIDRs: ['10.0.0.0/8'], bindAddressHardFail: false },
      kubeProxy: { clusterCIDR: '10.0.0.0/8', bindAddressHardFail: false },
    });
  });

  test('an optional field can go again', () => {
    const before = config(`${BASE}  nodePortAddresses: [192.168.0.0/24]\n`);
    const plan = planReload(before, config(BASE));
    expect([plan.config.kubeProxy.nodePortAddresses, plan.config.proxy.nodePortAddresses]).toEqual([
      undefined,
      { kind: 'primary' },
    ]);
  });

  test('a change of the mode keeps the defaults of the running one', () => {
    const wanted = config('manifests: /objects\nproxy: {mode: "", clusterCIDR: 10.0.0.0/8}\n');
    const plan = planReload(config(BASE), wanted);
    expect(plan.config.proxy.nodePortAddresses).toEqual({ kind: 'primary' });
  });

  test('a valid file that does not fit what is kept is refused', () => {
    const running = config(
      'manifests: /objects\nproxy: {mode: nftables, nftables: {syncPeriod: 30s}}\n',
    );
    const wanted = config(
      'manifests: /objects\nproxy: {mode: "", nftables: {syncPeriod: 1s, minSyncPeriod: 10s}}\n',
    );
    expect(() => planReload(running, wanted)).toThrow(ConfigError);
  });
});
