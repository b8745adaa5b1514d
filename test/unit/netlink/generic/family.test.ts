import { describe, expect, test } from 'vitest';
import { AttributeWriter } from '../../../../src/netlink/attributes.ts';
import { beginCommand, findFamily } from '../../../../src/netlink/generic/family.ts';
import type { NetlinkReply } from '../../../../src/netlink/message.ts';
import { WeftError } from '../../../../src/util/errors.ts';

function reply(payload: Buffer): NetlinkReply {
  return { type: 16, flags: 0, sequence: 1, portId: 1, payload };
}

/** Answers every request with `answer` and keeps what was sent. */
function controller(answer: () => NetlinkReply[]) {
  const sent: { type: number; hex: string }[] = [];
  return {
    sent,
    request(type: number, _flags: number, payload: Uint8Array) {
      sent.push({ type, hex: Buffer.from(payload).toString('hex') });
      return answer();
    },
  };
}

describe('findFamily', () => {
  test('asks the controller by name and gives the number it answers', () => {
    const family = new AttributeWriter()
      .raw(Uint8Array.of(1, 2, 0, 0))
      .string(2, 'IPVS')
      .u16(1, 0x1c)
      .finish();
    const socket = controller(() => [reply(family)]);
    expect(findFamily(socket, 'IPVS')).toBe(0x1c);
    expect(socket.sent).toEqual([{ type: 16, hex: `03010000090002004950565300000000` }]);
  });

  test.each([
    { code: 'ENOENT', want: undefined },
    { code: 'EPERM', want: 'EPERM' },
  ])('an answer of $code', ({ code, want }) => {
    const socket = controller(() => {
      throw new WeftError(code, code);
    });
    const find = () => findFamily(socket, 'IPVS');
    if (want === undefined) expect(find()).toBeUndefined();
    else expect(find).toThrow(want);
  });
});

test('a command begins with its number and version', () => {
  expect(beginCommand(5, 1).finish().toString('hex')).toBe('05010000');
});
