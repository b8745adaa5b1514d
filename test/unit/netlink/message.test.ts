import { describe, expect, test } from 'vitest';
import { AttributeWriter } from '../../../src/netlink/attributes.ts';
import {
  encodeMessage,
  NLMSG_ERROR,
  parseErrorReply,
  parseMessages,
} from '../../../src/netlink/message.ts';

const NLM_F_CAPPED_TLVS = 0x300;

function errorReply(errno: number, flags: number, tail: Uint8Array): Buffer {
  const code = Buffer.alloc(4);
  code.writeInt32LE(-errno);
  const request = encodeMessage(16, 0, 7, Buffer.alloc(0)).subarray(0, 16);
  return encodeMessage(NLMSG_ERROR, flags, 7, Buffer.concat([code, request, tail]));
}

describe('parseMessages', () => {
  test('splits padded messages and keeps their headers', () => {
    const bytes = Buffer.concat([
      encodeMessage(16, 5, 1, Buffer.from([1, 2, 3])),
      encodeMessage(17, 0, 2, Buffer.alloc(0)),
    ]);
    const parsed = parseMessages(bytes);
    expect(parsed.map(({ type, flags, sequence }) => [type, flags, sequence])).toEqual([
      [16, 5, 1],
      [17, 0, 2],
    ]);
    expect([...(parsed[0]?.payload ?? [])]).toEqual([1, 2, 3]);
  });

  test.each(['', '0400', 'ff00000010000000010000000000000000'])('truncated %j', (hex) => {
    expect(parseMessages(Buffer.from(hex, 'hex'))).toEqual([]);
  });
});

describe('parseErrorReply', () => {
  test('an acknowledgement is errno 0', () => {
    const [reply] = parseMessages(errorReply(0, 0x100, Buffer.alloc(0)));
    expect(reply && parseErrorReply(reply)).toEqual({
      errno: 0,
      extack: undefined,
      offset: undefined,
    });
  });

  test('the extended ACK comes with text and offset', () => {
    const tail = new AttributeWriter().string(1, 'Chain is busy').u32(2, 44).finish();
    const [reply] = parseMessages(errorReply(16, NLM_F_CAPPED_TLVS, tail));
    expect(reply && parseErrorReply(reply)).toEqual({
      errno: 16,
      extack: 'Chain is busy',
      offset: 44,
    });
  });
});
