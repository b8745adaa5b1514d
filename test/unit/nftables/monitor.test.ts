import { expect, test } from 'vitest';
import { AttributeWriter } from '../../../src/netlink/attributes.ts';
import type { NetlinkReply } from '../../../src/netlink/message.ts';
import { encodeTableName, familyHeader } from '../../../src/nftables/encode-objects.ts';
import type { Table } from '../../../src/nftables/model.ts';
import { TransactionCollector } from '../../../src/nftables/monitor.ts';

const NFTABLES = 10 << 8;
const message = (type: number, payload: Buffer, portId: number): NetlinkReply => ({
  type,
  flags: 0,
  sequence: 0,
  portId,
  payload,
});
const change = (table: Table, portId = 7) => message(NFTABLES | 12, encodeTableName(table), portId);
const end = (portId: number, name: string) =>
  message(
    NFTABLES | 15,
    new AttributeWriter()
      .raw(familyHeader(undefined))
      .u32be(1, 5)
      .u32be(2, 4711)
      .string(3, name)
      .finish(),
    portId,
  );

test('a transaction ends with its generation and names its author', () => {
  const events = new TransactionCollector().add([
    change({ family: 'ip', name: 'weft-proxy' }),
    change({ family: 'ip', name: 'weft-proxy' }),
    change({ family: 'ip6', name: 'weft-proxy' }),
    end(7, 'node'),
    change({ family: 'inet', name: 'filter' }, 9),
    end(9, 'nft'),
  ]);
  expect(events).toEqual([
    { tables: new Set(['ip weft-proxy', 'ip6 weft-proxy']), byPortId: 7, byProcess: 'node' },
    { tables: new Set(['inet filter']), byPortId: 9, byProcess: 'nft' },
  ]);
});

test('a table whose name another one begins with, of the same family or not, is one of its own', () => {
  const [event] = new TransactionCollector().add([
    change({ family: 'ip', name: 'weft' }),
    change({ family: 'ip', name: 'weft-proxy' }),
    change({ family: 'ip', name: 'weft' }),
    change({ family: 'inet', name: 'weft' }),
    end(7, 'node'),
  ]);
  expect(event?.tables).toEqual(new Set(['ip weft', 'ip weft-proxy', 'inet weft']));
});

test('a transaction may come in parts', () => {
  const collector = new TransactionCollector();
  expect(collector.add([change({ family: 'ip', name: 'a' })])).toEqual([]);
  expect(collector.add([change({ family: 'ip', name: 'b' }), end(7, 'node')])).toEqual([
    { tables: new Set(['ip a', 'ip b']), byPortId: 7, byProcess: 'node' },
  ]);
});

test('after a reset the lost beginning is forgotten', () => {
  const collector = new TransactionCollector();
  collector.add([change({ family: 'ip', name: 'a' })]);
  collector.reset();
  expect(collector.add([end(7, 'node')])).toEqual([
    { tables: new Set(), byPortId: 7, byProcess: 'node' },
  ]);
});

test('messages of other netfilter subsystems are not ours', () => {
  const other = message(1 << 8, encodeTableName({ family: 'ip', name: 'a' }), 7);
  expect(new TransactionCollector().add([other, end(7, 'x')])[0]?.tables.size).toBe(0);
});
