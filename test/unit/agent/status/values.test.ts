import { describe, expect, test } from 'vitest';
import { diskStatusText, statusText } from '../../../../src/agent/debug/status-text.ts';
import {
  type AgentStatus,
  type FabricStatus,
  type FamilyStatus,
  findProblems,
  type PolicyStatus,
  type SourceStatus,
} from '../../../../src/agent/status/values.ts';

const FAMILY: FamilyStatus = {
  family: 4,
  isSynced: true,
  isHealthy: true,
  services: 12,
  servicePorts: 14,
  endpoints: 1,
  pending: 0,
  lastSyncAt: '2026-01-01T00:00:57.000Z',
};
const SOURCE: SourceStatus = {
  kind: 'apiServer',
  location: '10.0.0.1:6443',
  foundBy: "the kubelet's kubeconfig /etc/kubernetes/kubelet.conf",
  isSynced: true,
  lastEventAt: '2026-01-01T00:00:00.000Z',
  problems: [],
  passedOver: [],
  resources: [
    {
      resource: 'services',
      lists: 1,
      watches: 4,
      failures: { timeout: 3 },
      withheld: 0,
      isRestored: false,
    },
    { resource: 'nodes', lists: 1, watches: 1, failures: {}, withheld: 0, isRestored: false },
  ],
};
const PROXY = {
  mode: 'iptables',
  reason: 'auto: the first that works',
  passedOver: [{ mode: 'nftables', reason: 'the kernel has no CONFIG_NFT_FIB_IPV4' }],
  rules: 'iptables-legacy',
  families: [FAMILY],
  repairs: 2,
  lastRepair: { at: '2025-12-31T20:40:00.000Z', what: 'ip nat KUBE-SERVICES', by: 'iptables' },
  formerRules: ['nftables'],
  kubeProxyTables: [],
} as const;
const CNI = {
  attachments: 3,
  pods: 2,
  unfinishedAdds: 1,
  networks: [
    { network: 'mynet', family: 4, used: 3, free: 250 },
    { network: 'mynet', family: 6, used: 1 },
  ],
  doubts: ['network mynet serves no host ports: 10-mynet.conflist'],
} as const;

const STATUS: AgentStatus = {
  isRunning: true,
  isHealthy: true,
  problems: [],
  now: '2026-01-01T00:01:00.000Z',
  startedAt: '2025-12-29T22:01:00.000Z',
  version: '1.2.3',
  nodeVersion: 'v26.0.0',
  pid: 77,
  node: 'node-a',
  runDir: '/run/weft',
  components: ['cni', 'proxy'],
  residentBytes: 70 * 1024 * 1024,
  proxy: PROXY,
  source: SOURCE,
  cni: CNI,
};

const NO_COLORS = { hasColors: false };

test('a network without a free address is a problem', () => {
  const network = { network: 'mynet', family: 4, used: 3, free: 0 } as const;
  const cni = { attachments: 3, pods: 3, unfinishedAdds: 0, networks: [network], doubts: [] };
  expect(findProblems({ cni })).toEqual([
    'network mynet has no IPv4 address left: new pods wait for one',
  ]);
});

test('one screen about an agent', () => {
  expect(statusText(STATUS, NO_COLORS)).toBe(`weft 1.2.3 on node-a: healthy
        up 2 d 2 h, pid 77, 70 MiB of memory, components cni, proxy
proxy   mode iptables (legacy): auto: the first that works
          not nftables: the kernel has no CONFIG_NFT_FIB_IPV4
        IPv4: 12 Services, 1 endpoint; synced 3 s ago, nothing pending
        rules put right 2 times, last 3 h 21 min ago: ip nat KUBE-SERVICES, changed by iptables
        rules of the mode before are left: nftables
source  API server 10.0.0.1:6443, found by the kubelet's kubeconfig /etc/kubernetes/kubelet.conf: all read, last event 1 min ago
        failed requests for services since the start: timeout 3
cni     3 interfaces in 2 pods, 1 ADD unfinished
        mynet IPv4: 3 addresses used, 250 free
        mynet IPv6: 1 address used
        network mynet serves no host ports: 10-mynet.conflist
`);
});

