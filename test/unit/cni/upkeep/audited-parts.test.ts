import { describe, expect, test } from 'vitest';
import { type Attachment, attachmentKey, hostVethName } from '../../../../src/cni/attachment.ts';
import type { AttachmentRecord } from '../../../../src/cni/attachment-records.ts';
import type { UpkeepNode } from '../../../../src/cni/node.ts';
import { auditedParts } from '../../../../src/cni/upkeep/audited-parts.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import type { NftablesConnection } from '../../../../src/nftables/connection.ts';
import { recordOf } from './builders.ts';

const attachmentOf = (i: number): Attachment => ({
  network: 'net',
  containerId: `pod-${i}`,
  ifName: 'eth0',
});

interface State {
  readonly records: readonly AttachmentRecord[];
  readonly unfinished?: readonly Attachment[];
  readonly addresses?: readonly object[];
  readonly forwarding?: string;
  readonly bridge?: string;
}

/** A node on which bridge and ports are right, without nf_tables. */
function partsOf({
  records,
  unfinished = [],
  addresses,
  forwarding = '1',
  bridge = 'cni0',
}: State) {
  const read: AttachmentRecord[][] = [];
  const byKey = new Map(records.map((record) => [attachmentKey(record.attachment), record]));
  const ports = records.map(({ attachment }, i) => {
    return { index: 10 + i, name: hostVethName(attachment), kind: 'veth', isUp: true, master: 2 };
  });
  const links = [{ index: 2, name: bridge, kind: 'bridge', isUp: true }, ...ports];
  const gateway = { link: 2, address: parseIP('10.0.0.1') };
  const node = {
    records: {
      keys: () => [...byKey.keys()],
      list: (keys: readonly string[]) => keys.flatMap((key) => byKey.get(key) ?? []),
    },
    journal: { unfinished: () => unfinished },
    hostPorts: { records: () => [] },
    kernel: {
      openRtnl: () => ({
        link: (name: string) => links.find((link) => link.name === name),
        linkByIndex: (index: number) => links.find((link) => link.index === index),
        addresses: () => addresses ?? [gateway],
        close: () => undefined,
      }),
      sysctls: { read: () => forwarding },
    },
  };
  const connection = { tables: () => [] };
  const parts = auditedParts(
    // Looks use nothing else of either.
    {
      node: node as unknown as UpkeepNode,
      connection: connection as unknown as NftablesConnection,
      bootId: 'boot',
    },
    (told) => read.push([...told]),
  );
  return { parts, read };
}

const recordsOf = (count: number) =>
  Array.from({ length: count }, (_, i) => recordOf(attachmentOf(i)));

/** Differences by what was compared. */
async function findings(state: State): Promise<Readonly<Record<string, unknown>>> {
  const found: [string, unknown][] = [];
  for (const { what, look } of partsOf(state).parts) {
    const differences = await look();
    if (differences !== 0) found.push([what, differences]);
  }
  return Object.fromEntries(found);
}

test('nothing is compared while there are no attachments', () => {
  expect(partsOf({ records: [] }).parts).toEqual([]);
});

test('a look reads few records, a walk all of them, once for each kind', async () => {
  const { parts, read } = partsOf({ records: recordsOf(70) });
  for (const { look } of parts) await look();
  expect(Math.max(...read.map(({ length }) => length))).toBe(32);
  const kinds = new Set(parts.map(({ what }) => what)).size;
  expect(read.flat()).toHaveLength(70 * kinds);
  expect(new Set(read.flat().map(({ attachment }) => attachment.containerId)).size).toBe(70);
});

describe('a look counts', () => {
  const plain = recordOf(attachmentOf(1));
  const quiet = { ...plain, plan: { ...plain.plan!, masquerade: [] } };
  test.each<{ name: string; state: State; want: object }>([
    { name: 'nothing where all is right', state: { records: [quiet] }, want: {} },
    {
      name: 'an address that the bridge has lost',
      state: { records: [quiet], addresses: [] },
      want: { 'bridges, ports and their addresses': 1 },
    },
    {
      name: 'nothing of a bridge that was renamed',
      state: { records: [quiet], bridge: 'br9' },
      want: {},
    },
    {
      name: 'a sysctl that somebody has set',
      state: { records: [quiet], forwarding: '0' },
      want: { forwarding: 1 },
    },
    {
      name: 'what a table lacks',
      state: { records: [plain] },
      want: { masquerading: expect.any(Number) },
    },
    {
      name: 'nothing of an attachment whose ADD or DEL is at work',
      state: { records: [plain], unfinished: [plain.attachment], forwarding: '0' },
      want: {},
    },
    {
      name: 'nothing of another boot',
      state: { records: [{ ...plain, bootId: 'former' }], forwarding: '0' },
      want: {},
    },
  ])('$name', async ({ state, want }) => {
    expect(await findings(state)).toEqual(want);
  });
});
