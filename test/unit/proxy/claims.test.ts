import { describe, expect, test } from 'vitest';
import { type Conflict, FrontendClaims, frontendKey } from '../../../src/proxy/claims.ts';
import { parseService, type ServiceEntry } from '../../../src/proxy/service.ts';
import { service } from '../../support/proxy-objects.ts';

const VIP = '172.30.0.1';

function entry(name: string, clusterIP: string, options: { nodePort?: number; at?: string } = {}) {
  const { nodePort = 0, at } = options;
  const object = service(name, clusterIP, {
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort }],
  });
  const metadata = { ...object.metadata, creationTimestamp: at };
  return parseService({ ...object, metadata }, 4) as ServiceEntry;
}

const owned = (claims: FrontendClaims, { ports: [port] }: ServiceEntry) =>
  port && claims.owned(port).map(frontendKey);

describe('two Services want one frontend', () => {
  test.each([
    { name: 'the older wins', a: '2024-02-02T00:00:00Z', b: '2024-01-01T00:00:00Z', winner: 'b' },
    { name: 'of equal age the first by name', a: undefined, b: undefined, winner: 'a' },
  ])('$name, whoever comes first', ({ a, b, winner }) => {
    for (const order of ['ab', 'ba']) {
      const entries = { a: entry('a', VIP, { at: a! }), b: entry('b', VIP, { at: b! }) };
      const claims = new FrontendClaims();
      for (const name of order) claims.update([], entries[name as 'a' | 'b']);
      expect([owned(claims, entries.a), owned(claims, entries.b)]).toEqual(
        winner === 'a' ? [[`${VIP} tcp 80`], []] : [[], [`${VIP} tcp 80`]],
      );
    }
  });

  test('the loser keeps what is its own', () => {
    const claims = new FrontendClaims();
    const a = entry('a', VIP, { nodePort: 30080 });
    const b = entry('b', '172.30.0.2', { nodePort: 30080 });
    claims.update([], a);
    claims.update([], b);
    expect(owned(claims, b)).toEqual(['172.30.0.2 tcp 80']);
  });

  test('it takes over when the owner goes, and both are named', () => {
    const claims = new FrontendClaims();
    const [a, b] = [entry('a', VIP), entry('b', VIP)];
    claims.update([], a);
    claims.update([], b);
    expect(claims.update(a.ports, undefined)).toEqual(new Set(['ns/a', 'ns/b']));
    expect(owned(claims, b)).toEqual([`${VIP} tcp 80`]);
  });

  test.each(['giver first', 'taker first'])(
    'what one gives up and the other takes at the same time changes hands: %s',
    (order) => {
      const conflicts: Conflict[] = [];
      const claims = new FrontendClaims((conflict) => conflicts.push(conflict));
      const [before, after] = [entry('a', VIP, { nodePort: 30080 }), entry('a', VIP)];
      const b = entry('b', '172.30.0.2', { nodePort: 30080 });
      claims.update([], before);
      const changes = [
        { before: before.ports, after },
        { before: [], after: b },
      ];
      const moved = claims.updateAll(order === 'giver first' ? changes : changes.toReversed());
      expect([moved, conflicts]).toEqual([new Set(['ns/a', 'ns/b']), []]);
      expect(owned(claims, b)).toEqual(['172.30.0.2 tcp 80', 'tcp 30080']);
    },
  );

  test('the conflict is reported', () => {
    const conflicts: Conflict[] = [];
    const claims = new FrontendClaims((conflict) => conflicts.push(conflict));
    claims.update([], entry('a', VIP));
    claims.update([], entry('b', VIP));
    expect(conflicts).toEqual([
      { frontend: `${VIP} tcp 80`, owner: 'ns/a:http', loser: 'ns/b:http' },
    ]);
  });
});

test('an update of one Service concerns nobody else', () => {
  const claims = new FrontendClaims();
  const before = entry('a', VIP, { nodePort: 30080 });
  const after = entry('a', VIP, { nodePort: 30081 });
  claims.update([], before);
  expect(claims.update(before.ports, after)).toEqual(new Set());
  expect(owned(claims, after)).toEqual([`${VIP} tcp 80`, 'tcp 30081']);
});
