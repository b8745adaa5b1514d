import { expect, test } from 'vitest';
import { connectionEvent } from '../../../../src/agent/flows/describe.ts';
import type { FlowEvent } from '../../../../src/agent/flows/flow-event.ts';
import { flowText, lossText, noticeText } from '../../../../src/agent/flows/flow-text.ts';
import { connection, ip, labNames } from './flow-lab.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 6);
const THROUGH = connection('10.1.0.2 1000', '172.30.0.1 80', {
  sentOn: '10.1.0.3 8080',
  sent: { packets: 5, bytes: 999 },
  received: { packets: 4, bytes: 1_250_000 },
  ...{ startedAtMs: NOW - 61_000 },
});
const event = (kind: 'live' | 'end', each = THROUGH) =>
  connectionEvent(kind, each, labNames(), NOW);
const DENIED: FlowEvent = {
  ...{ kind: 'denied', at: '2026-01-02T03:04:05.006Z', protocol: 'UDP', verdict: 'denied' },
  from: { ip: ip('fd00::2') },
  to: { ip: ip('fd00::1'), port: 53 },
  policies: ['NetworkPolicy shop/closed'],
  reason: 'no rule of NetworkPolicy shop/closed allows it, which isolates shop/web-1 for ingress',
  attempts: 3,
};

test.each([
  [
    event('end'),
    '03:04:05  end      shop/client:1000 -> shop/web:http (shop/web-1:8080)/tcp',
    '                   established, 999 B sent, 1.3 MB received, 1 min',
  ],
  [
    DENIED,
    '03:04:05  denied   fd00::2 -> [fd00::1]:53/udp',
    '                   denied by NetworkPolicy shop/closed, 3 packets, no rule of',
    '                   NetworkPolicy shop/closed allows it, which isolates',
    '                   shop/web-1 for ingress',
  ],
  [
    event('live', connection('192.168.0.2 1', '203.0.113.1 443', { status: 8 })),
    '03:04:05  live     node/node-b:1 -> 203.0.113.1:443/tcp',
    '                   unanswered',
  ],
  [
    event('live', connection('10.1.0.2 1', '10.1.1.5 443', { status: 8 })),
    '03:04:05  live     shop/client:1 -> pods of node-b=10.1.1.5:443/tcp',
    '                   unanswered',
  ],
])('text', (each, ...lines) => {
  expect(flowText(each, { isWide: false })).toBe(`${lines.join('\n')}\n`);
});

test('wide is one line with addresses', () => {
  expect(flowText(event('live'), { isWide: true })).toBe(
    '03:04:05  live     shop/client:1000=10.1.0.2:1000 -> shop/web:http=172.30.0.1:80 ' +
      '(shop/web-1:8080=10.1.0.3:8080)/tcp  established, 999 B sent, 1.3 MB received, 1 min\n',
  );
});

test.each([
  [{ lost: 0, overwritten: 0 }, ''],
  [{ lost: 7, overwritten: 0 }, '! 7 or more events lost in the kernel: too many at once\n'],
  [{ lost: 0, overwritten: 2 }, '! 2 events lost: this reader is too slow\n'],
])('losses %j', (losses, text) => {
  expect(lossText(losses)).toBe(text);
});

test('a notice is wrapped', () => {
  expect(noticeText('word '.repeat(20).trim())).toBe(
    `! ${'word '.repeat(15).trim()}\n  ${'word '.repeat(5).trim()}\n`,
  );
});
