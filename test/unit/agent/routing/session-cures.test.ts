import { expect, test } from 'vitest';
import {
  NO_SIGNATURES,
  PasswordFailures,
} from '../../../../src/agent/routing/password-failures.ts';
import { cureOf } from '../../../../src/agent/routing/session-cures.ts';

const session = { state: 'Connect', lastError: '', hasPassword: true };

test.each([
  [{ ...session, state: 'Established' }, { TCPMD5Failure: 5 }, /^$/],
  [session, { TCPMD5Failure: 5 }, /another password/],
  [{ ...session, state: 'Active' }, { TCPMD5NotFound: 1 }, /without a password/],
  [{ ...session, hasPassword: false }, { TCPMD5Unexpected: 1 }, /set passwordFile/],
  // Signatures of some other neighbour.
  [{ ...session, hasPassword: false }, { TCPMD5Failure: 5 }, /port 179/],
  [session, {}, /port 179/],
  [{ ...session, lastError: 'Socket: Connection refused' }, {}, /nobody listens/],
  [{ ...session, state: 'Idle', lastError: 'BGP Error: Bad peer AS' }, {}, /correct asn/],
  [{ ...session, state: 'OpenSent' }, {}, /^$/],
])('%j with %j', (signs, counts, want) => {
  expect(cureOf(signs, { ...NO_SIGNATURES, ...counts })).toMatch(want);
});

test('what came in the last minute counts, and no more', () => {
  let [nowMs, failures] = [0, 7];
  const read = () => ({ ...NO_SIGNATURES, TCPMD5Failure: failures });
  const seen = new PasswordFailures(read, { elapsed: () => nowMs });
  const after = (ms: number, more: number) => {
    nowMs += ms;
    failures += more;
    seen.look();
    return seen.recent().TCPMD5Failure;
  };
  expect(seen.recent()).toEqual(NO_SIGNATURES);
  // Those of before the first look are nobody's.
  expect(after(0, 0)).toBe(0);
  expect(after(10_000, 3)).toBe(3);
  expect(after(50_000, 0)).toBe(3);
  expect(after(11_000, 0)).toBe(0);
});
