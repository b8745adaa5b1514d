import { describe, expect, test } from 'vitest';
import { dumpInParts } from '../../../src/netlink/dump-in-parts.ts';
import type { NetlinkReply } from '../../../src/netlink/message.ts';

const DONE = 3;
const ERROR = 2;
const INTERRUPTED = 0x10;

const reply = (type: number, more: Partial<NetlinkReply> = {}): NetlinkReply => ({
  type,
  flags: 0,
  sequence: 7,
  portId: 0,
  payload: Buffer.alloc(4),
  ...more,
});
const result = (errno: number) => {
  const payload = Buffer.alloc(20);
  payload.writeInt32LE(0 - errno);
  return payload;
};

/** Answers each exchange with the next part. */
function dump(...parts: readonly (readonly NetlinkReply[])[]) {
  const sent: number[] = [];
  const listed: number[][] = [];
  const left = [...parts];
  const socket = {
    nextSequence: () => 7,
    async exchangeLater(bytes: Uint8Array) {
      sent.push(bytes.length);
      return [...(left.shift() ?? [])];
    },
  };
  const request = { type: 100, payload: Buffer.alloc(4), what: 'list things' };
  const consistent = dumpInParts(socket, request, (replies) => {
    listed.push(replies.map(({ type }) => type));
  });
  return { consistent, sent, listed };
}

describe('dumpInParts', () => {
  test('asks once and reads until the end', async () => {
    const { consistent, sent, listed } = dump(
      [reply(100), reply(101)],
      [reply(102)],
      [reply(103), reply(DONE)],
    );
    expect(await consistent).toBe(true);
    expect(sent).toEqual([20, 0, 0]);
    expect(listed).toEqual([[100, 101], [102], [103]]);
  });

  test('answers to something else are passed over', async () => {
    const { consistent, listed } = dump([reply(100, { sequence: 6 }), reply(101), reply(DONE)]);
    await consistent;
    expect(listed).toEqual([[101]]);
  });

  test.each([
    { name: 'an object', parts: [[reply(100, { flags: INTERRUPTED })], [reply(DONE)]] },
    { name: 'the end', parts: [[reply(100)], [reply(DONE, { flags: INTERRUPTED })]] },
  ])('a change meanwhile is told by $name', async ({ parts }) => {
    expect(await dump(...parts).consistent).toBe(false);
  });

  test.each([
    { name: 'refused', parts: [[reply(ERROR, { payload: result(1) })]], code: 'EPERM' },
    {
      name: 'broken off',
      parts: [[reply(100)], [reply(DONE, { payload: result(4) })]],
      code: 'EINTR',
    },
    { name: 'never ended', parts: [[reply(100)]], code: 'EPROTO' },
  ])('a listing that is $name is an error', async ({ parts, code }) => {
    await expect(dump(...parts).consistent).rejects.toMatchObject({ code });
  });
});
