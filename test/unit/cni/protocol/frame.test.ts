import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeRequest, encodeAnswer, FrameReader } from '../../../../src/cni/protocol/frame.ts';

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function record(key: string, value: Uint8Array): Buffer {
  return Buffer.concat([u32(Buffer.byteLength(key)), u32(value.length), Buffer.from(key), value]);
}

function frame(payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from('WFT1'), u32(payload.length), payload]);
}

function readInChunks(bytes: Buffer, sizes: readonly number[]): Buffer | undefined {
  const reader = new FrameReader();
  let payload: Buffer | undefined;
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    payload = reader.push(bytes.subarray(at, at + size));
    at += size;
  }
  return payload;
}

test('a frame is the same however it is cut', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 }),
      (payload, sizes) => {
        expect(readInChunks(frame(payload), sizes)).toEqual(Buffer.from(payload));
      },
    ),
    { numRuns: 200 },
  );
});

test('an incomplete frame gives nothing yet', () => {
  const whole = frame(Buffer.from('abc'));
  expect(new FrameReader().push(whole.subarray(0, whole.length - 1))).toBeUndefined();
});

describe('a foreign frame is refused', () => {
  test.each([
    ['magic', Buffer.from('GET / HTTP/1.1\r\n'), 'no WFT1 magic'],
    ['too long', Buffer.concat([Buffer.from('WFT1'), u32(0x7fffffff)]), '2147483647 bytes'],
    [
      'trailing bytes',
      Buffer.concat([frame(Buffer.from('a')), Buffer.from('b')]),
      '1 bytes too many',
    ],
  ])('%s', (_name, bytes, message) => {
    expect(() => new FrameReader().push(bytes)).toThrow(message);
  });
});

test('records become environment, stdin and the reason for no namespace', () => {
  const payload = Buffer.concat([
    record('env.CNI_COMMAND', Buffer.from('ADD')),
    record('env.stdin', Buffer.from('not stdin')),
    record('stdin', Buffer.from([0, 1, 255])),
    record('netns-error', Buffer.from('No such file or directory')),
    record('later', Buffer.from('ignored')),
  ]);
  expect(decodeRequest(payload)).toEqual({
    env: { CNI_COMMAND: 'ADD', stdin: 'not stdin' },
    stdin: Buffer.from([0, 1, 255]),
    netnsError: 'No such file or directory',
  });
});

test.each([
  ['header', u32(1)],
  ['value', record('stdin', Buffer.from('abc')).subarray(0, -1)],
])('a record cut in its %s is refused', (_name, payload) => {
  expect(() => decodeRequest(payload)).toThrow('cut in a record');
});

test('an answer has exit code, length of stdout, stdout, stderr', () => {
  const answer = encodeAnswer({ exitCode: 1, stdout: 'é', stderr: 'note' });
  expect(answer).toEqual(
    Buffer.concat([
      Buffer.from('WFT1'),
      u32(14),
      u32(1),
      u32(2),
      Buffer.from('é'),
      Buffer.from('note'),
    ]),
  );
});