test.each([
  {
    name: 'nothing found',
    audit: { differences: 0, comparedAt: '2026-01-01T00:00:48.000Z' },
    want: 'kernel compared 12 s ago, no difference',
  },
  {
    name: 'not through yet',
    audit: { differences: 0 },
    want: 'kernel not compared whole yet, no difference',
  },
  {
    name: 'something found',
    audit: {
      differences: 3,
      comparedAt: '2026-01-01T00:00:48.000Z',
      last: { at: '2026-01-01T00:00:00.000Z', what: 'map endpoints', differences: 1 },
    },
    want: 'kernel compared 12 s ago, 3 differences put right, last 1 min ago: map endpoints',
  },
])('the standing comparison: $name', ({ audit, want }) => {
  const cni = { ...CNI, audit };
  expect(statusText({ ...STATUS, cni }, NO_COLORS)).toContain(`        ${want}\n`);
  expect(statusText({ ...STATUS, proxy: { ...PROXY, audit } }, NO_COLORS)).toContain(
    `        ${want}\n`,
  );
});

test('an agent that is not healthy says why, in red on a terminal', () => {
  const status = { ...STATUS, isHealthy: false, problems: ['IPv4: it\u001b[2J hurts'] };
  const text = statusText(status, { hasColors: true });
  expect(text).toContain('on node-a: \u001b[31mnot healthy\u001b[0m\n');
  expect(text).toContain('        \u001b[31mIPv4: it?[2J hurts\u001b[0m\n');
});

test('changes on their way, and a first sync that is to come', () => {
  const { lastSyncAt: _, ...waiting } = FAMILY;
  const pending = { ...waiting, pending: 4, pendingSince: '2026-01-01T00:00:50.000Z' };
  const text = statusText({ ...STATUS, proxy: { ...PROXY, families: [pending] } }, NO_COLORS);
  expect(text).toContain('1 endpoint; not synced yet, 4 pending, since 10 s\n');
});

test('without an agent: what is on record', () => {
  const { cni } = STATUS;
  if (cni === undefined) throw new Error('no cni');
  const text = diskStatusText(
    'nobody answers',
    { runDir: '/run/x', rules: ['nftables'], cni },
    NO_COLORS,
  );
  expect(text).toMatch(/^weft: not running\n {8}nobody answers\n {8}on record in \/run\/x:\n/);
  expect(text).toContain('proxy   rules in the kernel: nftables; they go on working\n');
  expect(text).toContain('cni     3 interfaces in 2 pods, 1 ADD unfinished\n');
});

test('a source with problems, and what it passes over', () => {
  const { foundBy: _, ...ofServer } = SOURCE;
  const source: SourceStatus = {
    ...ofServer,
    kind: 'manifests',
    location: '/etc/weft',
    problems: ['manifest a.yaml: EACCES'],
    resources: [],
    passedOver: [
      { kind: 'v1 Service', reason: 'it has no clusterIP', count: 7, keys: ['ns/a', 'ns/b'] },
      { kind: 'apps/v1 Deployment', reason: 'not read', count: 1, keys: [''] },
    ],
  };
  const lines = statusText({ ...STATUS, source }, { hasColors: false }).split('\n');
  const start = lines.findIndex((line) => line.startsWith('source'));
  expect(lines.slice(start, start + 3)).toEqual([
    'source  manifests /etc/weft: read, with problems, last event 1 min ago',
    '        passed over: 7 of v1 Service (ns/a, ns/b, …): it has no clusterIP',
    '        passed over: 1 of apps/v1 Deployment: not read',
  ]);
});

test('etcd, with its endpoints and how far it is', () => {
  const { foundBy: _, ...ofServer } = SOURCE;
  const etcd = { endpoints: ['10.0.0.8:2379', '10.0.0.9:2379'], revision: 41 };
  const source: SourceStatus = { ...ofServer, kind: 'etcd', location: '10.0.0.9:2379', etcd };
  const lines = statusText({ ...STATUS, source }, { hasColors: false }).split('\n');
  const start = lines.findIndex((line) => line.startsWith('source'));
  expect(lines.slice(start, start + 2)).toEqual([
    'source  etcd 10.0.0.9:2379: all read, last event 1 min ago',
    '        revision 41; 2 endpoints: 10.0.0.8:2379, 10.0.0.9:2379',
  ]);
});

