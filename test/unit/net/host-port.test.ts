import { expect, test } from 'vitest';
import { formatHostPort, parseHostPort } from '../../../src/net/host-port.ts';

test.each([
  ['192.168.0.1:80', { host: '192.168.0.1', port: 80 }],
  ['192.168.0.1', { host: '192.168.0.1', port: 1 }],
  ['::', { host: '::', port: 1 }],
  ['fd00::7', { host: 'fd00::7', port: 1 }],
  ['[fd00::7]:80', { host: 'fd00::7', port: 80 }],
  ['0.0.0.0:0', { host: '0.0.0.0', port: 0 }],
  ['[fd00::7]', undefined],
  [':80', undefined],
  ['192.168.0.1:', undefined],
  ['192.168.0.1:-1', undefined],
  ['192.168.0.1:0x50', undefined],
  ['node-a:80', undefined],
  ['', undefined],
])('parseHostPort(%j)', (text, want) => {
  expect(parseHostPort(text, 1)).toEqual(want);
});

test.each([
  ['10.0.0.1', '10.0.0.1:80'],
  ['fd00::1', '[fd00::1]:80'],
  ['node-a', 'node-a:80'],
])('formatHostPort(%j, 80)', (host, want) => {
  expect(formatHostPort(host, 80)).toBe(want);
});
