import { describe, expect, test } from 'vitest';
import {
  answerHealthz,
  answerLivez,
  answerReadyz,
  type FamilySyncTimes,
  type HealthFacts,
  isNodeEligible,
} from '../../../../src/agent/http/health.ts';

const NOW = Date.parse('2026-11-20T12:00:00.000Z');
const ago = (seconds: number) => NOW - seconds * 1000;
const family = (updatedAtMs?: number, waitedSeconds = 0): FamilySyncTimes => ({
  updatedAtMs,
  waitedMs: waitedSeconds * 1000,
});

function facts(
  families: { readonly IPv4?: FamilySyncTimes; readonly IPv6?: FamilySyncTimes },
  isEligible = true,
): HealthFacts {
  const { IPv4, IPv6 } = families;
  return {
    // IPv6 first, so that the order in a body is seen to be made.
    families: new Map([
      ...(IPv6 ? [[6, IPv6] as const] : []),
      ...(IPv4 ? [[4, IPv4] as const] : []),
    ]),
    isNodeEligible: isEligible,
    syncPeriodMs: 30_000,
    nowMs: NOW,
  };
}

describe('status codes (90)', () => {
  test.each([
    { name: 'just started', facts: facts({ IPv4: family() }), healthz: 503, livez: 200 },
    {
      name: 'first sync waits',
      facts: facts({ IPv4: family(undefined, 5) }),
      healthz: 503,
      livez: 200,
    },
    {
      name: 'first sync stuck',
      facts: facts({ IPv4: family(undefined, 61) }),
      healthz: 503,
      livez: 503,
    },
    { name: 'synced', facts: facts({ IPv4: family(ago(1)) }), healthz: 200, livez: 200 },
    {
      name: 'idle for a day',
      facts: facts({ IPv4: family(ago(86_400)) }),
      healthz: 200,
      livez: 200,
    },
    {
      name: 'change queued for 60 s',
      facts: facts({ IPv4: family(ago(90), 60) }),
      healthz: 200,
      livez: 200,
    },
    {
      name: 'change queued for longer',
      facts: facts({ IPv4: family(ago(90), 60.001) }),
      healthz: 503,
      livez: 503,
    },
    {
      name: 'one family has not synced',
      facts: facts({ IPv4: family(ago(1)), IPv6: family() }),
      healthz: 503,
      livez: 200,
    },
    {
      name: 'one family is stuck',
      facts: facts({ IPv4: family(ago(1)), IPv6: family(ago(99), 99) }),
      healthz: 503,
      livez: 503,
    },
    {
      name: 'node drained',
      facts: facts({ IPv4: family(ago(1)) }, false),
      healthz: 503,
      livez: 200,
    },
    { name: 'no proxy component', facts: facts({}), healthz: 200, livez: 200 },
  ])('$name', ({ facts, healthz, livez }) => {
    expect({ healthz: answerHealthz(facts).status, livez: answerLivez(facts).status }).toEqual({
      healthz,
      livez,
    });
  });
});

describe('readyz', () => {
  const serving = facts({ IPv4: family(ago(1)) });

  test.each([
    ['Services and fabric', serving, [], 200, []],
    ['a drained Node is ready for its pods', facts({ IPv4: family(ago(1)) }, false), [], 200, []],
    ['no rules yet', facts({ IPv4: family() }), [], 503, ['Services are not in the kernel']],
    ['no podCIDRs yet', serving, ['fabric: no podCIDRs'], 503, ['fabric: no podCIDRs']],
    ['neither component', facts({}), [], 200, []],
  ])('%s', (_, of, others, status, awaited) => {
    const answer = answerReadyz(of, others);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toEqual({ ready: status === 200, awaited });
  });
});

describe('bodies', () => {
  test('healthy: lastUpdated is now', () => {
    const { body } = answerHealthz(facts({ IPv6: family(ago(2)), IPv4: family(ago(1)) }));
    expect(body).toBe(
      '{"lastUpdated":"2026-11-20T12:00:00.000Z","currentTime":"2026-11-20T12:00:00.000Z",' +
        '"nodeEligible":true,"healthy":true,"status":{' +
        '"IPv4":{"lastUpdated":"2026-11-20T11:59:59.000Z","healthy":true},' +
        '"IPv6":{"lastUpdated":"2026-11-20T11:59:58.000Z","healthy":true}}}',
    );
  });

  test('stuck: lastUpdated is the oldest real time', () => {
    const { body } = answerLivez(facts({ IPv4: family(ago(1)), IPv6: family(ago(70), 65) }));
    expect(body).toBe(
      '{"lastUpdated":"2026-11-20T11:58:50.000Z","currentTime":"2026-11-20T12:00:00.000Z",' +
        '"healthy":false,"status":{' +
        '"IPv4":{"lastUpdated":"2026-11-20T11:59:59.000Z","healthy":true},' +
        '"IPv6":{"lastUpdated":"2026-11-20T11:58:50.000Z","healthy":false}}}',
    );
  });

  test('never synced: the zero time of Go', () => {
    const { body } = answerHealthz(facts({ IPv4: family() }, false));
    expect(JSON.parse(body)).toEqual({
      lastUpdated: '0001-01-01T00:00:00Z',
      currentTime: '2026-11-20T12:00:00.000Z',
      nodeEligible: false,
      healthy: false,
      status: { IPv4: { lastUpdated: '0001-01-01T00:00:00Z', healthy: true } },
    });
  });

  test('a drained node is reported as healthy but not eligible', () => {
    const { body } = answerHealthz(facts({ IPv4: family(ago(1)) }, false));
    expect(JSON.parse(body)).toMatchObject({ healthy: true, nodeEligible: false });
  });
});

test.each([
  { name: 'unknown', node: undefined, want: false },
  { name: 'plain', node: { metadata: {} }, want: true },
  { name: 'other taint', node: { metadata: {}, spec: { taints: [{ key: 'x' }] } }, want: true },
  {
    name: 'autoscaler taint',
    node: { metadata: {}, spec: { taints: [{ key: 'ToBeDeletedByClusterAutoscaler' }] } },
    want: false,
  },
  {
    name: 'being deleted',
    node: { metadata: { deletionTimestamp: '2026-11-20T12:00:00Z' } },
    want: false,
  },
])('node $name: eligible $want', ({ node, want }) => {
  expect(isNodeEligible(node)).toBe(want);
});
