import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { netnses } from '../../src/kernel/netns.ts';
import { openNodeEvents } from '../../src/kernel/node-events.ts';
import type { Netns } from '../../src/kernel/types.ts';
import { type TableEvent, watchTables } from '../../src/nftables/monitor.ts';
import { watchDrift } from '../../src/proxy/modes/iptables/drift.ts';
import { type Clock, systemClock } from '../../src/util/clock.ts';
import { kernelRules, listingOf, programAll, VARIANTS } from '../support/iptables-lab.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';

let node: TestNetns;
let netns: Netns;

beforeEach(() => {
  node = createNetns('iptables');
  netns = netnses.open(node.path);
});

afterEach(() => {
  netns.close();
  node.remove();
});

/** Where nobody is notified, a look every five seconds would make the tests long. */
const hastyClock: Clock = {
  ...systemClock,
  schedule: (delayMs, callback) => systemClock.schedule(delayMs / 10, callback),
};

describe.each(VARIANTS)('iptables-%s', (variant) => {
  describe.each([4, 6] as const)('IPv%i', (family) => {
    test.each([
      ['all rules and chains', ['-F', '-X']],
      ['the rules of table nat', ['-t nat -F']],
      ['one rule', ['-t nat -D KUBE-SERVICES 1']],
      ['a jump', ['-D FORWARD 1']],
      ['a canary', ['-t mangle -F KUBE-PROXY-CANARY', '-t mangle -X KUBE-PROXY-CANARY']],
    ])('is repaired within seconds after the loss of %s', async (_, commands) => {
      const rules = await kernelRules(node, variant, family);
      await programAll(rules, family);
      const whole = listingOf(node, variant, family);
      const repairs: Promise<void>[] = [];
      const watch = watchDrift(new Map([[family, rules]]), {
        clock: variant === 'nft' ? systemClock : hastyClock,
        events: openNodeEvents(netns),
        onDrift: () => repairs.push(programAll(rules, family)),
        onError: (__, error) => repairs.push(Promise.reject(error)),
      });
      try {
        for (const command of commands) {
          node.run(`${family === 4 ? 'ip' : 'ip6'}tables-${variant}`, ...command.split(' '));
        }
        expect(listingOf(node, variant, family)).not.toBe(whole);
        await expect
          .poll(() => sortedLines(listingOf(node, variant, family)), {
            timeout: 15_000,
            interval: 200,
          })
          .toEqual(sortedLines(whole));
        await Promise.all(repairs);
      } finally {
        watch.close();
      }
    });
  });
});

test('notifications of our own changes are told from those of others', async () => {
  const rules = await kernelRules(node, 'nft', 4);
  const events: (TableEvent | 'overflow')[] = [];
  const watch = watchTables(netns, (event) => events.push(event));
  const ports = () => events.flatMap((event) => (event === 'overflow' ? [] : [event.byPortId]));
  try {
    await programAll(rules, 4);
    await expect.poll(() => ports().length).toBeGreaterThan(0);
    expect(ports().filter((port) => !rules.programs.isOwnPort(port))).toEqual([]);
    const own = ports().length;
    node.run('iptables-nft', '-N', 'SOMEBODY');
    await expect.poll(() => ports().length).toBeGreaterThan(own);
    expect(
      ports()
        .slice(own)
        .filter((port) => rules.programs.isOwnPort(port)),
    ).toEqual([]);
  } finally {
    watch.close();
  }
});

/** The kernel gives chains of legacy tables in the order in which they were made. */
function sortedLines(listing: string): readonly string[] {
  return listing.split('\n').sort();
}
