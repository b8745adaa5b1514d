import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeSandboxes, listSandboxes } from '../../../../src/cni/upkeep/cri.ts';
import { DecodeError } from '../../../../src/util/errors.ts';
import { MessageWriter } from '../../../support/runtime/protobuf.ts';

function listOf(...sandboxes: readonly (readonly [string, number])[]): Buffer {
  const list = new MessageWriter();
  for (const [id, state] of sandboxes) {
    list.message(1, (item) =>
      item
        .string(1, id)
        .message(2, (metadata) => metadata.string(1, 'web').varint(4, 3))
        .varint(3, state)
        .varint(4, 1_700_000_000_000_000_000n)
        .map(5, { app: 'web' }),
    );
  }
  return list.finish();
}

describe('decodeSandboxes', () => {
  test('ready ones have no state on the wire', () => {
    expect(decodeSandboxes(listOf(['a', 0], ['b', 1]))).toEqual({
      ready: new Set(['a']),
      known: new Set(['a', 'b']),
    });
  });

  test('none', () => {
    expect(decodeSandboxes(Buffer.alloc(0))).toEqual({ ready: new Set(), known: new Set() });
  });

  test('fixed-size fields of later versions are skipped', () => {
    const item = Buffer.concat([
      Buffer.from([0x51, 1, 2, 3, 4, 5, 6, 7, 8, 0x5d, 1, 2, 3, 4]),
      Buffer.from([0x0a, 1, 0x61]),
    ]);
    const list = Buffer.concat([Buffer.from([0x0a, item.length]), item]);
    expect(decodeSandboxes(list).ready).toEqual(new Set(['a']));
  });

  test.each([
    { name: 'cut short', bytes: listOf(['a', 0]).subarray(0, -1) },
    { name: 'a group', bytes: Buffer.from([0x0b]) },
    { name: 'a number without end', bytes: Buffer.alloc(12, 0x80) },
    { name: 'a sandbox without id', bytes: listOf(['', 1]) },
  ])('$name is an error, never a shorter list', ({ bytes }) => {
    expect(() => decodeSandboxes(bytes)).toThrow(DecodeError);
  });

  test('any bytes give a list or a DecodeError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          decodeSandboxes(Buffer.from(bytes));
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(DecodeError);
        }
      }),
    );
  });
});

test('nobody listens', async () => {
  await expect(listSandboxes('/nonexistent/cri.sock', 1_000)).rejects.toThrow(
    /^ask runtime at \/nonexistent\/cri.sock: .*ENOENT/,
  );
});
