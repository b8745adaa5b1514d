import { expect, test } from 'vitest';
import { AttributeWriter } from '../../../src/netlink/attributes.ts';
import { familyHeader } from '../../../src/nftables/encode-objects.ts';
import { decodeTrace } from '../../../src/nftables/trace.ts';
import { readTracedPacket } from '../../../src/nftables/traced-packet.ts';

const IPV4 = Buffer.from('4500003c00004000400600000a010002ac1e0001', 'hex');
const IPV6 = Buffer.from(
  '6000000000280640fd000010000100000000000000000002fd001720000000000000000000000001'.slice(0, 80),
  'hex',
);
const TCP = Buffer.from('9c400050000000000000000050020000', 'hex');

function event(attributes: (writer: AttributeWriter) => AttributeWriter): Buffer {
  return attributes(new AttributeWriter().raw(familyHeader('ip')))
    .string(1, 'weft-proxy')
    .string(2, 'services')
    .u32be(6, 7)
    .finish();
}

test('a rule that gave a verdict', () => {
  const payload = event((writer) =>
    writer
      .u64be(3, 12n)
      .u32be(4, 3)
      .nested(5, (verdict) => verdict.u32be(1, -4).string(2, 'n3'))
      .u32be(10, 2),
  );
  expect(decodeTrace(payload)).toEqual({
    ...{ id: 7, family: 'ip', table: 'weft-proxy', chain: 'services', kind: 'rule' },
    ...{ ruleHandle: 12n, verdict: 'goto n3', packet: undefined, inLink: 2, outLink: undefined },
  });
});

test('the end of a base chain, with the packet', () => {
  const payload = event((writer) => writer.u32be(4, 1).u32be(16, 1).bytes(8, IPV4).bytes(9, TCP));
  expect(decodeTrace(payload)).toMatchObject({
    ...{ kind: 'policy', verdict: 'accept' },
    packet: { source: '10.1.0.2', destination: '172.30.0.1', protocol: 6, destinationPort: 80 },
  });
});

test.each([
  { name: 'without an id', payload: Buffer.from(familyHeader('ip')) },
  { name: 'of another kind', payload: event((writer) => writer.u32be(4, 9)) },
])('$name it is none', ({ payload }) => {
  expect(decodeTrace(payload)).toBeUndefined();
});

test.each([
  { name: 'no header', network: undefined, want: undefined },
  { name: 'half a header', network: IPV4.subarray(0, 12), want: undefined },
  { name: 'neither IPv4 nor IPv6', network: Buffer.alloc(40), want: undefined },
  {
    name: 'IPv6',
    network: IPV6,
    transport: TCP,
    want: { source: 'fd00:10:1::2', protocol: 6, sourcePort: 40_000, destinationPort: 80 },
  },
  {
    name: 'no ports',
    network: IPV4,
    transport: TCP.subarray(0, 2),
    want: { sourcePort: undefined, destinationPort: undefined },
  },
])('packet: $name', ({ network, transport, want }) => {
  const packet = readTracedPacket(network, transport);
  if (want === undefined) expect(packet).toBeUndefined();
  else expect(packet).toMatchObject(want);
});
