import { expect, test } from 'vitest';
import { missingText, UnderlayHold } from '../../../src/fabric/underlay-hold.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { underlayFacts } from '../../support/fabric-objects.ts';

const SAID = { 4: parseIP('192.0.2.1'), 6: parseIP('2001:db8::1') };
const whole = underlayFacts();
const without4 = underlayFacts({
  addresses: whole.addresses.filter(({ address }) => address !== SAID[4]),
});

test('an address that goes is waited for, so long and not longer', () => {
  const hold = new UnderlayHold();
  expect(hold.of(whole, SAID, 0)).toEqual({ facts: whole, missing: [] });
  const held = hold.of(without4, SAID, 1_000);
  expect(held.facts).toBe(whole);
  expect(held).toMatchObject({ missing: ['192.0.2.1'], leftMs: 15_000 });
  expect(missingText(held.missing)).toContain('no link has the InternalIP 192.0.2.1');
  expect(hold.of(without4, SAID, 15_999).facts).toBe(whole);
  expect(hold.of(without4, SAID, 16_000)).toEqual({ facts: without4, missing: [] });
  expect(hold.of(without4, SAID, 99_000).facts).toBe(without4);
});

test('one that comes back is what there is, and has its time again', () => {
  const hold = new UnderlayHold();
  hold.of(whole, SAID, 0);
  hold.of(without4, SAID, 1_000);
  const again = underlayFacts();
  expect(hold.of(again, SAID, 10_000).facts).toBe(again);
  expect(hold.of(without4, SAID, 20_000)).toMatchObject({ leftMs: 15_000 });
});

test('what the Node does not say any more, or what never was there, is not waited for', () => {
  const hold = new UnderlayHold();
  expect(hold.of(without4, SAID, 0).facts).toBe(without4);
  hold.of(whole, SAID, 1_000);
  expect(hold.of(without4, { 6: SAID[6] }, 2_000)).toEqual({ facts: without4, missing: [] });
});
