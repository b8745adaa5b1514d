import { describe, expect, test } from 'vitest';
import { TakeOver } from '../../../../src/agent/proxy/take-over.ts';
import { tableText } from '../../../../src/nftables/text.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

/** A node with these tables; `pid` is that of a kube-proxy. */
function lab(tables: readonly string[], pid?: number, ownsIptables = false) {
  const present = new Set(tables);
  const failure = undefined as Error | undefined;
  const node = { pid, present, failure, seesProcesses: true };
  const clock = new FakeClock();
  const reports: string[] = [];
  const messages: string[] = [];
  const takeOver = new TakeOver({
    kernel: {
      hasTable: (table) => present.has(tableText(table)),
      deleteTable: (table) => {
        if (node.failure !== undefined) throw node.failure;
        present.delete(tableText(table));
      },
      hasChain: (table, name) => present.has(tableText(table)) && name === 'KUBE-SERVICES',
      kubeProxy: () =>
        node.pid === undefined ? undefined : { pid: node.pid, cgroup: '/kubepods/besteffort/x' },
      seesProcesses: () => node.seesProcesses,
    },
    ownsIptables,
    clock,
    log: createLogger('info', { write: (line: string) => messages.push(JSON.parse(line).msg) }),
    report: (type, note) => reports.push(`${type} ${note}`),
  });
  return { node, clock, reports, messages, takeOver };
}

describe('TakeOver', () => {
  test('its table goes with the first commit of ours, per family', () => {
    const { takeOver, node, reports } = lab(['ip kube-proxy', 'ip6 kube-proxy', 'ip theirs']);
    expect(node.present.size).toBe(3);
    takeOver.committed(4);
    expect([...node.present]).toEqual(['ip6 kube-proxy', 'ip theirs']);
    takeOver.committed(6);
    expect([[...node.present], reports]).toEqual([
      ['ip theirs'],
      [
        'Normal took over Services from kube-proxy: removed table ip kube-proxy',
        'Normal took over Services from kube-proxy: removed table ip6 kube-proxy',
      ],
    ]);
  });

  test('nothing to take over', () => {
    const { takeOver, messages } = lab(['ip theirs']);
    takeOver.committed(4);
    expect(messages).toEqual([]);
  });

  test('a running kube-proxy keeps its table until it is gone', () => {
    const { takeOver, node, clock, messages } = lab(['ip kube-proxy'], 4711);
    takeOver.committed(4);
    clock.advance(90_000);
    expect([node.present.size, messages]).toEqual([1, ['kube-proxy is running, its table stays']]);
    expect(takeOver.putOff).toEqual(['ip kube-proxy']);
    node.pid = undefined;
    clock.advance(30_000);
    expect([node.present.size, takeOver.putOff]).toEqual([0, []]);
  });

  test('a kube-proxy that nobody sees and that writes its table again is left alone', () => {
    const { takeOver, node, clock, messages, reports } = lab(['ip kube-proxy']);
    takeOver.committed(4);
    node.present.add('ip kube-proxy');
    takeOver.noteForeignChange(new Set(['ip kube-proxy']));
    clock.advance(60 * 60_000);
    takeOver.noteForeignChange(new Set(['ip kube-proxy']));
    clock.advance(60 * 60_000);
    expect([node.present.size, messages.at(-1), reports.length]).toEqual([
      1,
      'kube-proxy writes its table again',
      2,
    ]);
    clock.advance(6 * 60_000);
    expect(node.present.size).toBe(0);
  });

  test('changes of other tables, and before our first commit, mean nothing', () => {
    const { takeOver, node, clock, messages } = lab(['ip kube-proxy']);
    takeOver.noteForeignChange(new Set(['ip kube-proxy']));
    takeOver.noteForeignChange(new Set(['ip theirs']));
    clock.advance(120 * 60_000);
    expect([node.present.size, messages]).toEqual([1, []]);
  });

  test('a failure is tried again', () => {
    const { takeOver, node, clock } = lab(['ip kube-proxy']);
    node.failure = new Error('EBUSY');
    takeOver.committed(4);
    node.failure = undefined;
    clock.advance(30_000);
    expect(node.present.size).toBe(0);
  });

  test('chains of its iptables mode are named and stay', () => {
    const { takeOver, node, messages } = lab(['ip nat']);
    takeOver.committed(4);
    expect([[...node.present], messages]).toEqual([
      ['ip nat'],
      ["chains of kube-proxy's iptables mode are there"],
    ]);
  });

  test('chains of those names that are ours are not worth a word', () => {
    const { takeOver, node, messages } = lab(['ip nat'], undefined, true);
    takeOver.committed(4);
    expect([[...node.present], messages]).toEqual([['ip nat'], []]);
  });

  test('a running kube-proxy beside them is', () => {
    const { takeOver, messages } = lab(['ip nat'], 4711, true);
    takeOver.committed(4);
    expect(messages).toEqual(['kube-proxy is running and may write the same chains']);
  });

  test('a running one is a problem, and the cure begins with stopping it', () => {
    const { takeOver, node } = lab([], 4711);
    expect(takeOver.problems()).toEqual([
      expect.stringMatching(/pid 4711; stop it first: .*DaemonSet.*then.*kube-proxy --cleanup/),
    ]);
    node.pid = undefined;
    expect(takeOver.problems()).toEqual([]);
  });

  test('what cannot be seen is said once', () => {
    const { takeOver, node, messages } = lab([]);
    node.seesProcesses = false;
    takeOver.committed(4);
    takeOver.committed(6);
    expect(messages).toEqual(["the node's processes are not visible"]);
  });

  test('close ends the waiting', () => {
    const { takeOver, node, clock } = lab(['ip kube-proxy'], 4711);
    takeOver.committed(4);
    takeOver.close();
    node.pid = undefined;
    clock.advance(60_000);
    expect(node.present.size).toBe(1);
  });
});
