import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Service } from '../../src/kube/types.ts';
import type { ServiceProxy } from '../../src/proxy/service-proxy.ts';
import type { FlowGroup } from '../support/flows/flow.ts';
import { modelAnswer, worldOf } from '../support/flows/model.ts';
import { IPV4, IPV6, type Net } from '../support/flows/net.ts';
import { endpointsOf, loadBalancer, sliceOf } from '../support/flows/objects.ts';
import { runProbe } from '../support/flows/probing.ts';
import { NODE } from '../support/flows/settings.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { service } from '../support/proxy-objects.ts';

type Server = 'a' | 'b' | 'remote';

const CLIENTS = 12;
const NODE_PORT = 30070;

let lab: ProxyLab;
let proxy: ServiceProxy;

beforeAll(async () => {
  lab = await createProxyLab();
  for (const net of [IPV4, IPV6]) {
    for (const address of clientsOf(net)) {
      lab.client.run(
        'ip',
        'addr',
        'add',
        address,
        'dev',
        'eth0',
        ...(net.family === 6 ? ['nodad'] : []),
      );
    }
  }
});

afterAll(() => lab.remove());

afterEach(() => proxy.stop());

/** More addresses of the client pod: as many clients as the test needs. */
function clientsOf({ family }: Net): readonly string[] {
  return Array.from({ length: CLIENTS }, (_, i) =>
    family === 4 ? `10.1.0.${100 + i}` : `fd00:10:1::${100 + i}`,
  );
}

async function start(net: Net, object: Service, endpoints: readonly Server[]): Promise<void> {
  proxy = lab.proxy({ families: [net.family] });
  proxy.apply({ kind: 'node', now: NODE });
  proxy.apply({ kind: 'service', now: object });
  proxy.apply({
    kind: 'slice',
    now: sliceOf(object.metadata.name, endpointsOf(net, ...endpoints)),
  });
  proxy.setSynced();
  await proxy.sync();
}

/** Who answered the connections of each source, by name. */
async function visit(
  sources: readonly string[],
  to: { readonly host: string; readonly port: number },
  count = 1,
): Promise<readonly ReadonlyMap<string, number>[]> {
  const probes = sources.map((source) => ({
    ...({ source, protocol: 'tcp', count, timeoutMs: 4000 } as const),
    ...to,
  }));
  return (await runProbe(lab.client, probes)).map(
    (outcomes) =>
      new Map(Object.entries(outcomes).map(([text, times]) => [text.split(' ')[0] ?? '', times])),
  );
}

const namesOf = (answers: ReadonlyMap<string, number>) => [...answers.keys()].join();

describe.each([IPV4, IPV6])('IPv$family', (net) => {
  const clients = clientsOf(net);
  const vip = { host: net.vip(70), port: 80 };

  test('weights give shares', async () => {
    const weights = `${net.podA}=3, node/node-a=1, node/node-b=0`;
    await start(net, service('weighted', vip.host, {}, { 'weft.dev/weights': weights }), [
      'a',
      'b',
      'remote',
    ]);
    const [answers] = await visit([net.client], vip, 400);
    expect([...(answers?.keys() ?? [])].sort()).toEqual(['a', 'b']);
    // 300 on average with a standard deviation of 8.7: five of them are one run in a million.
    expect(Math.abs((answers?.get('a') ?? 0) - 300)).toBeLessThan(44);
  });

  test('a source hash leads each client where the model says', async () => {
    const hashed = service('hashed', vip.host, {}, { 'weft.dev/balance': 'source-hash' });
    const servers = ['a', 'b', 'remote'] as const;
    await start(net, hashed, servers);
    const answers = await visit(clients, vip, 3);
    const group: FlowGroup = {
      name: 'hashed',
      settings: 'base',
      services: [hashed],
      slices: [sliceOf('hashed', endpointsOf(net, ...servers))],
      flows: [],
    };
    const world = worldOf([group], 'base', net);
    const flow = { name: 'hashed', from: 'client', to: vip.host, port: 80, want: 'pass' } as const;
    const predicted = clients.map((client) => modelAnswer(world, flow, { ...net, client }));
    expect(answers.map(namesOf)).toEqual(predicted.map((want) => serverOf(want)));
    expect(new Set(predicted.map(serverOf)).size).toBeGreaterThan(1);
  });

  describe('session affinity', () => {
    const sticky = (timeoutSeconds: number) =>
      loadBalancer('sticky', net, 70, {
        nodePort: NODE_PORT,
        ips: [net.lb(70)],
        spec: {
          sessionAffinity: 'ClientIP',
          sessionAffinityConfig: { clientIP: { timeoutSeconds } },
        },
      });

    test('a client keeps its endpoint on all frontends, clients differ', async () => {
      await start(net, sticky(60), ['a', 'b', 'remote']);
      const first = (await visit(clients, vip)).map(namesOf);
      // All twelve the same is one run in 3^11.
      expect(new Set(first).size).toBeGreaterThan(1);
      for (const to of [vip, { host: net.lb(70), port: 80 }, { host: net.node, port: NODE_PORT }]) {
        expect((await visit(clients, to, 4)).map(namesOf)).toEqual(first);
      }
    });

    test('an endpoint that goes is replaced, the others are kept', async () => {
      await start(net, sticky(60), ['a', 'b', 'remote']);
      const first = (await visit(clients, vip)).map(namesOf);
      proxy.apply({ kind: 'slice', now: sliceOf('sticky', endpointsOf(net, 'b', 'remote')) });
      await proxy.sync();
      const second = (await visit(clients, vip, 2)).map(namesOf);
      expect(second.filter((name) => name !== 'b' && name !== 'remote')).toEqual([]);
      expect(second.filter((_, i) => first[i] !== 'a')).toEqual(
        first.filter((name) => name !== 'a'),
      );
    });

    test('memory ends after the timeout', async () => {
      await start(net, sticky(1), ['a', 'b', 'remote']);
      const first = (await visit(clients, vip)).map(namesOf);
      await expect
        .poll(async () => (await visit(clients, vip)).map(namesOf).join(), {
          // Longer than the timeout: every visit renews it.
          interval: 1_500,
          timeout: 12_000,
        })
        .not.toBe(first.join());
    });
  });
});

function serverOf(want: ReturnType<typeof modelAnswer>): string {
  return typeof want === 'string' ? want : want.map(({ server }) => server).join();
}
