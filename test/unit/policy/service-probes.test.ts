import { expect, test } from 'vitest';
import { type IP, parseIP } from '../../../src/net/ip.ts';
import type { Finding, Verdict } from '../../../src/policy/evaluator.ts';
import type { Party } from '../../../src/policy/parties.ts';
import { serviceAnswer } from '../../../src/policy/service-probes.ts';
import type { PolicyWorld } from '../../../src/policy/world.ts';

const PLACES = Array.from({ length: 200 }, (_, at) => {
  return { ip: parseIP(`10.0.0.${at + 1}`), port: 8080 };
});
const ALLOWED: Finding = { kind: 'no-policy', isAllowed: true };
const DENIED: Finding = { kind: 'isolated', isAllowed: false, policies: ['shop/x'] };

test('who asks about a Service again is told the same, and no place is judged again', () => {
  let judged = 0;
  const verdict = ({ from, to }: { readonly from: Party; readonly to: Party }): Verdict => {
    judged++;
    const isEven = Number(to.ips[0]?.split('.')[3]) % 2 === 0;
    const isAllowed = from.ips[0] === '192.0.2.1' && isEven;
    return { isAllowed, egress: ALLOWED, ingress: isAllowed ? ALLOWED : DENIED };
  };
  const at = (ip: IP): Party => ({ kind: 'address', ips: [ip] });
  // As much of it as is read.
  const world = { parties: { at }, evaluator: { verdict } } as unknown as PolicyWorld;
  const service = { name: 'Service shop/db', families: [4], behind: () => PLACES } as const;
  const ask = (from: string) => {
    const probe = { from, to: 'shop/db', protocol: 'TCP', port: 80 } as const;
    return serviceAnswer(probe, at(parseIP(from)), service, world);
  };
  const first = ask('192.0.2.1');
  expect(first).toEqual({
    ...{ allowed: false, partly: true },
    reason: expect.stringMatching(/^Service shop\/db goes to 100 of 200, .*allowed to 100 of 200/),
  });
  expect(ask('192.0.2.1')).toEqual(first);
  expect(judged).toBe(PLACES.length);
  expect(ask('192.0.2.2')).toMatchObject({
    allowed: false,
    reason: expect.stringMatching(/to 200 of 200/),
  });
  expect(judged).toBe(2 * PLACES.length);
});
