import { expect, test } from 'vitest';
import { createAgentMetrics } from '../../../../src/agent/metrics/metrics.ts';

test('what the agent forwards, as of each scrape', async () => {
  const metrics = createAgentMetrics({
    version: '1',
    nodeVersion: 'v26',
    hasProcessMetrics: false,
  });
  let forwarded = 5;
  metrics.observeForwarder(() => ({
    running: { tcp: 2, udp: 1 },
    forwarded: { tcp: forwarded, udp: 3 },
    refused: { verdict: 1, limit: 0, endpoints: 4 },
    listening: 12,
    failed: 1,
  }));
  await metrics.render();
  forwarded = 7;
  const lines = (await metrics.render()).split('\n').filter((line) => /^weft_userspace/.test(line));
  expect(lines).toEqual([
    'weft_userspace_connections{protocol="tcp"} 2',
    'weft_userspace_connections{protocol="udp"} 1',
    'weft_userspace_connections_total{protocol="tcp"} 7',
    'weft_userspace_connections_total{protocol="udp"} 3',
    'weft_userspace_refused_total{reason="verdict"} 1',
    'weft_userspace_refused_total{reason="limit"} 0',
    'weft_userspace_refused_total{reason="endpoints"} 4',
    'weft_userspace_listeners 12',
    'weft_userspace_failed_listeners 1',
  ]);
});
