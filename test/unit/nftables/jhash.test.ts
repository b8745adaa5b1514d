import { expect, test } from 'vitest';
import { parseIP } from '../../../src/net/ip.ts';
import { ipBytes } from '../../../src/nftables/bytes.ts';
import { jhashModulo } from '../../../src/nftables/jhash.ts';

/** test/netns/proxy-balance.test.ts holds it against what the kernel computes. */
test.each([
  ['10.1.0.2', 199],
  ['203.0.113.9', 46],
  ['fd00:10:1::2', 115],
  ['2001:db8::9', 30],
] as const)('%s', (ip, slot) => {
  expect(jhashModulo(ipBytes(parseIP(ip)), 251, 0x77656674)).toBe(slot);
});

test('all values come', () => {
  const values = Array.from({ length: 2000 }, (_, i) =>
    jhashModulo(ipBytes(parseIP(`10.0.${i >> 8}.${i & 255}`)), 16, 1),
  );
  expect(new Set(values).size).toBe(16);
  expect(Math.max(...values)).toBe(15);
});

test.each([0, 3, 12])('%i bytes are refused', (length) => {
  expect(() => jhashModulo('x'.repeat(length), 8, 0)).toThrow(RangeError);
});
