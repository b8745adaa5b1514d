import { expect, test } from 'vitest';
import { BGP_CHECKS, type BgpFacts } from '../../../../src/agent/checks/bgp.ts';
import type { SessionStatus } from '../../../../src/agent/status/routing-status.ts';
import { judge, UNKNOWN, UNREADABLE } from './judge.ts';

const UP: SessionStatus = {
  ...{ name: 'rack-a', kind: 'router', address: '192.0.2.254', asn: 64_999 },
  ...{ state: 'Established', lastError: '', cure: '', imported: 1, exported: 2 },
};
const DOWN: SessionStatus = { ...UP, name: 'rack-b', state: 'Connect', cure: 'set passwordFile' };
const bgp = (sessions: readonly SessionStatus[], problems: readonly string[] = []) => ({
  ...{ sessions, problems },
});

test.each<[string, BgpFacts['bgp'], string | undefined]>([
  ['without', undefined, undefined],
  ['nobody to talk to', bgp([]), undefined],
  ['good', bgp([UP, UP]), 'ok: 2 of 2 sessions of BGP are established'],
  [
    'one that is not up',
    bgp([UP, DOWN]),
    'warning: rack-b (192.0.2.254) is not established, Connect; 1 of 2 sessions of BGP are established | set passwordFile',
  ],
  [
    'none, by an error that nobody knows',
    bgp([{ ...DOWN, lastError: 'Received: odd', cure: '' }]),
    'failing: rack-b (192.0.2.254) is not established, Connect: Received: odd; 0 of 1 sessions of BGP are established | weft bgp',
  ],
  [
    'BIRD is not there',
    bgp([UP], ['ask BIRD: ENOENT', 'another']),
    'failing: ask BIRD: ENOENT; and 1 more | weft bgp tells all of it',
  ],
  ['unreadable', UNREADABLE, UNKNOWN],
])('bgp-sessions: %s', (_, facts, want) => {
  expect(judge(BGP_CHECKS, 'bgp-sessions', { bgp: facts })).toBe(want);
});
