import { describe, expect, test } from 'vitest';
import { answerAddress } from '../../../../src/agent/debug/bgp-address.ts';
import { NO_SIGNATURES } from '../../../../src/agent/routing/password-failures.ts';
import { routingStatus } from '../../../../src/agent/routing/status.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { planBird } from '../../../../src/routing/bird-config.ts';
import type { BirdSession } from '../../../../src/routing/bird-reply.ts';
import type { ServiceAddress } from '../../../../src/routing/facts.ts';
import { BGP, facts, peer, routedNode } from '../../../support/bird-lab.ts';

const settings = {
  ...BGP,
  advertise: new Set(['podCIDRs', 'loadBalancerIPs'] as const),
  peers: [peer('rack', '192.0.2.254', 64_999), peer('rack6', '2001:db8::fe', 64_999)],
};
const service = (ip: string, isServed: boolean): ServiceAddress => ({
  ...{ ip: parseIP(ip), kind: 'loadBalancerIPs', services: ['shop/web'], isServed },
  ...{ isLocal: false, isServedSomewhere: isServed },
});
const plan = planBird(
  settings,
  facts('n1', [routedNode('n1', ['10.244.1.0/24', 'fd00:1::/64'], ['192.0.2.1', '2001:db8::1'])], {
    services: [service('198.51.100.7', true), service('198.51.100.8', false)],
  }),
);

/** With the states of both neighbours. */
function status(...states: readonly string[]) {
  const sessions = plan.sessions.map(({ symbol }, i): BirdSession => {
    return { symbol, state: states[i] ?? 'down', lastError: '', imported: 0, exported: 0 };
  });
  const report = { plan, sessions, problem: '', reloads: 1 };
  return routingStatus(settings, report, [], NO_SIGNATURES);
}

test('a network is told where a session of its family is established', () => {
  const { routes } = status('Established', 'Connect');
  expect(routes.map(({ network, whyNot }) => [network, whyNot])).toEqual([
    ['10.244.1.0/24', ''],
    ['fd00:1::/64', 'no session of IPv6 is established'],
    ['198.51.100.7/32', ''],
    ['198.51.100.8/32', 'no endpoint is ready'],
  ]);
});

test('a session that is not established is named with what helps', () => {
  expect(status('Established', 'Connect').problems).toContainEqual(
    expect.stringMatching(
      /^BGP with rack6 .* not established, Connect \(nobody answers at its TCP/,
    ),
  );
});

describe('who is told of an address', () => {
  test.each([
    ['198.51.100.7', '198.51.100.7/32 (shop/web) is told to rack (192.0.2.254)'],
    ['10.244.1.9', '10.244.1.0/24 (pods of this node) is told to rack (192.0.2.254)'],
    ['198.51.100.8', '198.51.100.8/32 (shop/web) is not told: no endpoint is ready'],
    ['fd00:1::9', 'fd00:1::/64 (pods of this node) is not told: no session of IPv6 is established'],
    ['198.51.100.9', expect.stringMatching(/^198.51.100.9 is not told: it is of no pod/)],
  ])('%s', (address, text) => {
    const answer = answerAddress(status('Established', 'Connect'), parseIP(address));
    expect(answer).toEqual({ isTold: String(text).includes(' is told to '), text });
  });

  test('where nobody is talked to', () => {
    const alone = { ...status(), sessions: [] };
    expect(answerAddress(alone, parseIP('10.244.1.9')).text).toMatch(/talks BGP to nobody/);
  });
});
