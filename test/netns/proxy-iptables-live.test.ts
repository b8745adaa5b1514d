/** The iptables mode behind the whole Service proxy: events in, packets through, losses repaired. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { netnses } from '../../src/kernel/netns.ts';
import { openNodeEvents } from '../../src/kernel/node-events.ts';
import type { Netns } from '../../src/kernel/types.ts';
import { removeServiceRules } from '../../src/proxy/modes/iptables/cleanup.ts';
import { watchDrift } from '../../src/proxy/modes/iptables/drift.ts';
import type { ServiceProxy } from '../../src/proxy/service-proxy.ts';
import { systemClock } from '../../src/util/clock.ts';
import { IPV4, IPV6 } from '../support/flows/net.ts';
import { endpointsOf, sliceOf } from '../support/flows/objects.ts';
import { enter, installedPrograms, openIptablesLab, VARIANTS } from '../support/iptables-lab.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { service } from '../support/proxy-objects.ts';
import { probe } from '../support/workloads.ts';

const NETS = [IPV4, IPV6];

let lab: ProxyLab;
let netns: Netns;
const closing: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  lab = await createProxyLab();
  netns = netnses.open(lab.node.path);
});

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  const programs = await installedPrograms([4, 6], enter(lab.node));
  await Promise.all(programs.map(removeServiceRules));
});

afterAll(async () => {
  netns.close();
  await lab.remove();
});

/** A proxy that repairs what others change, with one Service on pod-a. */
async function start(variant: (typeof VARIANTS)[number]): Promise<ServiceProxy> {
  const mode = await openIptablesLab(lab.node, variant);
  const proxy = lab.proxy({ openSession: mode.openSession });
  const watch = watchDrift(mode.rules, {
    clock: systemClock,
    events: openNodeEvents(netns),
    onDrift: (family) => proxy.resync(family),
    onError: (_, error) => {
      throw error;
    },
  });
  closing.push(
    () => watch.close(),
    () => proxy.stop(),
    () => mode.close(),
  );
  for (const net of NETS) {
    proxy.apply({ kind: 'service', now: service(`web-${net.family}`, net.vip(1)) });
    proxy.apply({ kind: 'slice', now: sliceOf(`web-${net.family}`, endpointsOf(net, 'a')) });
  }
  proxy.setSynced();
  await proxy.sync();
  return proxy;
}

/** Who answers at both families' clusterIPs, or the error. */
async function visit(): Promise<readonly string[]> {
  const results = await Promise.all(
    NETS.map((net) => probe(lab.client.path, { host: net.vip(1), port: 80, timeoutMs: 500 })),
  );
  return results.flatMap(({ servers, errors }) => [
    ...Object.keys(servers),
    ...Object.keys(errors),
  ]);
}

describe.each(VARIANTS)('iptables-%s', (variant) => {
  test('changes of Services and endpoints are followed', async () => {
    const proxy = await start(variant);
    expect(await visit()).toEqual(['a', 'a']);
    for (const net of NETS) {
      proxy.apply({ kind: 'slice', now: sliceOf(`web-${net.family}`, endpointsOf(net, 'b')) });
    }
    await proxy.sync();
    expect(await visit()).toEqual(['b', 'b']);
    for (const net of NETS) {
      proxy.apply({ kind: 'slice', was: sliceOf(`web-${net.family}`, endpointsOf(net, 'b')) });
    }
    await proxy.sync();
    expect(await visit()).toEqual(['ECONNREFUSED', 'ECONNREFUSED']);
  });

  test('Services work again within seconds after all rules were removed', async () => {
    await start(variant);
    for (const program of ['iptables', 'ip6tables']) {
      for (const table of ['nat', 'filter', 'mangle']) {
        lab.node.run(`${program}-${variant}`, '-t', table, '-F');
        lab.node.run(`${program}-${variant}`, '-t', table, '-X');
      }
    }
    await expect.poll(visit, { timeout: 15_000, interval: 200 }).toEqual(['a', 'a']);
  });

  test('a resync puts right what is missing and takes what is new', async () => {
    const proxy = await start(variant);
    const nat = (family: string, ...args: readonly string[]) =>
      lab.node.run(`${family}-${variant}`, '-t', 'nat', ...args);
    for (const net of NETS) {
      proxy.apply({ kind: 'service', now: service(`web-${net.family}`, net.vip(2)) });
    }
    nat('iptables', '-F', 'KUBE-SERVICES');
    nat('ip6tables', '-D', 'PREROUTING', '1');
    proxy.resync();
    await proxy.sync();
    const { servers } = await probe(lab.client.path, { host: IPV4.vip(2), port: 80 });
    const v6 = await probe(lab.client.path, { host: IPV6.vip(2), port: 80 });
    expect([Object.keys(servers), Object.keys(v6.servers)]).toEqual([['a'], ['a']]);
  });
});
