import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { IPFamily } from '../../../src/net/ip.ts';
import type { Commit, CommitListener } from '../../../src/proxy/commit-listener.ts';
import { Proxier } from '../../../src/proxy/proxier.ts';
import type { ServiceSession } from '../../../src/proxy/session.ts';
import type { ResolvedPort } from '../../../src/proxy/state.ts';
import {
  fakeProxyOptions,
  frontendElements,
  startFakeProxier,
  tell,
} from '../../support/fake-proxier.ts';
import { FakeKernel } from '../../support/fake-table.ts';
import { service, slice } from '../../support/proxy-objects.ts';

const VIP = '172.30.0.1';
const web = service('web', VIP);
const first = service('first', '172.30.0.9');
const to = (...endpoints: readonly string[]) => slice({ service: 'web', endpoints });
const zoned = (zone: string) => ({ zone, addresses: [], podCIDRs: [] });

/** Runs something once, when the first Service of a sync has been resolved. */
class Meanwhile implements CommitListener {
  run: (() => void) | undefined;

  programming(): void {
    const run = this.run;
    this.run = undefined;
    run?.();
  }

  committed(): void {}
}

/** What somebody who follows the commits believes to be in the kernel. */
class Follower implements CommitListener {
  readonly services = new Map<string, string>();
  readonly #told = new Map<string, readonly ResolvedPort[]>();

  programming(_family: IPFamily, key: string, ports: readonly ResolvedPort[]): void {
    this.#told.set(key, ports);
  }

  committed(_family: IPFamily, { isFull }: Commit): void {
    if (isFull) this.services.clear();
    for (const [key, ports] of this.#told) {
      if (ports.length === 0) this.services.delete(key);
      else this.services.set(key, JSON.stringify(ports));
    }
    this.#told.clear();
  }
}

describe('a change that arrives during a sync and is taken back before the next one', () => {
  const hinted = (ip: string, name: string) => ({ ip, hints: { forZones: [{ name }] } });
  const byZone = slice({
    service: 'web',
    endpoints: [hinted('10.0.0.1', 'a'), hinted('10.0.0.2', 'b')],
  });

  test.each<{ name: string; change: (p: Proxier) => void; back: (p: Proxier) => void }>([
    {
      name: 'a slice is added',
      change: (proxier) =>
        tell(proxier, {
          kind: 'slice',
          now: slice({ service: 'web', suffix: '2', endpoints: ['10.0.0.7'] }),
        }),
      back: (proxier) =>
        tell(proxier, {
          kind: 'slice',
          was: slice({ service: 'web', suffix: '2', endpoints: [] }),
        }),
    },
    {
      name: 'a slice is deleted',
      change: (proxier) => tell(proxier, { kind: 'slice', was: to() }),
      back: (proxier) => tell(proxier, { kind: 'slice', now: byZone }),
    },
    {
      name: 'a Service is deleted',
      change: (proxier) => tell(proxier, { kind: 'service', was: web }),
      back: (proxier) => tell(proxier, { kind: 'service', now: web }),
    },
    {
      name: 'a Service has another address',
      change: (proxier) => tell(proxier, { kind: 'service', now: service('web', '172.30.0.2') }),
      back: (proxier) => tell(proxier, { kind: 'service', now: web }),
    },
    {
      name: 'the node is in another zone',
      change: (proxier) => proxier.apply({ kind: 'node', family: 4, facts: zoned('b') }),
      back: (proxier) => proxier.apply({ kind: 'node', family: 4, facts: zoned('a') }),
    },
  ])('$name', async ({ change, back }) => {
    const kernel = new FakeKernel();
    const meanwhile = new Meanwhile();
    const objects = { services: [first, web], slices: [byZone], node: zoned('a') };
    await using running = await startFakeProxier(kernel, objects, { listeners: [meanwhile] });
    const { proxier, sync } = running;
    const before = frontendElements(kernel, `${VIP} tcp 80`);
    expect(before).toEqual(['service-ips goto n1', 'endpoints 10.0.0.1']);

    meanwhile.run = () => change(proxier);
    tell(proxier, { kind: 'slice', now: slice({ service: 'first', endpoints: ['10.0.0.8'] }) });
    const waiting = { ip: '10.0.0.9', conditions: { ready: false } };
    tell(proxier, {
      kind: 'slice',
      now: slice({ service: 'web', suffix: '9', endpoints: [waiting] }),
    });
    await sync();
    back(proxier);
    await sync();
    expect(frontendElements(kernel, `${VIP} tcp 80`)).toEqual(before);
    expect(frontendElements(kernel, '172.30.0.2 tcp 80')).toEqual([]);
  });
});

