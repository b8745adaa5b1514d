import { describe, expect, test } from 'vitest';
import {
  connectionEvent,
  denialEvent,
  refusalEvent,
} from '../../../../src/agent/flows/describe.ts';
import { connection, ip, labNames } from './flow-lab.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 6);
const names = labNames();

describe('connections', () => {
  test('to a Service', () => {
    const through = connection('10.1.0.2 1000', '172.30.0.1 80', { sentOn: '10.1.0.3 8080' });
    expect(
      connectionEvent('new', { ...through, flow: { ...through.flow, status: 8 } }, names, NOW),
    ).toEqual({
      ...{ kind: 'new', at: '2026-01-02T03:04:05.006Z', protocol: 'TCP', verdict: 'begun' },
      from: { ip: '10.1.0.2', port: 1000, pod: 'shop/client' },
      to: { ip: '172.30.0.1', port: 80, service: 'shop/web:http' },
      endpoint: { ip: '10.1.0.3', port: 8080, pod: 'shop/web-1' },
    });
  });

  test('from outside to a NodePort, masqueraded', () => {
    const through = connection('203.0.113.1 1000', '192.168.0.1 30080', {
      ...{ sentOn: '10.2.0.9 8080', seenAs: '192.168.0.1 4000' },
    });
    expect(connectionEvent('live', through, names, NOW)).toMatchObject({
      ...{ verdict: 'established', from: { ip: '203.0.113.1', port: 1000 } },
      to: { node: 'node-a', service: 'shop/web:http' },
      endpoint: { ip: '10.2.0.9', port: 8080 },
      masqueraded: { ip: '192.168.0.1', port: 4000, node: 'node-a' },
    });
  });

  test('its end has counts and a duration, by the time that the kernel has noted', () => {
    const sent = { packets: 5, bytes: 500 };
    const received = { packets: 4, bytes: 4000 };
    const ended = connection('10.1.0.2 1000', '10.1.0.3 80', {
      ...{ sent, received, startedAtMs: NOW - 1500, endedAtMs: NOW - 500 },
    });
    const event = connectionEvent('end', ended, names, NOW);
    expect(event).toMatchObject({
      ...{ sent, received, durationMs: 1000, verdict: 'established' },
      ...{ at: '2026-01-02T03:04:04.506Z', startedAt: '2026-01-02T03:04:03.506Z' },
    });
    expect(event).not.toHaveProperty('endpoint');
    expect(event).not.toHaveProperty('masqueraded');
  });

  const UNREPLIED = 8;
  const CLOSE = 8;
  test.each([
    ['answered by a reset', { status: UNREPLIED, tcpState: CLOSE }, 'refused'],
    [
      'ended by who began',
      { status: UNREPLIED, tcpState: CLOSE, received: { packets: 0, bytes: 0 } },
      'unanswered',
    ],
    ['without an answer', { status: UNREPLIED, tcpState: 1 }, 'unanswered'],
    ['UDP without an answer', { status: UNREPLIED, protocol: 17 }, 'unanswered'],
    ['reset later', { tcpState: CLOSE }, 'established'],
  ])('%s', (_name, change, verdict) => {
    const ended = connection('10.1.0.2 1000', '10.1.0.3 80', change);
    expect(connectionEvent('end', ended, names, NOW).verdict).toBe(verdict);
  });
});

describe('refusals', () => {
  const refused = (
    destination: string,
    port: number,
    answer: 'refused' | 'unreachable' = 'refused',
  ) =>
    refusalEvent(
      {
        ...{ source: ip('10.1.0.2'), destination: ip(destination), protocol: 6, answer },
        ...{ sourcePort: 1000, destinationPort: port },
      },
      names,
      NOW,
    );
  test.each([
    ['172.30.0.2', 80, 'no endpoint', 'Service shop/none:http has no endpoint that is ready'],
    ['192.168.0.1', 30080, 'no endpoint', 'Service shop/web:http has no endpoint that is ready'],
    ['192.168.0.1', 81, 'refused', 'nobody listens on this node'],
    ['10.1.0.3', 80, 'rejected', 'a rule of this node rejects it'],
  ])('%s port %i', (destination, port, verdict, reason) => {
    expect(refused(destination, port)).toMatchObject({
      ...{ kind: 'refused', verdict, reason, from: { pod: 'shop/client', port: 1000 } },
      to: { ip: destination, port },
    });
  });

  test('no way there', () => {
    expect(refused('10.9.0.9', 80, 'unreachable').verdict).toBe('unreachable');
  });
});

test('a denial has the names that policies know', () => {
  const event = denialEvent(
    {
      ...{ number: 1, at: '2026-01-02T03:04:05.006Z', packets: 3, suppressed: 0 },
      ...{ from: 'other/pod', fromIP: ip('10.9.0.2'), to: '203.0.113.9', toIP: ip('203.0.113.9') },
      ...{ protocol: 'TCP', port: 443, direction: 'egress', pod: 'other/pod' },
      ...{ policies: ['NetworkPolicy other/none'], reason: 'why' },
    },
    names,
  );
  expect(event).toEqual({
    ...{ kind: 'denied', at: '2026-01-02T03:04:05.006Z', protocol: 'TCP', verdict: 'denied' },
    from: { ip: '10.9.0.2', pod: 'other/pod' },
    to: { ip: '203.0.113.9', port: 443 },
    ...{ policies: ['NetworkPolicy other/none'], reason: 'why', attempts: 3 },
  });
});
