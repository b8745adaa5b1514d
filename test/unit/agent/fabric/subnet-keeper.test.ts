import { beforeEach, expect, test } from 'vitest';
import { SubnetKeeper } from '../../../../src/agent/fabric/subnet-keeper.ts';
import type { HeldLease } from '../../../../src/fabric/subnets/choose.ts';
import { type Subnets, subnetKey } from '../../../../src/fabric/subnets/lease.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { IoError } from '../../../../src/util/errors.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { recordingLog } from '../../../support/kube.ts';

const HOUR_MS = 3_600_000;
const CONFIG = '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}';

/** etcd with leases that live until they are ended here. */
class FakeStore {
  readonly configKey = '/coreos.com/network/config';
  configText: string | undefined = CONFIG;
  readonly leases = new Map<string, HeldLease>();
  readonly alive = new Set<string>();
  asked: string[] = [];
  isSilent = false;
  /** Called before a claim or an update is looked at: somebody is faster. */
  before = () => {};
  #revision = 1;

  put(name: string, text: string, leaseId = '0'): void {
    const known = this.leases.get(name);
    const modRevision = String(++this.#revision);
    const createRevision = known?.createRevision ?? modRevision;
    const { PublicIP, NodeName: nodeName } = JSON.parse(text);
    const value = { addresses: [PublicIP], nodeName };
    this.leases.set(name, { name, text, value, createRevision, modRevision, leaseId });
  }

  async read() {
    if (this.isSilent) throw new IoError('connection refused');
    return { configText: this.configText, leases: [...this.leases.values()] };
  }

  async grant() {
    const id = `lease-${++this.#revision}`;
    this.alive.add(id);
    return id;
  }

  async keepAlive(leaseId: string) {
    this.asked.push('keepAlive');
    return this.alive.has(leaseId);
  }

  async revoke(leaseId: string) {
    this.alive.delete(leaseId);
  }

  async claim(subnets: Subnets, text: string, leaseId: string) {
    this.asked.push('claim');
    this.before();
    if (this.leases.has(subnetKey(subnets))) return false;
    this.put(subnetKey(subnets), text, leaseId);
    return true;
  }

  async update({ name, modRevision }: HeldLease, text: string, leaseId: string) {
    this.asked.push('update');
    this.before();
    if (this.leases.get(name)?.modRevision !== modRevision) return false;
    this.put(name, text, leaseId);
    return true;
  }
}

let store: FakeStore;
let clock: FakeClock;
let former: Subnets | undefined;
let hasPods: boolean;
let changes: number;
let keeper: SubnetKeeper;

beforeEach(() => {
  store = new FakeStore();
  clock = new FakeClock();
  [former, hasPods, changes] = [undefined, false, 0];
  keeper = new SubnetKeeper({
    store,
    own: () => ({ nodeName: 'node-a', addresses: { 4: parseIP('192.0.2.1') } }),
    former: {
      read: () => former,
      write: (subnets) => {
        former = subnets;
      },
    },
    hasPodsIn: () => hasPods,
    onChange: () => {
      changes++;
    },
    ...{ clock, random: () => 0, log: recordingLog().log, signal: new AbortController().signal },
  });
  keeper.look();
});

/** Lets time pass, and what is due in it happen. */
async function pass(ms = 20): Promise<void> {
  const steps = Math.ceil(ms / 60_000);
  for (let step = 0; step < steps; step++) {
    clock.advance(ms / steps);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const own = () => [...store.leases.values()].find(({ value }) => value?.nodeName === 'node-a');

test('claims a subnet, and keeps it alive each third of its life', async () => {
  await pass();
  expect(own()?.name).toBe('10.244.1.0-24');
  expect(former).toEqual(['10.244.1.0/24']);
  expect(store.asked).toEqual(['claim']);
  await pass(7 * HOUR_MS);
  expect(store.asked).toEqual(['claim']);
  await pass(18 * HOUR_MS);
  expect(store.asked).toEqual(['claim', 'keepAlive', 'keepAlive', 'keepAlive']);
  expect(keeper.problem).toBeUndefined();
});

test('a lease that has ended is claimed again, the same', async () => {
  await pass();
  store.alive.clear();
  store.leases.clear();
  hasPods = true;
  await pass(60_000);
  expect(own()?.name).toBe('10.244.1.0-24');
  expect(store.alive.has(own()?.leaseId ?? '')).toBe(true);
});

test('who was faster has the subnet, and another one is claimed', async () => {
  store.before = () => {
    store.before = () => {};
    store.put('10.244.1.0-24', '{"PublicIP": "192.0.2.9"}');
  };
  await pass();
  expect(own()?.name).toBe('10.244.2.0-24');
  expect(store.asked).toEqual(['claim', 'claim']);
  // That of the claim that failed is given back.
  expect(store.alive.size).toBe(1);
});

test('what says something else is put right, also when it changes meanwhile', async () => {
  await pass();
  const { name = '', leaseId = '' } = own() ?? {};
  store.put(name, '{"PublicIP": "192.0.2.7", "NodeName": "node-a"}', leaseId);
  store.before = () => {
    store.before = () => {};
    store.put(name, '{"PublicIP": "192.0.2.8", "NodeName": "node-a"}', leaseId);
  };
  await pass(60_000);
  expect(own()?.value?.addresses).toEqual(['192.0.2.1']);
  expect(store.asked).toEqual(['claim', 'update', 'update']);
});

test('with pods no other subnet is taken, and no more of them start', async () => {
  await pass();
  hasPods = true;
  store.put('10.244.1.0-24', '{"PublicIP": "192.0.2.9"}');
  const before = changes;
  await pass(60_000);
  expect(own()).toBeUndefined();
  expect(keeper.barred).toContain('is leased to 192.0.2.9 now');
  expect(changes).toBe(before + 1);
  store.leases.clear();
  await pass(60_000);
  expect([own()?.name, keeper.barred, keeper.problem]).toEqual([
    '10.244.1.0-24',
    undefined,
    undefined,
  ]);
});

test('an etcd that does not answer takes nothing away', async () => {
  await pass();
  const before = changes;
  store.isSilent = true;
  await pass(10 * 60_000);
  expect([keeper.problem, keeper.barred, changes]).toEqual([undefined, undefined, before]);
});

test('a wrong configuration is told of, and that of before counts on', async () => {
  await pass();
  store.configText = '{"Network": "x"}';
  await pass(60_000);
  expect(keeper.problem).toContain('/coreos.com/network/config: ');
  expect(keeper.config?.backend).toBe('vxlan');
});
