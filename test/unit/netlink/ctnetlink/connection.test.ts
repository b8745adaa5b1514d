import { expect, test } from 'vitest';
import { AttributeWriter } from '../../../../src/netlink/attributes.ts';
import { decodeConnection } from '../../../../src/netlink/ctnetlink/connection.ts';

const bytes = (ip: string) => Uint8Array.from(ip.split('.'), Number);
const tuple = (from: string, to: string, ports: readonly [number, number]) => {
  return (writer: AttributeWriter) =>
    writer
      .nested(1, (ip) => ip.bytes(1, bytes(from)).bytes(2, bytes(to)))
      .nested(2, (proto) => proto.u8(1, 6).u16be(2, ports[0]).u16be(3, ports[1]));
};

/** TCP from 10.0.0.1:1000 to 172.30.0.1:80, sent on to 10.0.0.9:8080. */
function begun(): AttributeWriter {
  return new AttributeWriter()
    .raw(Buffer.from('02000000', 'hex'))
    .nested(1, tuple('10.0.0.1', '172.30.0.1', [1000, 80]))
    .nested(2, tuple('10.0.0.9', '10.0.0.1', [8080, 1000]))
    .u32be(3, 0x2a)
    .u32be(8, 0x80000001);
}

const FLOW = {
  ...{ family: 4, protocol: 6, status: 0x2a, mark: 0x80000001 },
  original: {
    ...{ source: '10.0.0.1', destination: '172.30.0.1' },
    ...{ sourcePort: 1000, destinationPort: 80 },
  },
  reply: {
    ...{ source: '10.0.0.9', destination: '10.0.0.1' },
    ...{ sourcePort: 8080, destinationPort: 1000 },
  },
};

test('one that begins has addresses and a status', () => {
  expect(decodeConnection(begun().finish())).toEqual({ flow: FLOW });
});

test('one that ends has counters, times and the state of TCP', () => {
  const ended = begun()
    .nested(9, (counters) => counters.u64be(1, 5n).u64be(2, 6_000_000_000n))
    .nested(10, (counters) => counters.u64be(1, 4n).u64be(2, 300n))
    .nested(20, (times) =>
      times.u64be(1, 1_700_000_000_123_456_789n).u64be(2, 1_700_000_001_000_000_000n),
    )
    .nested(4, (info) => info.nested(1, (tcp) => tcp.u8(1, 8)))
    .finish();
  expect(decodeConnection(ended)).toEqual({
    flow: FLOW,
    sent: { packets: 5, bytes: 6_000_000_000 },
    received: { packets: 4, bytes: 300 },
    startedAtMs: 1_700_000_000_123,
    endedAtMs: 1_700_000_001_000,
    tcpState: 8,
  });
});

test('one of IPv6, and ICMP without ports', () => {
  const address = (last: number) => Uint8Array.of(0xfd, ...Array(14).fill(0), last);
  const icmp = (from: number, to: number) => (writer: AttributeWriter) =>
    writer
      .nested(1, (ip) => ip.bytes(3, address(from)).bytes(4, address(to)))
      .nested(2, (proto) => proto.u8(1, 58).u16be(7, 1).u8(8, 128).u8(9, 0));
  const message = new AttributeWriter()
    .raw(Buffer.from('0a000000', 'hex'))
    .nested(1, icmp(1, 2))
    .nested(2, icmp(2, 1))
    .finish();
  expect(decodeConnection(message)?.flow).toMatchObject({
    ...{ family: 6, protocol: 58 },
    original: { source: 'fd00::1', destination: 'fd00::2', sourcePort: undefined },
  });
});

test('what is cut off is none, wherever', () => {
  const whole = begun().finish();
  for (let length = 0; length < 100; length++) {
    expect(decodeConnection(whole.subarray(0, length))).toBeUndefined();
  }
});
