import { describe, expect, test } from 'vitest';
import { parseIP } from '../../../../src/net/ip.ts';
import { AttributeWriter } from '../../../../src/netlink/attributes.ts';
import { decodeFlow, type Flow } from '../../../../src/netlink/ctnetlink/flow.ts';
import {
  encodeFlowFilter,
  encodeFlowKey,
  type FlowFilter,
  matchesFlow,
} from '../../../../src/netlink/ctnetlink/request.ts';

/** A UDP flow from 10.0.0.1:1000 to 172.30.0.1:53, translated to 10.0.0.9:5353. */
function flowMessage(): Buffer {
  const tuple = (from: string, to: string, ports: readonly [number, number]) => {
    return (writer: AttributeWriter) =>
      writer
        .nested(1, (ip) => ip.bytes(1, bytes(from)).bytes(2, bytes(to)))
        .nested(2, (proto) => proto.u8(1, 17).u16be(2, ports[0]).u16be(3, ports[1]));
  };
  return new AttributeWriter()
    .raw(Buffer.from('02000000', 'hex'))
    .nested(1, tuple('10.0.0.1', '172.30.0.1', [1000, 53]))
    .nested(2, tuple('10.0.0.9', '10.0.0.1', [5353, 1000]))
    .u32be(3, 0x2a)
    .u32be(8, 0x80000001)
    .u32be(12, 77)
    .u16be(18, 3)
    .finish();
}

const bytes = (ip: string) => Uint8Array.from(ip.split('.'), Number);
const requireFlow = (): Flow => {
  const flow = decodeFlow(flowMessage());
  if (flow === undefined) throw new Error('no flow');
  return flow;
};

describe('decodeFlow', () => {
  test('both directions, protocol, status and mark', () => {
    expect(requireFlow()).toMatchObject({
      family: 4,
      protocol: 17,
      original: {
        source: '10.0.0.1',
        destination: '172.30.0.1',
        sourcePort: 1000,
        destinationPort: 53,
      },
      reply: { source: '10.0.0.9', destination: '10.0.0.1', sourcePort: 5353 },
      status: 0x2a,
      mark: 0x80000001,
    });
  });

  test('a message without a reply tuple is no flow', () => {
    expect(decodeFlow(flowMessage().subarray(0, 56))).toBeUndefined();
  });

  test('deleting names the tuple, the id and the zone as they came', () => {
    const message = flowMessage();
    const got = encodeFlowKey(requireFlow().key).toString('hex');
    expect(got).toBe(`${message.toString('hex', 0, 56)}08000c000000004d0600120000030000`);
  });
});

describe('encodeFlowFilter', () => {
  test.each<{ name: string; filter: FlowFilter; want: string }>([
    { name: 'a family', filter: { family: 6 }, want: '0a000000' },
    {
      name: 'a protocol and a destination',
      filter: {
        family: 4,
        protocol: 17,
        original: { destination: parseIP('172.30.0.1'), destinationPort: 53 },
      },
      want: [
        '02000000',
        '24000180' + '0c00018008000200ac1e0001',
        '14000280' + '0500010011000000' + '0600030000350000',
        '14001980' + '080001002a000000' + '0800020000000000',
      ].join(''),
    },
    {
      name: 'the other side after translation',
      filter: { family: 4, reply: { source: parseIP('10.0.0.9') } },
      want: [
        '02000000',
        '10000280' + '0c000180' + '080001000a000009',
        '14001980' + '0800010000000000' + '0800020001000000',
      ].join(''),
    },
    {
      name: 'IPv6 addresses are not for the kernel, which compares them upside down',
      filter: { family: 6, protocol: 17, original: { source: parseIP('fd00::9') } },
      want: [
        '0a000000',
        '10000180' + '0c000280' + '0500010011000000',
        '14001980' + '0800010008000000' + '0800020000000000',
      ].join(''),
    },
    {
      name: 'a port alone is not for the kernel',
      filter: { family: 4, original: { sourcePort: 53 } },
      want: '02000000',
    },
    {
      name: 'a mark',
      filter: { family: 4, mark: { value: 0x10, mask: 0xf0 } },
      want: '02000000' + '0800080000000010' + '08001500000000f0',
    },
  ])('$name', ({ filter, want }) => {
    expect(encodeFlowFilter(filter).toString('hex')).toBe(want);
  });
});

describe('matchesFlow', () => {
  test.each<[string, Omit<FlowFilter, 'family'>, boolean]>([
    ['nothing asked', {}, true],
    ['protocol', { protocol: 17 }, true],
    ['other protocol', { protocol: 6 }, false],
    ['destination', { original: { destination: parseIP('172.30.0.1') } }, true],
    ['other destination', { original: { destination: parseIP('172.30.0.2') } }, false],
    ['other source', { original: { source: parseIP('172.30.0.1') } }, false],
    ['port', { original: { destinationPort: 53 } }, true],
    ['other port', { original: { sourcePort: 53 } }, false],
    ['translated', { reply: { source: parseIP('10.0.0.9'), sourcePort: 5353 } }, true],
    ['not translated', { reply: { source: parseIP('172.30.0.1') } }, false],
    ['mark', { mark: { value: 0x80000000, mask: 0xf0000000 } }, true],
    ['other mark', { mark: { value: 2, mask: 0xf } }, false],
  ])('%s', (_name, filter, want) => {
    expect(matchesFlow({ family: 4, ...filter }, requireFlow())).toBe(want);
  });

  test('the other family', () => {
    expect(matchesFlow({ family: 6 }, requireFlow())).toBe(false);
  });
});
