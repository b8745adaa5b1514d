import { expect, test } from 'vitest';
import { AttributeWriter } from '../../../../src/netlink/attributes.ts';
import { decodeLoggedPacket } from '../../../../src/netlink/nflog/logged-packet.ts';
import { encodeLogGroup } from '../../../../src/netlink/nflog/request.ts';

/** UDP from 10.0.0.1:1000 to 10.0.0.2:53. */
const UDP = '4500002000004000401100000a0000010a000002' + '03e80035000c0000';

function message(write: (attributes: AttributeWriter) => void): Buffer {
  const attributes = new AttributeWriter().raw(Buffer.from('02002479', 'hex'));
  write(attributes);
  return attributes.finish();
}

test('binding asks for the beginning of packets and numbers', () => {
  const options = { group: 9337, copyBytes: 128, mostInMessage: 32, waitMs: 100 };
  expect(encodeLogGroup(options).toString('hex')).toBe(
    [
      '00002479', // AF_UNSPEC, version 0, the group
      '0500010001000000', // bind
      '0a000200' + '00000080' + '02000000', // copy 128 bytes
      '080004000000000a', // 10 hundredths of a second
      '0800050000000020', // 32 packets
      '0600060000010000', // numbers
    ].join(''),
  );
});

test('a packet with its prefix, links and number', () => {
  const payload = message((attributes) =>
    attributes
      .string(10, 'no egress')
      .u32be(4, 7)
      .u32be(5, 8)
      .bytes(9, Buffer.from(UDP, 'hex'))
      .u32be(12, 0xffffffff),
  );
  expect(decodeLoggedPacket(payload)).toEqual({
    group: 9337,
    prefix: 'no egress',
    headers: {
      ...{ family: 4, source: '10.0.0.1', destination: '10.0.0.2', protocol: 17 },
      ports: { source: 1000, destination: 53 },
    },
    inLink: 7,
    outLink: 8,
    sequence: 0xffffffff,
  });
});

test.each([
  ['nothing', ''],
  ['less than a header', '0200'],
])('%s is no packet', (_name, hex) => {
  expect(decodeLoggedPacket(Buffer.from(hex, 'hex'))).toBeUndefined();
});

test('numbers that are cut short are absent', () => {
  const payload = message((attributes) => attributes.bytes(12, Buffer.of(1, 2)));
  expect(decodeLoggedPacket(payload)).toMatchObject({ sequence: undefined, headers: undefined });
});
