import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Flow, FlowFilter, FlowSweeper } from '../../../../src/kernel/types.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import type { Commit } from '../../../../src/proxy/commit-listener.ts';
import {
  type ConntrackOptions,
  ConntrackReconciler,
} from '../../../../src/proxy/conntrack/reconciler.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { service, slice } from '../../../support/proxy-objects.ts';
import { flow, resolved } from './builders.ts';

const VIP = '172.30.0.10';
const PORTS = [
  { name: 'udp', protocol: 'UDP', port: 53, nodePort: 30053 },
  { name: 'tcp', protocol: 'TCP', port: 53 },
] as const;
const TARGETS = [
  { name: 'udp', protocol: 'UDP', port: 53 },
  { name: 'tcp', protocol: 'TCP', port: 53 },
] as const;
const FULL: Commit = { isFull: true, nodePortIPs: [parseIP('192.168.0.1')] };
const STEP_MS = 50;
const PARTIAL: Commit = { ...FULL, isFull: false };

const dns = (...endpoints: readonly string[]) =>
  resolved(
    service('dns', VIP, { type: 'NodePort', ports: PORTS }),
    endpoints.length === 0 ? [] : [slice({ service: 'dns', endpoints, ports: TARGETS })],
  );

/** Flows in memory; `failures` and `interruptions` are used up one per reading. */
class FakeFlows implements FlowSweeper {
  flows: Flow[];
  readonly questions: FlowFilter[] = [];
  failures: string[] = [];
  interruptions = 0;

  constructor(...flows: Flow[]) {
    this.flows = flows;
  }

  async deleteFlows(filter: FlowFilter, isWanted: (flow: Flow) => boolean) {
    this.questions.push(filter);
    await nextTurn();
    const code = this.failures.shift();
    if (code !== undefined) throw Object.assign(new Error(code), { code });
    // A reading that is cut short sees half of them.
    const isComplete = this.interruptions-- <= 0;
    const listed = isComplete ? this.flows : this.flows.slice(0, this.flows.length / 2);
    const gone = listed.filter((entry) => entry.protocol === filter.protocol && isWanted(entry));
    this.flows = this.flows.filter((entry) => !gone.includes(entry));
    return { seen: listed.length, deleted: gone.length, isComplete };
  }
}

function start(
  sweeper: FlowSweeper,
  options: Partial<ConntrackOptions> = {},
  clock = new FakeClock(),
) {
  const metrics = { rounds: 0, deleted: 0 };
  const reconciler = new ConntrackReconciler({
    killsTcp: false,
    sweeper,
    localAddresses: () => [],
    clock,
    log: createLogger('silent'),
    metrics: {
      conntrackSyncDuration: () => metrics.rounds++,
      conntrackDeleted: (_family, entries) => {
        metrics.deleted += entries;
      },
    },
    ...options,
  });
  /** Lets time pass and everything that is due come to its end. */
  const pass = async (ms: number) => {
    for (let passed = 0; passed <= ms; passed += STEP_MS) {
      clock.advance(passed === 0 ? 0 : STEP_MS);
      for (let turn = 0; turn < 30; turn++) await nextTurn();
    }
  };
  const commit = (endpoints: readonly string[], { isFull }: Commit = PARTIAL) => {
    reconciler.programming(4, 'ns/dns', dns(...endpoints));
    reconciler.committed(4, isFull ? FULL : PARTIAL);
  };
  return { reconciler, metrics, pass, commit };
}

const stale = (to = `${VIP} 53`) => flow('udp', to, '10.0.0.1 53');
const good = () => flow('udp', `${VIP} 53`, '10.0.0.2 53');

