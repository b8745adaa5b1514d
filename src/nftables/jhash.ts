/** The number that the selector `jhash` gives, computed as the kernel does (include/linux/jhash.h). */

const INITIAL = 0xdeadbeef;
const BLOCK_BYTES = 12;

/**
 * Hash of register bytes, scaled to 0 … `modulus` - 1 (reciprocal_scale). For lengths that are a
 * multiple of four but not of twelve, which addresses are.
 */
export function jhashModulo(bytes: string, modulus: number, seed: number): number {
  const hash = jhashWords(wordsOf(bytes), seed);
  return Number((BigInt(hash) * BigInt(modulus)) >> 32n);
}

function wordsOf(bytes: string): readonly number[] {
  if (bytes.length % 4 !== 0 || bytes.length % BLOCK_BYTES === 0) {
    throw new RangeError(`jhash of ${bytes.length} bytes`);
  }
  const buffer = Buffer.from(bytes, 'latin1');
  return Array.from({ length: bytes.length / 4 }, (_, i) => buffer.readUInt32LE(i * 4));
}

function jhashWords(words: readonly number[], seed: number): number {
  const start = (INITIAL + words.length * 4 + seed) | 0;
  let [a, b, c] = [start, start, start];
  let at = 0;
  for (; words.length - at > 3; at += 3) {
    a = (a + (words[at] ?? 0)) | 0;
    b = (b + (words[at + 1] ?? 0)) | 0;
    c = (c + (words[at + 2] ?? 0)) | 0;
    [a, b, c] = mix(a, b, c);
  }
  a = (a + (words[at] ?? 0)) | 0;
  b = (b + (words[at + 1] ?? 0)) | 0;
  return finish(a, b, c);
}

type State = [number, number, number];

function mix(first: number, second: number, third: number): State {
  let [a, b, c] = [first, second, third];
  for (const [left, middle, right] of [
    [4, 6, 8],
    [16, 19, 4],
  ] as const) {
    a = ((a - c) ^ rotate(c, left)) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ rotate(a, middle)) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ rotate(b, right)) | 0;
    b = (b + a) | 0;
  }
  return [a, b, c];
}

function finish(first: number, second: number, third: number): number {
  let [a, b, c] = [first, second, third];
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  c = ((c ^ b) - rotate(b, 24)) | 0;
  return c >>> 0;
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}
