import { expect, test } from 'vitest';
import type { IptablesPrograms } from '../../../../../src/iptables/programs.ts';
import { rememberPacketCounts } from '../../../../../src/proxy/modes/iptables/remembered-counts.ts';
import { createLogger } from '../../../../../src/util/log.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const settled = async () => new Promise((resolve) => setImmediate(resolve));

/** Programs whose chains have counted this much. */
function lab() {
  const node = { invalid: 3, loopback: 4, isMissing: false, runs: 0 };
  const programs: IptablesPrograms = {
    variant: 'nft',
    save: async () => '',
    restore: async () => {},
    isOwnPort: () => false,
    listCounted: async (table) => {
      node.runs += 1;
      if (node.isMissing) throw new Error('No chain/target/match by that name');
      return table === 'filter'
        ? `-N KUBE-FORWARD\n-A KUBE-FORWARD -m conntrack --ctstate INVALID -c ${node.invalid} 60 -j DROP\n-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -c 9 9 -j ACCEPT\n`
        : `-A KUBE-POSTROUTING -s 127.0.0.0/8 -m comment --comment "packets to nodePorts of localhost" -c ${node.loopback} 60\n`;
    },
  };
  const clock = new FakeClock();
  const read = rememberPacketCounts(programs, { clock, log: createLogger('silent') });
  return { node, clock, read };
}

test('a scrape gets what was read after the one before, and frequent ones share a reading', async () => {
  const { node, clock, read } = lab();
  expect(read()).toBeUndefined();
  await settled();
  node.invalid = 5;
  const first = { droppedInvalid: 3, loopbackNodePorts: 4 };
  expect([read(), read(), node.runs]).toEqual([first, first, 2]);
  clock.advance(10_000);
  expect([read(), read()]).toEqual([first, first]);
  await settled();
  expect([read(), node.runs]).toEqual([{ ...first, droppedInvalid: 5 }, 4]);
});

test('chains that are not there yet count nothing, and are looked for again', async () => {
  const { node, clock, read } = lab();
  node.isMissing = true;
  read();
  await settled();
  expect(read()).toBeUndefined();
  node.isMissing = false;
  clock.advance(10_000);
  read();
  await settled();
  expect(read()).toEqual({ droppedInvalid: 3, loopbackNodePorts: 4 });
});