describe('ConntrackReconciler', () => {
  test('the first sync looks at everything and deletes only what is wrong', async () => {
    const kept = [good(), flow('tcp', `${VIP} 53`, '10.0.0.1 53'), stale('172.30.0.99 53')];
    const kernel = new FakeFlows(stale(), ...kept, stale('192.168.0.1 30053'));
    const { metrics, pass, commit } = start(kernel);
    commit(['10.0.0.2'], FULL);
    expect(kernel.questions).toEqual([]);
    await pass(0);
    expect(kernel.flows).toEqual(kept);
    expect(metrics).toEqual({ rounds: 1, deleted: 2 });
  });

  test('a change asks about its own frontends, once for many commits', async () => {
    const kernel = new FakeFlows();
    const { pass, commit } = start(kernel);
    commit(['10.0.0.1', '10.0.0.2'], FULL);
    await pass(0);
    kernel.questions.length = 0;
    kernel.flows = [stale(), good()];
    commit(['10.0.0.2', '10.0.0.3']);
    commit(['10.0.0.2', '10.0.0.4']);
    commit(['10.0.0.2']);
    await pass(200);
    expect(kernel.questions).toEqual([]);
    await pass(50);
    expect(kernel.questions).toMatchObject([
      { family: 4, protocol: 17, original: { destinationPort: 30053 } },
      { family: 4, protocol: 17, original: { destination: VIP, destinationPort: 53 } },
    ]);
    expect(kernel.flows).toHaveLength(1);
  });

  test('a change that strands nobody asks nothing', async () => {
    const kernel = new FakeFlows();
    const { pass, commit } = start(kernel);
    commit(['10.0.0.2'], FULL);
    await pass(0);
    kernel.questions.length = 0;
    commit(['10.0.0.2', '10.0.0.3']);
    await pass(10_000);
    expect(kernel.questions).toEqual([]);
  });

  test('without endpoints, flows to the last ones end and others stay', async () => {
    const kernel = new FakeFlows();
    const { pass, commit } = start(kernel);
    commit(['10.0.0.2'], FULL);
    await pass(0);
    kernel.flows = [good()];
    commit([]);
    await pass(250);
    expect(kernel.flows).toEqual([]);
  });

  test('what changed during a listing is looked at again, a bounded number of times', async () => {
    const kernel = new FakeFlows(good(), stale());
    kernel.interruptions = 2;
    const { pass, commit } = start(kernel);
    commit(['10.0.0.2'], FULL);
    await pass(0);
    expect(kernel.flows).toHaveLength(1);
    expect(kernel.questions.filter(({ protocol }) => protocol === 17)).toHaveLength(4);

    kernel.questions.length = 0;
    kernel.interruptions = 1_000;
    commit(['10.0.0.3']);
    await pass(1_000);
    expect(kernel.questions).toHaveLength(10);
  });

  test.each(['EINTR', 'ENOBUFS'])('%s is another reading', async (code) => {
    const kernel = new FakeFlows(stale());
    kernel.failures = [code, code];
    const { pass, commit } = start(kernel);
    commit(['10.0.0.2'], FULL);
    await pass(0);
    expect(kernel.flows).toEqual([]);
  });

  test('another failure is retried later, and given up in the end', async () => {
    const kernel = new FakeFlows(stale());
    kernel.failures = ['EPERM'];
    const { metrics, pass, commit } = start(kernel);
    commit(['10.0.0.2'], FULL);
    await pass(0);
    expect(kernel.flows).toHaveLength(1);
    await pass(5_000);
    expect(kernel.flows).toEqual([]);

    kernel.flows = [stale()];
    kernel.failures = Array.from({ length: 5 }, () => 'EPERM');
    metrics.rounds = 0;
    commit(['10.0.0.3']);
    for (let i = 0; i < 10; i++) await pass(5_000);
    expect(kernel.failures).toEqual([]);
    expect(kernel.flows).toHaveLength(1);
  });

  test('an address that begins to accept NodePorts has its flows looked at', async () => {
    const kernel = new FakeFlows();
    const { reconciler, pass, commit } = start(kernel);
    commit(['10.0.0.2'], FULL);
    await pass(0);
    kernel.flows = [flow('udp', '192.168.0.2 30053')];
    commit(['10.0.0.2', '10.0.0.3']);
    await pass(1_000);
    expect(kernel.flows).toHaveLength(1);
    reconciler.committed(4, { isFull: false, nodePortIPs: [parseIP('192.168.0.2')] });
    await pass(1_000);
    expect(kernel.flows).toEqual([]);
  });

  test('NodePorts on every local address: those of the links, but never loopback', async () => {
    const kept = [flow('udp', '127.0.0.1 30053'), flow('udp', '203.0.113.9 30053')];
    const kernel = new FakeFlows(...kept, flow('udp', '192.168.0.7 30053'));
    const localAddresses = () => ['127.0.0.1', '192.168.0.7'].map(parseIP);
    const { reconciler, pass } = start(kernel, { localAddresses });
    reconciler.programming(4, 'ns/dns', dns('10.0.0.2'));
    reconciler.committed(4, { isFull: true, nodePortIPs: 'anyLocal' });
    await pass(0);
    expect(kernel.flows).toEqual(kept);
  });

  test('TCP to endpoints that are gone, when asked for, and after a while', async () => {
    const kept = flow('tcp', `${VIP} 53`, '10.0.0.2 53');
    const kernel = new FakeFlows(kept, flow('tcp', `${VIP} 53`, '10.0.0.1 53'));
    const { pass, commit } = start(kernel, { killsTcp: true });
    commit(['10.0.0.1', '10.0.0.2'], FULL);
    await pass(2_000);
    expect(kernel.flows).toHaveLength(2);
    commit(['10.0.0.2']);
    commit(['10.0.0.1', '10.0.0.2']);
    await pass(2_000);
    expect(kernel.flows).toHaveLength(2);
    commit(['10.0.0.2']);
    await pass(900);
    expect(kernel.flows).toHaveLength(2);
    await pass(1_000);
    expect(kernel.flows).toEqual([kept]);
  });

  test('a slow reading is followed by a rest, which stop cuts short', async () => {
    const kernel = new FakeFlows();
    const clock = new FakeClock();
    const slow: FlowSweeper = {
      async deleteFlows(filter, isWanted) {
        await nextTurn();
        clock.advance(100);
        return kernel.deleteFlows(filter, isWanted);
      },
    };
    const { reconciler, pass, commit } = start(slow, {}, clock);
    commit(['10.0.0.2'], FULL);
    await pass(0);
    expect(kernel.questions).toHaveLength(1);
    clock.advance(350);
    await pass(0);
    expect(kernel.questions).toHaveLength(1);
    clock.advance(50);
    await pass(0);
    expect(kernel.questions).toHaveLength(2);
    await reconciler.stop();
    expect(kernel.questions).toHaveLength(2);
  });

  test('after stop nothing is asked', async () => {
    const kernel = new FakeFlows(stale());
    const { reconciler, pass, commit } = start(kernel, { killsTcp: true });
    commit(['10.0.0.2'], FULL);
    await reconciler.stop();
    await pass(10_000);
    expect(kernel.questions).toEqual([]);
  });
});
