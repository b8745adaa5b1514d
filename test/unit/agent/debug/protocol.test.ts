import { expect, test } from 'vitest';
import { DebugRequestError } from '../../../../src/agent/debug/fields.ts';
import { parseAsked } from '../../../../src/agent/questions.ts';

const packet = { source: '10.1.0.2', destination: '10.96.0.1', protocol: 'tcp', port: 80 };
const explain = (changes: object = {}, more: object = {}) =>
  JSON.stringify({ command: 'explain', packet: { ...packet, ...changes }, ...more });

test.each([
  { name: 'diff', line: '{"command":"diff"}', want: { command: 'diff' } },
  { name: 'policy list', line: '{"command":"policy list"}', want: { command: 'policy list' } },
  {
    name: 'policy pod',
    line: '{"command":"policy pod","pod":"shop/db"}',
    want: { command: 'policy pod', pod: 'shop/db' },
  },
  {
    name: 'policy denied',
    line: '{"command":"policy denied"}',
    want: { command: 'policy denied', after: 0 },
  },
  {
    name: 'flows',
    line: '{"command":"flows","query":{"pod":"shop/db","isDropped":true},"isFollowed":true}',
    want: { command: 'flows', query: { pod: 'shop/db', isDropped: true }, isFollowed: true },
  },
  {
    name: 'more flows',
    line: '{"command":"more flows","reader":"a1"}',
    want: { command: 'more flows', reader: 'a1' },
  },
  { name: 'pods', line: '{"command":"pods"}', want: { command: 'pods' } },
  {
    name: 'a part of the Services of a namespace',
    line: '{"command":"services","namespace":"shop","after":"shop/a","limit":7,"more":1}',
    want: { command: 'services', namespace: 'shop', after: 'shop/a', limit: 7 },
  },
  {
    name: 'one Service',
    line: '{"command":"service","name":"shop/web"}',
    want: { command: 'service', name: 'shop/web' },
  },
  {
    name: 'addresses held',
    line: '{"command":"ips","isHeldOnly":true}',
    want: { command: 'ips', isHeldOnly: true },
  },
  {
    name: 'explain',
    line: explain(),
    want: { command: 'explain', packet, liveTimeoutMs: undefined },
  },
  {
    name: 'addresses in canonical form',
    line: explain({ source: 'FD00:0::2', destination: 'fd00::1' }),
    want: { packet: { source: 'fd00::2' } },
  },
  {
    name: 'names',
    line: JSON.stringify({
      command: 'explain',
      packet: { from: 'shop/cart', to: 'shop/db', port: 'postgres', protocol: 'tcp', more: 1 },
    }),
    want: { packet: { from: 'shop/cart', to: 'shop/db', port: 'postgres', protocol: 'tcp' } },
  },
  {
    name: 'everything',
    line: explain({ inInterface: 'br0' }, { liveTimeoutMs: 60_000 }),
    want: { packet: { inInterface: 'br0' }, liveTimeoutMs: 60_000 },
  },
])('$name', ({ line, want }) => {
  expect(parseAsked(line).request).toMatchObject(want);
});

test.each([
  { line: '', text: /one line of JSON/ },
  { line: '[]', text: /request: expected an object/ },
  {
    line: '{"command":"reboot"}',
    text: /command: expected one of .*explain.*, diff, status/,
  },
  { line: '{"command":"policy pod"}', text: /pod: expected a name/ },
  { line: `{"command":"policy pod","pod":"${'x'.repeat(318)}"}`, text: /pod: expected a name/ },
  { line: '{"command":"policy denied","after":-1}', text: /after: expected a number/ },
  { line: '{"command":"explain"}', text: /packet: expected an object/ },
  { line: explain({ from: 'shop/cart' }), text: /to: expected a name/ },
  { line: explain({ from: 'a/b', to: 'c/d', port: 80 }), text: /port: expected a name/ },
  { line: explain({ source: '10.1.0' }), text: /source: expected an IP/ },
  { line: explain({ destination: 7 }), text: /destination: expected an IP/ },
  { line: explain({ destination: 'fd00::1' }), text: /two families/ },
  { line: explain({ protocol: 'icmp' }), text: /protocol: expected tcp, udp or sctp/ },
  { line: explain({ port: 0 }), text: /port: expected/ },
  { line: explain({ port: 65_536 }), text: /port: expected/ },
  { line: explain({ port: 1.5 }), text: /port: expected/ },
  { line: explain({ inInterface: 'a-name-far-too-long' }), text: /inInterface: expected/ },
  { line: explain({}, { liveTimeoutMs: 0 }), text: /liveTimeoutMs: expected/ },
  { line: explain({}, { liveTimeoutMs: 60_001 }), text: /liveTimeoutMs: expected/ },
])('$line is refused', ({ line, text }) => {
  expect(() => parseAsked(line)).toThrow(DebugRequestError);
  expect(() => parseAsked(line)).toThrow(text);
});