describe('problems', () => {
  const { lastSyncAt: _, ...unsynced } = FAMILY;
  const of = (family: FamilyStatus) => ({ proxy: { ...PROXY, families: [family] } });
  test.each<{
    readonly name: string;
    readonly status: Pick<AgentStatus, 'proxy' | 'source'>;
    readonly want: readonly string[];
  }>([
    { name: 'none', status: { proxy: PROXY, source: SOURCE }, want: [] },
    { name: 'none of an agent without a proxy', status: {}, want: [] },
    {
      name: 'a failed sync',
      status: of({ ...FAMILY, lastError: { at: '', reason: 'EBUSY' } }),
      want: ['IPv4: the last sync failed: EBUSY'],
    },
    {
      name: 'a late sync',
      status: of({ ...FAMILY, isHealthy: false }),
      want: ['IPv4: changes wait for too long'],
    },
    { name: 'no sync yet', status: of(unsynced), want: ['IPv4: no rules are in place yet'] },
    {
      name: 'objects that were not read',
      status: { source: { ...SOURCE, isSynced: false } },
      want: ['not all objects were read yet'],
    },
    {
      name: 'a list that lacks too many',
      status: {
        source: {
          ...SOURCE,
          resources: SOURCE.resources.map((each) => ({ ...each, withheld: 3 })),
        },
      },
      want: ['services', 'nodes'].map((resource) => {
        const what = `the last list of ${resource} lacks 3 that were there, too many at once`;
        return `${what}: they are kept until it has been so for 5 minutes`;
      }),
    },
    {
      name: 'objects of the last run',
      status: {
        source: {
          ...SOURCE,
          resources: [
            {
              resource: 'services',
              lists: 0,
              watches: 0,
              failures: {},
              withheld: 0,
              isRestored: true,
            },
          ],
        },
      },
      want: ['the API server is not reached: objects of the last run stand in'],
    },
    {
      name: 'manifests that cannot be read',
      status: { source: { ...SOURCE, problems: ['manifest a.yaml: EACCES'] } },
      want: ['manifest a.yaml: EACCES'],
    },
    {
      name: 'a kube-proxy beside us',
      status: { proxy: { ...PROXY, kubeProxyTables: ['ip kube-proxy'] } },
      want: ['table ip kube-proxy of a kube-proxy is in use too'],
    },
  ])('$name', ({ status, want }) => {
    expect(findProblems(status)).toEqual(want);
  });
});

describe('a fabric that is not ready', () => {
  const fabric: FabricStatus = {
    ...{ isReady: false, reason: 'no podCIDRs', isOpen: true, backend: 'auto', podCIDRs: [] },
    peers: { direct: 0, vxlan: 0, unreachable: 0, withoutPods: 0 },
    paths: { full: 0, smaller: 0, nothing: 0 },
    ...{ entries: 0, repairs: 0, problems: ['no podCIDRs', 'node b: no address'] },
    notices: [],
  };

  test('says why once, and what is wrong besides', () => {
    expect(findProblems({ fabric })).toEqual(['fabric: no podCIDRs', 'fabric: node b: no address']);
  });

  test('leaves the reason to the pods that wait for it', () => {
    expect(findProblems({ fabric: { ...fabric, isOpen: false } })).toEqual([
      'fabric: node b: no address',
    ]);
  });
});

describe('policies', () => {
  const policy: PolicyStatus = {
    ...{ isReady: false, reason: 'proxy mode ipvs', policies: { network: 2, cluster: 1 } },
    ...{ localPods: 3, subjects: 4, readsAllPods: true, elements: 120, generation: 7 },
    ...{
      lastCommitMs: 2,
      repairs: 1,
      waiting: 1,
      overBudget: 0,
      problems: ['Admin x: domainNames'],
    },
  };

  test('that do not hold are a problem, once', () => {
    const want = ['policy: proxy mode ipvs', 'policy: Admin x: domainNames'];
    expect(findProblems({ policy })).toEqual(want);
    expect(findProblems({ policy: { ...policy, problems: [policy.reason] } })).toEqual([want[0]]);
    expect(findProblems({ policy: { ...policy, reason: '', problems: [] } })).toEqual([]);
  });

  test('have their lines', () => {
    expect(statusText({ ...STATUS, policy }, NO_COLORS)).toContain(
      `policy  not ready; 2 NetworkPolicies, 1 ClusterNetworkPolicy
        4 addresses of 3 pods selected; pods of all nodes are followed; 1 pod waiting to start
        120 elements in the kernel, generation 7, put right 1 time
`,
    );
  });
});
