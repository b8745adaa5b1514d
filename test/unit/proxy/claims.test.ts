import fc from 'fast-check';
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
  return parseService({ ...object, metadata }).get(4) as ServiceEntry;
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
    expect(
      conflicts.map(({ frontend, owner, loser }) => [frontend, owner.name, loser.name]),
    ).toEqual([[`${VIP} tcp 80`, 'ns/a:http', 'ns/b:http']]);
  });
});

/** A Service with an address of its own that asks for VIP as one kind of frontend. */
function asking(name: string, kind: 'clusterIP' | 'loadBalancerIP' | 'externalIP', at: string) {
  const clusterIP = kind === 'clusterIP' ? VIP : `172.30.1.${name.charCodeAt(0)}`;
  const object = service(name, clusterIP, {
    type: 'LoadBalancer',
    ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
    externalIPs: kind === 'externalIP' ? [VIP] : [],
  });
  return parseService({
    ...object,
    metadata: { ...object.metadata, creationTimestamp: at },
    status: { loadBalancer: { ingress: kind === 'loadBalancerIP' ? [{ ip: VIP }] : [] } },
  }).get(4) as ServiceEntry;
}

const KINDS = ['clusterIP', 'loadBalancerIP', 'externalIP'] as const;
const OLD = '2020-01-01T00:00:00Z';
const NEW = '2024-01-01T00:00:00Z';

describe('one address and port asked for as two kinds of frontend', () => {
  const pairs = KINDS.flatMap((first, i) => KINDS.slice(i + 1).map((second) => [first, second]));
  test.each(pairs)('%s comes before %s, however young its Service is', (first, second) => {
    for (const order of ['ab', 'ba']) {
      const entries = {
        a: asking('a', second as 'externalIP', OLD),
        b: asking('b', first as 'externalIP', NEW),
      };
      const claims = new FrontendClaims();
      for (const name of order) claims.update([], entries[name as 'a' | 'b']);
      expect(owned(claims, entries.b)).toContain(`${VIP} tcp 80`);
      expect(owned(claims, entries.a)).not.toContain(`${VIP} tcp 80`);
    }
  });

  test('the one who has it loses it when a clusterIP asks, and gets it back', () => {
    const claims = new FrontendClaims();
    const [thief, owner] = [asking('a', 'externalIP', OLD), asking('b', 'clusterIP', NEW)];
    claims.update([], thief);
    expect(owned(claims, thief)).toContain(`${VIP} tcp 80`);
    expect(claims.update([], owner)).toEqual(new Set(['ns/a', 'ns/b']));
    expect(owned(claims, thief)).not.toContain(`${VIP} tcp 80`);
    expect(claims.update(owner.ports, undefined)).toEqual(new Set(['ns/a', 'ns/b']));
    expect(owned(claims, thief)).toContain(`${VIP} tcp 80`);
  });

  test('a NodePort meets no other kind', () => {
    const claims = new FrontendClaims();
    const node = entry('a', '172.30.0.2', { nodePort: 80 });
    claims.update([], node);
    claims.update([], entry('b', VIP));
    expect(owned(claims, node)).toEqual(['172.30.0.2 tcp 80', 'tcp 80']);
  });
});

test('in whatever order claims come and go, the first in line owns', () => {
  const step = fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    kind: fc.option(fc.constantFrom(...KINDS), { nil: undefined }),
    at: fc.constantFrom(OLD, NEW),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const claims = new FrontendClaims();
      const known = new Map<string, { readonly entry: ServiceEntry; readonly rank: string }>();
      for (const { name, kind, at } of steps) {
        const before = known.get(name)?.entry.ports ?? [];
        const after = kind === undefined ? undefined : asking(name, kind, at);
        claims.update(before, after);
        if (after === undefined || kind === undefined) known.delete(name);
        else known.set(name, { entry: after, rank: `${KINDS.indexOf(kind)} ${at} ${name}` });
      }
      const owners = [...known.values()].filter(({ entry: each }) =>
        owned(claims, each)?.includes(`${VIP} tcp 80`),
      );
      const [first] = [...known.values()].map(({ rank }) => rank).sort();
      expect(owners.map(({ rank }) => rank)).toEqual(first === undefined ? [] : [first]);
    }),
  );
});

test('an update of one Service concerns nobody else', () => {
  const claims = new FrontendClaims();
  const before = entry('a', VIP, { nodePort: 30080 });
  const after = entry('a', VIP, { nodePort: 30081 });
  claims.update([], before);
  expect(claims.update(before.ports, after)).toEqual(new Set());
  expect(owned(claims, after)).toEqual([`${VIP} tcp 80`, 'tcp 30081']);
});