describe('a session', () => {
  /** Waits before it asks for what it programs. */
  class LateSession implements ServiceSession {
    readonly asked = new Map<string, readonly string[]>();
    readonly #open = Promise.withResolvers<void>();

    close = () => {};
    removeIdle = () => {};
    release = () => this.#open.resolve();

    async program(...[, groups, resolve]: Parameters<ServiceSession['program']>): Promise<void> {
      await this.#open.promise;
      for (const key of [...groups].flat()) {
        this.asked.set(
          key,
          resolve(key).flatMap(({ endpoints }) => endpoints.map(({ target }) => target.ip)),
        );
      }
    }
  }

  test('is given everything as it was when the sync began, whenever it asks', async () => {
    const session = new LateSession();
    const options = { ...fakeProxyOptions(new FakeKernel().open), openSession: () => session };
    const proxier = new Proxier(4, options);
    tell(proxier, { kind: 'service', now: web });
    tell(proxier, { kind: 'slice', now: to('10.0.0.1') });
    proxier.setSynced();
    const sync = proxier.sync();
    await Promise.resolve();
    tell(proxier, { kind: 'slice', now: to('10.0.0.2') });
    tell(proxier, { kind: 'service', now: service('late', '172.30.0.3') });
    session.release();
    await sync;
    expect([...session.asked]).toEqual([['ns/web', ['10.0.0.1']]]);
    expect([...proxier.snapshot().pending].sort()).toEqual(['ns/late', 'ns/web']);
    await proxier.stop();
  });

  test('of which nothing is known to be in the kernel yet leaves its Services pending', async () => {
    const session = new LateSession();
    const options = { ...fakeProxyOptions(new FakeKernel().open), openSession: () => session };
    const proxier = new Proxier(4, options);
    tell(proxier, { kind: 'service', now: web });
    proxier.setSynced();
    const sync = proxier.sync();
    await Promise.resolve();
    expect([...proxier.snapshot().pending]).toEqual(['ns/web']);
    session.release();
    await sync;
    expect([...proxier.snapshot().pending]).toEqual([]);
    await proxier.stop();
  });
});

test('who follows the commits forgets what a failed sync had told', async () => {
  let mostResolved = Number.POSITIVE_INFINITY;
  /** Fails when it has asked for so many Services. */
  const openSession = (): ServiceSession => ({
    ...{ close: () => {}, removeIdle: () => {} },
    program: async (_settings, groups, resolve) => {
      for (const [i, key] of [...groups].flat().entries()) {
        if (i === mostResolved) throw new Error('made to fail');
        resolve(key);
      }
    },
  });
  const follower = new Follower();
  const options = fakeProxyOptions(new FakeKernel().open);
  const proxier = new Proxier(4, { ...options, openSession, listeners: [follower] });
  tell(proxier, { kind: 'service', now: web });
  tell(proxier, { kind: 'service', now: first });
  proxier.setSynced();
  mostResolved = 1;
  await expect(proxier.sync()).rejects.toThrow('made to fail');
  tell(proxier, { kind: 'service', was: web });
  mostResolved = 0;
  await expect(proxier.sync()).rejects.toThrow('made to fail');
  mostResolved = 2;
  await proxier.sync();
  await proxier.stop();
  expect([...follower.services.keys()]).toEqual(['ns/first']);
});

test('changes at any moment of a sync end where a fresh start would', async () => {
  const change = fc.record({
    name: fc.constantFrom('first', 'web'),
    ip: fc.constantFrom(VIP, '172.30.0.2', undefined),
    endpoints: fc.constantFrom([], [1], [1, 2]),
  });
  type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;
  const round = fc.record({
    before: fc.array(change, { maxLength: 2 }),
    meanwhile: fc.array(change, { maxLength: 2 }),
    /** Ends with what was changed meanwhile as it was before. */
    takesBack: fc.boolean(),
    fails: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
  });
  const apply = (proxier: Proxier, { name, ip, endpoints }: Change) => {
    if (ip === undefined) tell(proxier, { kind: 'service', was: service(name, VIP) });
    else tell(proxier, { kind: 'service', now: service(name, ip) });
    const addresses = endpoints.map((n) => ({ ip: `10.0.0.${n}`, nodeName: 'node-a' }));
    if (endpoints.length === 0)
      tell(proxier, { kind: 'slice', was: slice({ service: name, endpoints: [] }) });
    else tell(proxier, { kind: 'slice', now: slice({ service: name, endpoints: addresses }) });
  };
  const everything = (kernel: FakeKernel) =>
    [...kernel.sets].map(([set, elements]) => {
      // Which slot an endpoint has is history.
      const isSlots = set.endsWith('endpoints');
      return [
        set,
        [...elements.values()]
          .map(({ key, data = '' }) => (isSlots ? `${key.slice(0, -4)}=${data}` : `${key}=${data}`))
          .sort(),
      ];
    });
  await fc.assert(
    fc.asyncProperty(fc.array(round, { maxLength: 6 }), async (rounds) => {
      const kernel = new FakeKernel();
      const [meanwhile, follower] = [new Meanwhile(), new Follower()];
      const listeners = [meanwhile, follower];
      await using running = await startFakeProxier(kernel, { services: [first] }, { listeners });
      const { proxier, sync } = running;
      const last = new Map<string, Change>();
      const applyAll = (changes: readonly Change[]) => {
        for (const each of changes) {
          apply(proxier, each);
          last.delete(each.name);
          last.set(each.name, each);
        }
      };
      for (const { before, meanwhile: during, takesBack, fails } of rounds) {
        applyAll(before);
        const known = during.flatMap(({ name }) => last.get(name) ?? []);
        meanwhile.run = () => applyAll(during);
        kernel.failures = fails ? 1 : 0;
        await sync().catch(() => {});
        if (takesBack) applyAll(known);
      }
      kernel.failures = 0;
      meanwhile.run = undefined;
      await sync();
      const fresh = new FakeKernel();
      const told = new Follower();
      const options = { listeners: [told] };
      const services = last.has('first') ? [] : [first];
      await using other = await startFakeProxier(fresh, { services }, options);
      for (const each of last.values()) apply(other.proxier, each);
      await other.sync();
      expect(everything(kernel)).toEqual(everything(fresh));
      expect(new Map([...follower.services].sort())).toEqual(new Map([...told.services].sort()));
    }),
    { numRuns: 200 },
  );
});
