import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commandsPage } from '../../../scripts/commands-page.ts';
import { metricsPage } from '../../../scripts/metrics-page.ts';

const docs = (page: string) => join(import.meta.dirname, '../../../docs', page);

test('docs/commands.md is what the commands say (make reference-pages)', async () => {
  await expect(await commandsPage()).toMatchFileSnapshot(docs('commands.md'));
});

test.each([
  ['weft_build_info', 'every agent'],
  ['kubeproxy_sync_proxy_rules_duration_seconds', 'proxy, all modes'],
  ['weft_nftables_repairs_total', 'mode nftables'],
  ['weft_ipvs_repairs_total', 'mode ipvs'],
  ['kubeproxy_sync_proxy_rules_iptables_restore_failures_total', 'mode iptables, mode ipvs'],
  ['weft_userspace_sync_failures_total', 'mode userspace'],
  ['weft_userspace_listeners', 'mode nftables, mode ipvs, mode userspace'],
  ['weft_fabric_peers', 'fabric'],
  ['weft_manifest_problems', 'manifests'],
])('of which agents %s is', async (name, owners) => {
  const row = (await metricsPage()).split('\n').find((line) => line.startsWith(`| \`${name}\` |`));
  expect(row?.split(' | ')[2]).toBe(owners);
});

test('docs/metrics.md names what is served (make reference-pages)', async () => {
  await expect(await metricsPage()).toMatchFileSnapshot(docs('metrics.md'));
});
