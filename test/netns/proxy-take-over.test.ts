/**
 * The nftables mode is put in where others serve Services, and taken out while a successor serves:
 * no new connection is lost and none is cut. A SYN that has to be repeated, a second later, is a
 * connection that a client of less patience gives up.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { removeServiceRules } from '../../src/proxy/modes/iptables/cleanup.ts';
import type { ServiceProxy, ServiceProxyOptions } from '../../src/proxy/service-proxy.ts';
import { benchNode, fullSync } from '../bench/kube-proxy-layout.ts';
import { IPV4 } from '../support/flows/net.ts';
import { SERVICE_CIDRS } from '../support/flows/settings.ts';
import { enter, installedPrograms, openIptablesLab } from '../support/iptables-lab.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { until } from '../support/until.ts';
import { type RunningProgram, repeatedSyns, startIn } from '../support/workloads.ts';

/** Enough that programming them takes many times the pause between two connections. */
const SERVICES = 500;
const OPENER = new URL('../support/workloads/opener.ts', import.meta.url).pathname;
const STREAM = new URL('../support/workloads/stream.ts', import.meta.url).pathname;
const VIP = IPV4.vip(1);
const PAUSE_MS = 2;
/** So long it goes on after the former has gone; a lost SYN is repeated within a second. */
const SETTLING_MS = 4_000;
/** Connections of each client, which goes on until it has them. */
const NEEDED = 700;
/** A lost SYN shows by its repetition, a lost query by silence: a busy machine may take its time. */
const PATIENT_MS = 20_000;

const PORTS = [
  { name: 'http', protocol: 'TCP', port: 80 },
  { name: 'dns', protocol: 'UDP', port: 80 },
] as const;
const TARGETS = PORTS.map((port) => ({ ...port, port: 8080 }));
const ENDPOINTS = [IPV4.podA, IPV4.podB, IPV4.remote];

/** The one that is visited, and those that take time to program. */
const OBJECTS = Array.from({ length: SERVICES }, (_, n) => {
  const clusterIP = n === 0 ? VIP : `172.30.${1 + (n >> 8)}.${n & 255}`;
  return {
    service: service(`s${n}`, clusterIP, { ports: PORTS }),
    slices: [slice({ service: `s${n}`, endpoints: ENDPOINTS, ports: TARGETS })],
  };
});

interface Contender {
  put(): Promise<void>;
  take(): Promise<void>;
}

let lab: ProxyLab;
const directory = mkdtempSync(join(tmpdir(), 'weft-take-over-'));
const closing: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  lab = await createProxyLab();
}, 60_000);

afterAll(async () => {
  await lab.remove();
  rmSync(directory, { recursive: true });
});

beforeEach(() => {
  // No SYN shall wait for the address of a neighbour, nor an answer for the client's.
  for (const address of ENDPOINTS) lab.client.run('ping', '-c', '1', '-w', '5', address);
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  for (const contender of Object.values(CONTENDERS)) await contender.take();
});

async function program(options: Partial<ServiceProxyOptions> = {}): Promise<ServiceProxy> {
  const proxy = lab.proxy({ families: [4], ...options });
  closing.push(() => proxy.stop());
  proxy.apply({ kind: 'serviceCIDRs', cidrs: SERVICE_CIDRS });
  for (const object of OBJECTS) {
    proxy.apply({ kind: 'service', now: object.service });
    for (const each of object.slices) proxy.apply({ kind: 'slice', now: each });
  }
  proxy.setSynced();
  await proxy.sync();
  return proxy;
}

async function deleteTable(name: string): Promise<void> {
  lab.node.attempt('nft', ['delete', 'table', 'ip', name]);
}

function iptables(variant: 'nft' | 'legacy'): Contender {
  return {
    async put() {
      const { openSession, close } = await openIptablesLab(lab.node, variant, { families: [4] });
      closing.push(close);
      await program({ openSession });
    },
    async take() {
      for (const programs of await installedPrograms([4], enter(lab.node))) {
        if (programs.variant === variant) await removeServiceRules(programs);
      }
    },
  };
}

const CONTENDERS = {
  weft: { put: async () => void (await program()), take: () => deleteTable('weft-proxy') },
  'weft of another make': {
    put: async () => void (await program({ countsEndpoints: true })),
    take: async () => {},
  },
  'kube-proxy': {
    async put() {
      const script = join(directory, 'kube-proxy.nft');
      writeFileSync(script, fullSync(OBJECTS, benchNode));
      lab.node.run('nft', '-f', script);
    },
    take: () => deleteTable('kube-proxy'),
  },
  'iptables-nft': iptables('nft'),
  'iptables-legacy': iptables('legacy'),
} satisfies Record<string, Contender>;

async function endOf(client: RunningProgram): Promise<string> {
  expect(await client.end('SIGTERM'), client.output()).toBe(0);
  return client.output();
}

const answered = (text: string) => Number(/answered (\d+)/.exec(text)?.[1]);

test.each([
  { former: 'kube-proxy', successor: 'weft' },
  { former: 'iptables-nft', successor: 'weft' },
  { former: 'iptables-legacy', successor: 'weft' },
  { former: 'weft of another make', successor: 'weft' },
  { former: 'weft', successor: 'kube-proxy' },
  { former: 'weft', successor: 'iptables-nft' },
  { former: 'weft', successor: 'iptables-legacy' },
] as const)(
  '$successor in the place of $former: no connection and no query is lost',
  async ({ former, successor }) => {
    await CONTENDERS[former].put();
    const start = (file: string, ...words: readonly string[]) =>
      startIn(lab.client.path, [process.execPath, file, VIP, '80', ...words], 'ready\n');
    const openers = await Promise.all(
      ['tcp', 'tcp', 'udp'].map((protocol) =>
        start(OPENER, String(PAUSE_MS), protocol, String(PATIENT_MS), String(NEEDED)),
      ),
    );
    const stream = await start(STREAM);
    const repeated = repeatedSyns(lab.client);
    await CONTENDERS[successor].put();
    await CONTENDERS[former].take();
    await wait(SETTLING_MS);
    for (const opener of openers)
      await until('they are many', () => opener.output().includes('many'));
    const results = await Promise.all(openers.map(endOf));
    expect(results.filter((text) => text.includes('failed'))).toEqual([]);
    expect(repeatedSyns(lab.client) - repeated).toBe(0);
    expect(await endOf(stream)).toMatch(/returned (\d+) of \1/);
    for (const text of results) expect(answered(text)).toBeGreaterThanOrEqual(NEEDED);
  },
  120_000,
);
