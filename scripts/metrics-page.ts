/** The reference page of metrics, from what an agent with everything in it would serve. */

import { createAgentMetrics } from '../src/agent/metrics/metrics.ts';
import { NOTHING_YET } from '../src/fabric/report.ts';

const HEAD = `# Metrics

Made by \`make reference-pages\` of what the agent registers; a test compares. Served on \`metricsBindAddress\`,
127.0.0.1:10249 unless configured, at \`/metrics\`; those that begin with \`kubeproxy_\` are kube-proxy's, names and
all. Process and Node.js metrics (\`process_*\`, \`nodejs_*\`) are served besides, and by Service and endpoint
\`weft_service_connections_total\`, \`weft_service_refused_packets_total\` and, with \`--endpoint-metrics\`,
\`weft_endpoint_connections_total\`.
`;

/** A row for each name: type, help. */
export async function metricsPage(): Promise<string> {
  const rows = describedIn(await everything());
  const lines = rows.map(({ name, type, help }) => `| \`${name}\` | ${type} | ${help} |`);
  return `${HEAD}\n| metric | type | |\n| --- | --- | --- |\n${lines.join('\n')}\n`;
}

/** The text of an agent in which every part has registered its own. */
function everything(): Promise<string> {
  const metrics = createAgentMetrics({ version: '', nodeVersion: '', hasProcessMetrics: false });
  metrics.forProxyMode('nftables');
  metrics.observeIptables({ rules: () => [], packets: () => undefined });
  metrics.observeManifests(() => ({ problems: 0, passedOver: 0 }));
  metrics.observeForwarder(() => {
    const none = { tcp: 0, udp: 0 };
    const refused = { verdict: 0, limit: 0, endpoints: 0 };
    return { running: none, forwarded: none, refused, listening: 0, failed: 0 };
  });
  const life = {
    ...{ isOpen: false, isConfigured: false, isConditionSet: false },
    ...{ podsOutside: 0, podsTooLarge: 0 },
  };
  const guard = { repairs: 0, dropped: { fromPods: 0n, fromStrangers: 0n, probes: 0n } };
  metrics.observeFabric(() => ({ report: NOTHING_YET, life, findings: [], guard }));
  metrics.observePolicyCounts({
    totals: () => Promise.resolve([]),
    denials: () => ({ told: 0, repeated: 0, suppressed: 0, lost: 0 }),
  });
  return metrics.render();
}

/** `# HELP name words` and `# TYPE name type` of the text format. */
function describedIn(text: string) {
  const types = new Map(
    Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name = '', type = '']) => [name, type]),
  );
  return Array.from(text.matchAll(/^# HELP (\S+) (.*)$/gm), ([, name = '', help = '']) => {
    return { name, type: types.get(name) ?? '', help: help.replaceAll('|', '\\|') };
  }).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
