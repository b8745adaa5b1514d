import { expect, test } from 'vitest';
import { parseQuestion } from '../../../../src/agent/page/question.ts';

const query = (fields: Record<string, string>) => new URLSearchParams(fields);
const asked = { from: 'shop/web', to: 'shop/db', port: 'postgres' };

test.each([
  [asked, { ...asked, protocol: 'tcp' }],
  [
    { from: ' 10.0.0.1 ', to: 'fd00::1', port: '80', protocol: 'udp' },
    { from: '10.0.0.1', to: 'fd00::1', port: '80', protocol: 'udp' },
  ],
  [
    { from: 'node/node-1', to: 'shop/db', port: '5432' },
    { from: 'node/node-1', to: 'shop/db', port: '5432', protocol: 'tcp' },
  ],
])('%j', (fields, want) => {
  expect(parseQuestion(query(fields))).toEqual(want);
});

test.each([
  [{ ...asked, from: '' }, 'from: expected'],
  [{ ...asked, to: 'db; reboot' }, 'to: expected'],
  [{ ...asked, to: 'a/b/c' }, 'to: expected'],
  [{ ...asked, port: '80 81' }, 'port: expected'],
  [{ ...asked, protocol: 'icmp' }, 'protocol: expected tcp, udp or sctp'],
  [{ ...asked, from: `shop/${'x'.repeat(400)}` }, 'from: expected'],
])('%j is refused', (fields, reason) => {
  expect(() => parseQuestion(query(fields))).toThrow(reason);
});
