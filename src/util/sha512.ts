/** SHA-512 (FIPS 180-4) without `node:crypto`, which takes a short-lived program 5 ms to load. */

const BLOCK_BYTES = 128;
const LENGTH_BYTES = 16;
const ROUNDS = 80;

let constants: { readonly rounds: readonly bigint[]; readonly initial: readonly bigint[] };

/** The digest of a text in UTF-8, in hexadecimal digits. */
export function sha512(text: string): string {
  constants ??= { rounds: primeRoots(ROUNDS, 3), initial: primeRoots(8, 2) };
  const message = padded(Buffer.from(text));
  let state = constants.initial;
  for (let offset = 0; offset < message.length; offset += BLOCK_BYTES) {
    state = compress(state, schedule(message.subarray(offset, offset + BLOCK_BYTES)));
  }
  return state.map((word) => word.toString(16).padStart(16, '0')).join('');
}

/** First 64 bits of the fractional parts of roots of the first primes. */
function primeRoots(count: number, degree: 2 | 3): readonly bigint[] {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n += 1) {
    if (!primes.some((prime) => n % prime === 0)) primes.push(n);
  }
  return primes.map((prime) => word(fixedPointRoot(prime, degree)));
}

/** A root with 64 binary digits behind the point: Newton's iteration, from above until it rises. */
function fixedPointRoot(value: number, degree: 2 | 3): bigint {
  const n = BigInt(degree);
  const scaled = BigInt(value) << (64n * n);
  const estimate = degree === 2 ? Math.sqrt(value) : Math.cbrt(value);
  let root = BigInt(Math.ceil(estimate * 2 ** 48) + 1) << 16n;
  for (;;) {
    const next = ((n - 1n) * root + scaled / (degree === 2 ? root : root * root)) / n;
    if (next >= root) return root;
    root = next;
  }
}

function padded(message: Buffer): Buffer {
  const blocks = Math.ceil((message.length + 1 + LENGTH_BYTES) / BLOCK_BYTES);
  const result = Buffer.alloc(blocks * BLOCK_BYTES);
  message.copy(result);
  result[message.length] = 0x80;
  result.writeBigUInt64BE(BigInt(message.length) * 8n, result.length - 8);
  return result;
}

function schedule(block: Buffer): readonly bigint[] {
  const words = Array.from({ length: 16 }, (_, i) => block.readBigUInt64BE(8 * i));
  const at = (i: number) => words[i] ?? 0n;
  for (let i = 16; i < ROUNDS; i += 1) {
    const early = at(i - 15);
    const late = at(i - 2);
    const first = rotate(early, 1n) ^ rotate(early, 8n) ^ (early >> 7n);
    const second = rotate(late, 19n) ^ rotate(late, 61n) ^ (late >> 6n);
    words.push(word(at(i - 16) + first + at(i - 7) + second));
  }
  return words;
}

function compress(state: readonly bigint[], words: readonly bigint[]): readonly bigint[] {
  let [a = 0n, b = 0n, c = 0n, d = 0n, e = 0n, f = 0n, g = 0n, h = 0n] = state;
  words.forEach((scheduled, i) => {
    const sumE = rotate(e, 14n) ^ rotate(e, 18n) ^ rotate(e, 41n);
    const choice = (e & f) ^ (~e & g);
    const first = h + sumE + choice + (constants.rounds[i] ?? 0n) + scheduled;
    const sumA = rotate(a, 28n) ^ rotate(a, 34n) ^ rotate(a, 39n);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    [h, g, f, e, d, c, b, a] = [g, f, e, word(d + first), c, b, a, word(first + sumA + majority)];
  });
  const mixed = [a, b, c, d, e, f, g, h];
  return mixed.map((value, i) => word(value + (state[i] ?? 0n)));
}

function rotate(value: bigint, by: bigint): bigint {
  return word((value >> by) | (value << (64n - by)));
}

function word(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}
