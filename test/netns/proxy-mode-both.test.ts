/** While the mode changes the rules of two are there: they must come to what one does. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ServiceProxy, ServiceProxyOptions } from '../../src/proxy/service-proxy.ts';
import { openIptablesLab, VARIANTS } from '../support/iptables-lab.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import {
  clearRules,
  kindsOfRules,
  NETS,
  NODE_PORT,
  webService,
  webSlice,
} from '../support/proxy-modes.ts';
import { probe } from '../support/workloads.ts';

let lab: ProxyLab;

beforeAll(async () => {
  lab = await createProxyLab();
}, 60_000);

afterAll(() => lab.remove());

describe.each(VARIANTS)('rules of nftables and of iptables-%s at once', (variant) => {
  const closing: (() => Promise<void> | void)[] = [];

  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
    await clearRules(lab.node);
  });

  async function program(options: Partial<ServiceProxyOptions> = {}): Promise<ServiceProxy> {
    const proxy = lab.proxy({ nodePortAddresses: { kind: 'cidrs', cidrs: [] }, ...options });
    closing.push(() => proxy.stop());
    for (const net of NETS) {
      proxy.apply({ kind: 'service', now: webService(net) });
      proxy.apply({ kind: 'slice', now: webSlice(net) });
    }
    proxy.setSynced();
    await proxy.sync();
    return proxy;
  }

  async function programIptables(): Promise<ServiceProxy> {
    const { openSession, close } = await openIptablesLab(lab.node, variant);
    closing.push(close);
    return program({ openSession });
  }

  /** Who is seen by servers, from every place, to every address of the Service. */
  async function peers(): Promise<readonly string[]> {
    const seen: string[] = [];
    for (const net of NETS) {
      for (const [place, target] of [
        ['client', { host: net.vip(1), port: 80 }],
        ['podA', { host: net.vip(1), port: 80 }],
        ['node', { host: net.vip(1), port: 80 }],
        ['outside', { host: net.vip(1), port: 80 }],
        ['outside', { host: net.outer, port: NODE_PORT }],
        ['client', { host: net.outer, port: NODE_PORT }],
      ] as const) {
        const { servers, errors, ...result } = await probe(lab[place].path, {
          ...target,
          count: 60,
        });
        const others = [Object.keys(servers).sort(), errors, Object.keys(result.peers).sort()];
        seen.push(JSON.stringify([place, target, ...others]));
      }
    }
    return seen;
  }

  test.each([
    { name: 'nftables first', order: [program, programIptables] },
    { name: 'iptables first', order: [programIptables, program] },
  ])(
    '$name: every connection is translated once, and masqueraded as by one',
    async ({ order }) => {
      const [first, second] = order;
      await first?.();
      const alone = await peers();
      expect(alone.filter((line) => !line.includes('["a","b","remote"],{}'))).toEqual([]);
      await second?.();
      expect(kindsOfRules(lab.node)).toHaveLength(2);
      expect(await peers()).toEqual(alone);
    },
    60_000,
  );
});
