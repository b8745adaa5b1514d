/** The reference page of metrics, from what an agent with everything in it would serve. */

import { type AgentMetrics, createAgentMetrics } from '../src/agent/metrics/metrics.ts';
import { NOTHING_YET } from '../src/fabric/report.ts';
import { MODES } from '../src/proxy/modes/names.ts';

const HEAD = `# Metrics

Made by \`make reference-pages\` of what the agent registers; a test compares. Served on \`metricsBindAddress\`,
127.0.0.1:10249 unless configured, at \`/metrics\`; those that begin with \`kubeproxy_\` are kube-proxy's, names and
all. Process and Node.js metrics (\`process_*\`, \`nodejs_*\`) are served besides, and by Service and endpoint
\`weft_service_connections_total\`, \`weft_service_refused_packets_total\` and, with \`--endpoint-metrics\`,
\`weft_endpoint_connections_total\`.

"of" says which agents have it: every one, those with the proxy (in all modes, or in some), with the fabric, policies or
routing, or with \`--manifests\`.

## Alerts and a dashboard

| file of \`cni-conf/\`, installed as \`/opt/weft/share\` | for |
| --- | --- |
| \`alerts.yaml\` | \`rule_files\` of a Prometheus |
| \`prometheus-rule.yaml\` | the same for the Prometheus operator: \`kubectl apply -f\` |
| \`grafana.json\` | Grafana 10 or later: Dashboards, Import |

The scrape job is to be called \`weft\`, its \`instance\` the node. Each alert says where to look next: most often
\`weft doctor\`, \`weft status\` or \`weft services\` on that node.

## How many series

Labels have few values: components, modes, verbs, codes, checks, reasons. Three kinds grow with the cluster, and each is
bounded:

| metrics | series of a node |
| --- | --- |
| \`weft_service_connections_total\`, \`weft_service_refused_packets_total\` | one for each address and port of a Service that was used or refused; 10,000 Services of which 500 are used on the node are 500 to 2,000 |
| \`weft_endpoint_connections_total\` | one for each endpoint that was used; off unless \`endpointMetrics\` is on |
| \`weft_policy_connections_total\` | 1,000 pairs of policy and direction, two verdicts each; policies beyond share the name \`""\` |

No series has a pod or the address of one, but for \`weft_endpoint_connections_total\`. Without weft's own by Service a node has
fewer than 1,000, most of them buckets of histograms.

## All of them
`;

/** A row for each name: type, of which agents it is, help. */
export async function metricsPage(): Promise<string> {
  const rows = new Map<string, Described & { readonly of: string[] }>();
  for (const [part, register] of PARTS) {
    for (const described of await registeredBy(register)) {
      const row = rows.get(described.name) ?? { ...described, of: [] };
      row.of.push(part);
      rows.set(described.name, row);
    }
  }
  const lines = [...rows.values()]
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, type, help, of }) => `| \`${name}\` | ${type} | ${ownersOf(of)} | ${help} |`);
  return `${HEAD}\n| metric | type | of | |\n| --- | --- | --- | --- |\n${lines.join('\n')}\n`;
}

const EVERY_AGENT = 'every agent';

/** What registers metrics, each alone: an agent as it is, and what is registered when it is used. */
const PARTS: readonly (readonly [string, (metrics: AgentMetrics) => void])[] = [
  [EVERY_AGENT, () => {}],
  ...MODES.map((mode) => {
    const register = (metrics: AgentMetrics) => {
      metrics.forProxyMode(mode);
      if (mode === 'iptables')
        metrics.observeIptables({ rules: () => [], packets: () => undefined });
      if (mode !== 'iptables') observeForwarder(metrics);
    };
    return [mode, register] as const;
  }),
  ['manifests', (metrics) => metrics.observeManifests(() => ({ problems: 0, passedOver: 0 }))],
  ['fabric', observeFabric],
  ['policy', observePolicy],
  ['routing', observeRouting],
];

function observeRouting(metrics: AgentMetrics): void {
  metrics.observeRouting(() => {
    return { asn: 0, topology: 'none', sessions: [], routes: [], reloads: 0, problems: [] };
  });
}

/** Mode userspace is one; the others have one where NodePorts answer on localhost but not in the kernel. */
function observeForwarder(metrics: AgentMetrics): void {
  metrics.observeForwarder(() => {
    const none = { tcp: 0, udp: 0 };
    const refused = { verdict: 0, limit: 0, endpoints: 0 };
    return { running: none, forwarded: none, refused, listening: 0, failed: 0 };
  });
}

function observeFabric(metrics: AgentMetrics): void {
  const life = {
    ...{ isOpen: false, isConfigured: false, isConditionSet: false },
    ...{ podsOutside: 0, podsTooLarge: 0 },
  };
  const guard = { repairs: 0, dropped: { fromPods: 0n, fromStrangers: 0n, probes: 0n } };
  metrics.observeFabric(() => ({ report: NOTHING_YET, life, findings: [], guard }));
}

function observePolicy(metrics: AgentMetrics): void {
  metrics.observePolicy(() => ({
    ...{ reason: '', policies: { network: 0, cluster: 0 }, localPods: 0, subjects: 0 },
    ...{ readsAllPods: false, elements: 0, generation: 0, lastCommitMs: 0, repairs: 0 },
    ...{ waiting: 0, overBudget: 0, problems: [] },
  }));
  metrics.observePolicyCounts({
    totals: () => Promise.resolve([]),
    denials: () => ({ told: 0, repeated: 0, suppressed: 0, lost: 0 }),
  });
}

function ownersOf(parts: readonly string[]): string {
  if (parts.includes(EVERY_AGENT)) return EVERY_AGENT;
  if (MODES.every((mode) => parts.includes(mode))) return 'proxy, all modes';
  return parts.map((part) => (isMode(part) ? `mode ${part}` : part)).join(', ');
}

function isMode(part: string): boolean {
  return MODES.some((mode) => mode === part);
}

async function registeredBy(
  register: (metrics: AgentMetrics) => void,
): Promise<readonly Described[]> {
  const metrics = createAgentMetrics({ version: '', nodeVersion: '', hasProcessMetrics: false });
  register(metrics);
  return describedIn(await metrics.render());
}

interface Described {
  readonly name: string;
  readonly type: string;
  readonly help: string;
}

/** `# HELP name words` and `# TYPE name type` of the text format. */
function describedIn(text: string): readonly Described[] {
  const types = new Map(
    Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name = '', type = '']) => [name, type]),
  );
  return Array.from(text.matchAll(/^# HELP (\S+) (.*)$/gm), ([, name = '', help = '']) => {
    return { name, type: types.get(name) ?? '', help: help.replaceAll('|', '\\|') };
  }).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
