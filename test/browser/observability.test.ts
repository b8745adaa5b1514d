/** The dashboard and the alerts against what an installed agent serves, and its page, on a node with pods. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { alertExpressions } from '../../scripts/observability/alerts.ts';
import { dashboardExpressions } from '../../scripts/observability/dashboard.ts';
import { Cluster, type ClusterNode, type Pod } from '../support/cluster.ts';
import { nodeManifest, serviceManifest, sliceManifests } from '../support/manifests.ts';
import { openBrowser, openPage, SCREENS, untilDrawn } from '../support/page/browser.ts';
import { metricsIn } from '../support/page/expressions.ts';
import { until } from '../support/until.ts';
import { probe } from '../support/workloads.ts';

const SHARE = new URL('../../dist/root/opt/weft/share', import.meta.url).pathname;
const WEB = { name: 'web', clusterIPs: ['172.30.0.10', 'fd00:172:30::10'], port: 80 };
const EMPTY = { name: 'empty', clusterIPs: ['172.30.0.11', 'fd00:172:30::11'], port: 80 };

const directory = mkdtempSync(join(tmpdir(), 'weft-watched-'));
let cluster: Cluster;
let node: ClusterNode;
let client: Pod;
let browser: Browser;

beforeAll(async () => {
  cluster = new Cluster(2, 'seen', { fabric: 'auto' });
  [node] = cluster.nodes as [ClusterNode, ClusterNode];
  cluster.writeManifest('nodes.yaml', [nodeManifest(1), nodeManifest(2)]);
  const flags = ['--components', 'cni,proxy,fabric,policy', '--ui-bind-address', '8474'];
  await node.startAgent(flags);
  client = await node.createPod('client');
  const endpoints = [{ addresses: client.addresses, nodeName: node.name }];
  cluster.writeManifest('services.yaml', [
    ...[serviceManifest(WEB), ...sliceManifests(WEB, 8080, endpoints)],
    serviceManifest(EMPTY),
  ]);
  // Nobody listens there: it is the first packet that is counted.
  const hosts = ['172.30.0.10', '172.30.0.11'];
  await until('both Services are counted', async () => {
    for (const host of hosts) {
      await probe(client.netnsPath, { host, port: 80, count: 2, timeoutMs: 300 });
    }
    const text = await metrics();
    return hosts.every((host) => text.includes(host));
  });
  browser = await openBrowser(inNode());
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await cluster.remove();
  rmSync(directory, { recursive: true, force: true });
});

/** Chromium where the agent's loopback is. */
function inNode(): string {
  const path = join(directory, 'chromium-in-node');
  writeFileSync(path, `#!/bin/sh\nexec nsenter --net=${node.netns.path} /usr/bin/chromium "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

async function metrics(): Promise<string> {
  const script =
    'fetch("http://127.0.0.1:10249/metrics").then((r) => r.text()).then((t) => process.stdout.write(t))';
  return node.netns.run(process.execPath, '-e', script);
}

describe('what the agent serves', () => {
  /** Of components that this node has not. */
  const ELSEWHERE = [
    ...['up', 'weft_bgp_session_established', 'rest_client_requests_total'],
    ...['weft_address_pool_used', 'weft_address_pool_addresses'],
  ];

  test('has every metric that the dashboard and the alerts ask for', async () => {
    const served = new Set(
      [...(await metrics()).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name),
    );
    const asked = [...alertExpressions().values(), ...dashboardExpressions()].flatMap(metricsIn);
    const missing = asked.filter((name) => !served.has(name) && !ELSEWHERE.includes(name));
    expect([...new Set(missing)]).toEqual([]);
  });

  test('is fewer than 1,000 series besides those by Service', async () => {
    const lines = (await metrics()).split('\n').filter((line) => /^[a-z]/.test(line));
    const others = lines.filter((line) => !line.startsWith('weft_service_'));
    expect(others.length).toBeLessThan(1_000);
  });

  test('is the text format, and each metric says what it is', async () => {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
      input: await metrics(),
      encoding: 'utf8',
    });
    const complaints = `${stdout}${stderr}`.split('\n').filter((line) => /^weft_/.test(line));
    expect([complaints, status === 0 || status === 3]).toEqual([[], true]);
  });
});

describe('promtool', () => {
  test('reads the alerts that are installed', () => {
    const text = execFileSync('promtool', ['check', 'rules', join(SHARE, 'alerts.yaml')], {
      encoding: 'utf8',
    });
    expect(text).toContain(`SUCCESS: ${alertExpressions().size} rules found`);
  });

  test('reads every query of the dashboard', () => {
    const path = join(directory, 'dashboard.yaml');
    const rules = dashboardExpressions().map((expr, i) => ({
      record: `panel:${i}`,
      // What Grafana fills in is any text.
      expr: expr.replaceAll('$job', 'weft').replaceAll('$node', '.*'),
    }));
    writeFileSync(path, stringify({ groups: [{ name: 'dashboard', rules }] }));
    const text = execFileSync('promtool', ['check', 'rules', path], { encoding: 'utf8' });
    expect(text).toContain(`SUCCESS: ${rules.length} rules found`);
  });

  test('sees each alert fire on what it is about, and be silent otherwise', () => {
    const path = join(directory, 'alerts-test.yaml');
    writeFileSync(path, stringify(alertTests(join(SHARE, 'alerts.yaml'))));
    const { stdout, stderr } = spawnSync('promtool', ['test', 'rules', path], { encoding: 'utf8' });
    expect(`${stdout}${stderr}`).toContain('SUCCESS');
  });
});

describe('the page of the agent', () => {
  test('shows the node as it is, and explains', async () => {
    const { page, errors } = await openPage(browser, 'http://127.0.0.1:8474', SCREENS.desktop);
    await untilDrawn(page);
    const text = String(await page.evaluate('document.querySelector(".map").textContent'));
    for (const part of ['eth0', 'cni0', 'default/web', 'default/empty', 'node2', '1 pod']) {
      expect(text).toContain(part);
    }
    await page.type('#from', client.addresses[0] ?? '');
    await page.type('#to', 'default/empty:80');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.outcome');
    expect(await page.evaluate('document.querySelector(".outcome").textContent')).toBe(
      'It is refused',
    );
    await page.click('[id="map-service-default/web"]');
    await page.waitForSelector('.connections h3');
    expect(errors).toEqual([]);
  });

  test('is what weft ui leads to', () => {
    const text = node.netns.run(join(SHARE, '../bin/weft'), ...['ui', '--run-dir', node.runDir]);
    expect(text).toBe('http://127.0.0.1:8474/\n');
  });
});

/** A node that is well, and for each alert one that is not. */
function alertTests(rules: string): object {
  const at = (labels: string) => `{job="weft",instance="node-1"${labels}}`;
  const cases: readonly (readonly [alert: string, series: string, well: string, bad: string])[] = [
    ['WeftAgentDown', `up${at('')}`, '1', '0'],
    ['WeftCheckFailing', `weft_check_ok${at(',check="ip-forward"')}`, '1', '0'],
    [
      'WeftApiServerErrors',
      `weft_kube_errors_total${at(',resource="services",reason="connection"')}`,
      '0',
      '0+10',
    ],
    ['WeftServesOldObjects', `weft_kube_restored${at(',resource="services"')}`, '0', '1'],
    ['WeftConfigurationInvalid', `weft_config_reload_total${at(',result="invalid"')}`, '0', '0+1'],
    [
      'WeftServiceRefuses',
      `weft_service_refused_packets_total${at(',namespace="shop",service="db",reason="no_endpoints"')}`,
      '7',
      '0+60',
    ],
    [
      'WeftRulesChangedByOthers',
      `weft_nftables_repairs_total${at(',table="weft-proxy"')}`,
      '1',
      '0+1',
    ],
    ['WeftPodsFailToStart', `weft_cni_requests_total${at(',verb="ADD",code="11"')}`, '2', '0+5'],
    ['WeftPodsMeddledWith', `weft_cni_repairs_total${at(',kind="veth"')}`, '3', '0+2'],
    ['WeftFabricNotReady', `weft_fabric_ready${at('')}`, '1', '0'],
    ['WeftPathSilent', `weft_fabric_paths${at(',arrives="nothing"')}`, '0', '2'],
    ['WeftPathTooSmall', `weft_fabric_paths${at(',arrives="smaller"')}`, '0', '1'],
    [
      'WeftBgpSessionDown',
      `weft_bgp_session_established${at(',neighbour="tor",address="192.0.2.1"')}`,
      '1',
      '0',
    ],
    ['WeftPoliciesNotEnforced', `weft_policy_ready${at('')}`, '1', '0'],
    [
      'WeftPodsWaitForPolicies',
      `weft_policy_pod_wait_seconds_count${at(',result="late"')}`,
      '0',
      '0+1',
    ],
  ];
  const series = (text: string, value: string) => {
    return { series: text, values: value.includes('+') ? `${value}x30` : `${value}+0x30` };
  };
  const histogram = (name: string, labels: string, slow: boolean) =>
    ['0.5', '100', '+Inf'].map((le) => {
      const step = slow && le === '0.5' ? '0+0' : '0+10';
      return { series: `${name}_bucket${at(`${labels},le="${le}"`)}`, values: `${step}x30` };
    });
  const timestamps = (done: string) => [
    {
      series: `kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds${at(',ip_family="IPv4"')}`,
      values: '0+60x30',
    },
    {
      series: `kubeproxy_sync_proxy_rules_last_timestamp_seconds${at(',ip_family="IPv4"')}`,
      values: done,
    },
  ];
  const pool = (used: string) => [
    series(`weft_address_pool_used${at(',pool="public"')}`, used),
    series(`weft_address_pool_addresses${at(',pool="public"')}`, '100'),
  ];
  const ADD = ',verb="ADD"';
  const others = [
    { alert: 'WeftAddressPoolNearlyUsed', well: pool('90'), bad: pool('91') },
    { alert: 'WeftServicesNotSynced', well: timestamps('0+60x30'), bad: timestamps('0+0x30') },
    ...(
      [
        ['WeftServicesSlow', 'kubeproxy_network_programming_duration_seconds', ''],
        ['WeftPodsStartSlowly', 'weft_cni_request_duration_seconds', ADD],
      ] as const
    ).map(([alert, name, labels]) => ({
      alert,
      well: histogram(name, labels, false),
      bad: histogram(name, labels, true),
    })),
  ];
  const all = [
    ...cases.map(([alert, text, well, bad]) => ({
      alert,
      well: [series(text, well)],
      bad: [series(text, bad)],
    })),
    ...others,
  ];
  const names = all.map(({ alert }) => alert).sort();
  expect(names).toEqual([...alertExpressions().keys()].sort());
  const tests = all.flatMap(({ alert, well, bad }) => [
    {
      ...{ name: `${alert}: well`, interval: '1m', input_series: well },
      promql_expr_test: [
        { expr: `count(ALERTS{alertname="${alert}"})`, eval_time: '29m', exp_samples: [] },
      ],
    },
    {
      ...{ name: `${alert}: bad`, interval: '1m', input_series: bad },
      promql_expr_test: [
        {
          expr: `count(ALERTS{alertname="${alert}",alertstate="firing"})`,
          ...{ eval_time: '29m', exp_samples: [{ labels: '{}', value: 1 }] },
        },
      ],
    },
  ]);
  return { rule_files: [rules], evaluation_interval: '1m', tests };
}
