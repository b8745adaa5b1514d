import { describe, expect, test } from 'vitest';
import { type IP, parseIP } from '../../../../../src/net/ip.ts';
import {
  EndpointChoice,
  endpointKey,
} from '../../../../../src/proxy/modes/userspace/endpoint-choice.ts';
import type { Forwarding } from '../../../../../src/proxy/modes/userspace/judgement.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const CLIENT = parseIP('10.1.0.2');

/** Endpoints 10.0.0.1, 10.0.0.2 … with these shares. */
function forwarding(shares: readonly number[], changes: Partial<Forwarding> = {}): Forwarding {
  return {
    ...{ kind: 'forward', servicePort: 'ns/web:http', scope: 'cluster' },
    affinitySeconds: undefined,
    candidates: shares.map((probability, i) => ({
      ip: parseIP(`10.0.0.${i + 1}`),
      ...{ port: 8080, isLocal: false, probability, isMasqueraded: false, because: 'fromPod' },
    })),
    ...changes,
  };
}

/** `112`: the last digits of the endpoints of so many connections. */
function visits(
  choice: EndpointChoice,
  to: Forwarding,
  count: number,
  client: IP = CLIENT,
): string {
  return Array.from({ length: count }, () => {
    const endpoint = choice.next(to, client);
    if (endpoint !== undefined) choice.remember(to, client, endpoint);
    return endpoint?.ip.at(-1);
  }).join('');
}

const sorted = (text: string) => [...text].sort().join('');
const create = (random = () => 0, clock = new FakeClock()) => new EndpointChoice({ clock, random });

describe('in turn', () => {
  test.each([
    { name: 'equal shares', shares: [1 / 3, 1 / 3, 1 / 3], want: '112233' },
    { name: 'one share', shares: [1], want: '111' },
    { name: 'three to one', shares: [0.75, 0.25], want: '11111122' },
    { name: 'no share', shares: [0.5, 0, 0.5], want: '1133' },
    { name: 'no share for anybody', shares: [0, 0], want: '1122' },
    { name: 'nobody', shares: [], want: '' },
  ])('$name', ({ shares, want }) => {
    expect(sorted(visits(create(Math.random), forwarding(shares), want.length || 2))).toBe(want);
  });

  test('heavy ones are spread over the round', () => {
    expect(visits(create(), forwarding([0.75, 0.25]), 8)).toBe('11211121');
  });

  test('chance decides among equals, so that clients who take turns meet all', () => {
    const choice = create(Math.random);
    const to = forwarding([0.5, 0.5]);
    const first = new Set<string>();
    for (let i = 0; i < 64; i++) {
      first.add(visits(choice, to, 1));
      visits(choice, to, 1);
    }
    expect([...first].sort()).toEqual(['1', '2']);
  });

  test('an endpoint that comes does not get all connections until it has caught up', () => {
    const choice = create();
    visits(choice, forwarding([1 / 2, 1 / 2]), 9);
    expect(sorted(visits(choice, forwarding([1 / 3, 1 / 3, 1 / 3]), 3))).not.toBe('333');
  });
});

test('those that were tried are left out, then nobody is left', () => {
  const choice = create();
  const to = forwarding([1, 0, 0]);
  const tried = new Set<string>();
  const order: (string | undefined)[] = [];
  for (let i = 0; i < 4; i++) {
    const endpoint = choice.next(to, CLIENT, tried);
    order.push(endpoint?.ip);
    if (endpoint !== undefined) tried.add(endpointKey(endpoint));
  }
  expect(order).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3', undefined]);
});

describe('session affinity', () => {
  const sticky = (shares: readonly number[]) => forwarding(shares, { affinitySeconds: 10 });
  const other = parseIP('10.1.0.9');

  test('a client stays, others have their own', () => {
    const choice = create();
    const to = sticky([0.5, 0.5]);
    expect([visits(choice, to, 3), visits(choice, to, 3, other)]).toEqual(['111', '222']);
  });

  test.each([
    { name: 'short silence', afterMs: 9_999, want: '1' },
    { name: 'the timeout', afterMs: 10_000, want: '2' },
  ])('after $name', ({ afterMs, want }) => {
    const clock = new FakeClock();
    const choice = create(() => 0, clock);
    const to = sticky([0.5, 0.5]);
    visits(choice, to, 1);
    clock.advance(afterMs);
    expect(visits(choice, to, 1)).toBe(want);
  });

  test('every connection begins the time anew', () => {
    const clock = new FakeClock();
    const choice = create(() => 0, clock);
    let seen = '';
    for (let i = 0; i < 5; i++) {
      seen += visits(choice, sticky([0.5, 0.5]), 1);
      clock.advance(9_000);
    }
    expect(seen).toBe('11111');
  });

  test('an endpoint that may not be used is not used', () => {
    const choice = create();
    const to = sticky([0.5, 0.5]);
    visits(choice, to, 1);
    const without = { ...to, candidates: to.candidates.slice(1) };
    expect([visits(choice, without, 2), visits(choice, to, 2)]).toEqual(['22', '22']);
  });
});
