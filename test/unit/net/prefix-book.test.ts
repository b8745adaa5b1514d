import { describe, expect, test } from 'vitest';
import { containsCidr, parseCidr } from '../../../src/net/cidr.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { PrefixBook } from '../../../src/net/prefix-book.ts';
import { randomStream } from '../../faults/random.ts';

function bookOf(...networks: readonly string[]): PrefixBook<string> {
  const book = new PrefixBook<string>();
  for (const network of networks) book.set(parseCidr(network), network);
  return book;
}

describe('longest match', () => {
  const book = bookOf('0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16', 'fd00::/8', 'fd00:1::/64');

  test.each([
    ['10.1.2.3', '10.1.0.0/16'],
    ['10.2.2.3', '10.0.0.0/8'],
    ['192.0.2.1', '0.0.0.0/0'],
    ['fd00:1::7', 'fd00:1::/64'],
    ['fd00:2::7', 'fd00::/8'],
    ['2001:db8::1', undefined],
  ])('%s is in %s', (address, network) => {
    expect(book.longestMatch(parseIP(address))).toBe(network);
  });
});

describe('overlapping', () => {
  test.each([
    ['the same', '10.1.0.0/24', '10.1.0.0/24'],
    ['inside of a larger one', '10.1.0.128/25', '10.1.0.0/24'],
    ['around a smaller one, of a length asked for the first time', '10.1.0.0/16', '10.1.0.0/24'],
    ['beside', '10.1.1.0/24', undefined],
    ['of the other family', '::/0', undefined],
  ])('%s', (_, asked, found) => {
    expect(bookOf('10.1.0.0/24').overlapping(parseCidr(asked))).toBe(found);
  });

  test('what is set later is found inside of what was asked for before', () => {
    const book = bookOf();
    expect(book.overlapping(parseCidr('10.0.0.0/8'))).toBeUndefined();
    book.set(parseCidr('10.9.0.0/16'), 'late');
    expect(book.overlapping(parseCidr('10.0.0.0/8'))).toBe('late');
  });

  test('what is deleted is found no more, and what is left still is', () => {
    const book = bookOf('10.0.0.0/8', '10.1.0.0/24', '10.1.0.128/25');
    const asked = parseCidr('10.1.0.0/16');
    expect(book.delete(parseCidr('10.0.0.0/8'))).toBe(true);
    expect(book.delete(parseCidr('10.0.0.0/8'))).toBe(false);
    expect(book.overlapping(asked)).toBe('10.1.0.0/24');
    book.delete(parseCidr('10.1.0.0/24'));
    expect(book.overlapping(asked)).toBe('10.1.0.128/25');
    book.delete(parseCidr('10.1.0.128/25'));
    expect(book.overlapping(asked)).toBeUndefined();
    expect(book.longestMatch(parseIP('10.1.0.129'))).toBeUndefined();
  });

  test('random networks: the same answer as comparing each with each', () => {
    const random = randomStream(7);
    for (let round = 0; round < 200; round += 1) {
      const book = new PrefixBook<string>();
      const known: string[] = [];
      for (let i = 0; i < 12; i += 1) {
        const length = 24 + Math.floor(random() * 9);
        const cidr = parseCidr(`10.0.0.${Math.floor(random() * 256)}/${length}`);
        const overlaps = known.some(
          (each) => containsCidr(parseCidr(each), cidr) || containsCidr(cidr, parseCidr(each)),
        );
        expect(book.overlapping(cidr) !== undefined, `${cidr} among ${known.join(' ')}`).toBe(
          overlaps,
        );
        if (random() < 0.7) {
          book.set(cidr, cidr);
          known.push(cidr);
        }
        if (random() < 0.2) {
          const gone = known[Math.floor(random() * known.length)];
          if (gone === undefined) continue;
          book.delete(parseCidr(gone));
          for (let at = known.indexOf(gone); at >= 0; at = known.indexOf(gone)) known.splice(at, 1);
        }
      }
    }
  });
});
