import { expect, test } from 'vitest';
import { isEffective } from '../../../src/kernel/capabilities.ts';

test.each([
  ['all', '000001ffffffffff', true],
  ['that one alone', '0000000000001000', true],
  ['all others', '000001ffffffefff', false],
  ['none', '0000000000000000', false],
])('CAP_NET_ADMIN of a process with %s', (_, mask, want) => {
  const status = `Name:\tnode\nCapPrm:\t0000000000001000\nCapEff:\t${mask}\nCapBnd:\t0000000000001000\n`;
  expect(isEffective(status, 'CAP_NET_ADMIN')).toBe(want);
});

test('a file that does not tell is of a process without', () => {
  expect(isEffective('Name:\tnode\n', 'CAP_NET_ADMIN')).toBe(false);
});
