import { describe, expect, test } from 'vitest';
import type { EndpointSlice, Service } from '../../../../src/kube/types.ts';
import { type IP, parseIP } from '../../../../src/net/ip.ts';
import { frontendKey } from '../../../../src/proxy/claims.ts';
import { FrontendLedger } from '../../../../src/proxy/conntrack/ledger.ts';
import { type EndpointText, service, slice } from '../../../support/proxy-objects.ts';
import { flow, resolved } from './builders.ts';

const PROTOCOLS = [
  { api: 'TCP', name: 'tcp' },
  { api: 'UDP', name: 'udp' },
  { api: 'SCTP', name: 'sctp' },
] as const;
const VIPS = ['172.30.0.1', '192.0.2.1', '198.51.100.1'];
const NODE = '192.168.0.1';
const SERVING = '10.0.0.1';
const NOT_SERVING = '10.0.0.2';
const DELETED = '10.0.0.3';

const acceptsNodePorts = (ip: IP) => ip === parseIP(NODE);
const notServing = (ip: string): EndpointText => ({
  ip,
  conditions: { ready: false, serving: false },
});
const draining = (ip: string): EndpointText => ({
  ip,
  conditions: { ready: false, serving: true, terminating: true },
});

/** Reached at a clusterIP, a load balancer's address, an external IP and a NodePort; per protocol. */
function everywhere(): Service {
  const base = service('all', '172.30.0.1', {
    type: 'LoadBalancer',
    externalIPs: ['198.51.100.1'],
    ports: PROTOCOLS.map(({ api, name }) => ({ name, protocol: api, port: 80, nodePort: 30080 })),
  });
  return { ...base, status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } } };
}

function endpoints(service: string, ...texts: readonly EndpointText[]): EndpointSlice {
  const ports = PROTOCOLS.map(({ api, name }) => ({ name, protocol: api, port: 8080 }));
  return slice({ service, endpoints: texts, ports });
}

function committed(endsLedTcp: boolean, object: Service, slices: EndpointSlice[]) {
  const ledger = new FrontendLedger({ endsLedTcp });
  ledger.note('ns/all', resolved(object, slices));
  ledger.commit(true);
  return ledger;
}

describe('which flows are stale', () => {
  const slices = [endpoints('all', SERVING, notServing(NOT_SERVING))];
  const rows = PROTOCOLS.flatMap(({ name: protocol }) => [
    ...[SERVING, NOT_SERVING, DELETED].flatMap((ip) => [
      ...VIPS.map((vip) => [protocol, `${vip} 80`, `${ip} 8080`] as const),
      ...VIPS.map((vip) => [protocol, `${vip} 81`, `${ip} 8080`] as const),
      [protocol, `${NODE} 30080`, `${ip} 8080`] as const,
    ]),
    // The target port before it was changed.
    ...[VIPS[0], VIPS[1]].map((vip) => [protocol, `${vip} 80`, `${SERVING} 9090`] as const),
    // Not translated: nobody was there when they began.
    ...[VIPS[0], VIPS[1]].map((vip) => [protocol, `${vip} 80`, undefined] as const),
  ]);
  const isFrontend = (to: string) => to.endsWith(' 80') || to === `${NODE} 30080`;

  test('the table has 63, 6 and 6 flows', () => {
    expect(rows).toHaveLength(75);
  });

  test.each(rows)('udp swept: %s to %s answered by %s', (protocol, to, by) => {
    const ledger = committed(false, everywhere(), slices);
    const isGood = by === `${SERVING} 8080`;
    const isSwept = protocol === 'udp' || (protocol === 'tcp' && by === undefined);
    const want = isSwept && isFrontend(to) && !isGood;
    expect(ledger.isStale(flow(protocol, to, by), acceptsNodePorts)).toBe(want);
  });

  test.each(rows)('tcp swept too: %s to %s answered by %s', (protocol, to, by) => {
    const ledger = committed(true, everywhere(), slices);
    const isGood = by === `${SERVING} 8080` || (protocol === 'tcp' && by === `${NOT_SERVING} 8080`);
    const want = protocol !== 'sctp' && isFrontend(to) && !isGood;
    expect(ledger.isStale(flow(protocol, to, by), acceptsNodePorts)).toBe(want);
  });

  test.each([true, false])(
    'a TCP connection that somebody else answers goes on (%s)',
    (endsLedTcp) => {
      const ledger = committed(endsLedTcp, everywhere(), slices);
      const elsewhere = flow('tcp', `${VIPS[1]} 80`, undefined, true);
      expect(ledger.isStale(elsewhere, acceptsNodePorts)).toBe(false);
    },
  );

  test('a SYN from before waits for endpoints', () => {
    const ledger = committed(false, everywhere(), []);
    expect(ledger.isStale(flow('tcp', `${VIPS[0]} 80`), acceptsNodePorts)).toBe(false);
  });

  test.each([
    { name: 'to an address that accepts no NodePorts', to: '192.168.0.2 30080' },
    { name: 'through this node to somebody else', to: '203.0.113.9 30080' },
  ])('a flow $name is not ours', ({ to }) => {
    const ledger = committed(false, everywhere(), slices);
    expect(ledger.isStale(flow('udp', to), acceptsNodePorts)).toBe(false);
    expect(ledger.isStale(flow('udp', to, `${DELETED} 8080`), acceptsNodePorts)).toBe(false);
  });

  test.each<{ name: string; texts: readonly EndpointText[]; want: boolean }>([
    { name: 'no slices', texts: [], want: true },
    { name: 'none that serves', texts: [notServing(NOT_SERVING)], want: true },
    { name: 'one that is about to end', texts: [draining('10.0.0.4')], want: true },
    { name: 'the one that answers, about to end', texts: [draining(DELETED)], want: false },
  ])('endpoints: $name', ({ texts, want }) => {
    const ledger = committed(false, everywhere(), [endpoints('all', ...texts)]);
    const stale = VIPS.map((vip) => flow('udp', `${vip} 80`, `${DELETED} 8080`));
    expect(stale.map((entry) => ledger.isStale(entry, acceptsNodePorts))).toEqual(
      stale.map(() => want),
    );
  });

  test('policies and topology say nothing of flows that exist', () => {
    const local = everywhere();
    const spec = {
      ...local.spec,
      internalTrafficPolicy: 'Local',
      externalTrafficPolicy: 'Local',
    } as const;
    const ledger = committed(false, { ...local, spec }, slices);
    for (const to of [...VIPS.map((vip) => `${vip} 80`), `${NODE} 30080`]) {
      expect(ledger.isStale(flow('udp', to, `${SERVING} 8080`), acceptsNodePorts)).toBe(false);
    }
  });

  test('an endpoint of the sync in progress may answer already', () => {
    const ledger = committed(false, everywhere(), slices);
    const early = flow('udp', `${VIPS[0]} 80`, '10.0.0.9 8080');
    ledger.note('ns/all', resolved(everywhere(), [endpoints('all', SERVING, '10.0.0.9')]));
    expect(ledger.isStale(early, acceptsNodePorts)).toBe(false);
    expect(ledger.isStale(flow('udp', `${VIPS[0]} 80`, `${DELETED} 8080`), acceptsNodePorts)).toBe(
      true,
    );
    ledger.commit(false);
    expect(ledger.isStale(early, acceptsNodePorts)).toBe(false);
  });
});

describe('which frontends a commit asks about', () => {
  const dns = (clusterIP: string, spec: Partial<Service['spec']> = {}) =>
    service('dns', clusterIP, { ports: [{ name: 'udp', protocol: 'UDP', port: 53 }], ...spec });
  const note = (ledger: FrontendLedger, object: Service, ...texts: readonly EndpointText[]) => {
    const slices = texts.length === 0 ? [] : [endpoints(object.metadata.name, ...texts)];
    ledger.note(`ns/${object.metadata.name}`, resolved(object, slices));
  };
  const asked = (ledger: FrontendLedger, isFull = false) =>
    ledger.commit(isFull).map(frontendKey).sort();
  const ALL = ['172.30.0.10 udp 53'];

  test.each<{
    name: string;
    before: readonly EndpointText[];
    after: readonly EndpointText[];
    want: readonly string[];
  }>([
    { name: 'nothing changed', before: [SERVING], after: [SERVING], want: [] },
    { name: 'one more endpoint', before: [SERVING], after: [SERVING, '10.0.0.9'], want: [] },
    { name: 'the first endpoint', before: [], after: [SERVING], want: ALL },
    { name: 'one endpoint less', before: [SERVING, DELETED], after: [SERVING], want: ALL },
    { name: 'another endpoint', before: [DELETED], after: [SERVING], want: ALL },
    { name: 'the last endpoint gone', before: [SERVING], after: [], want: ALL },
    { name: 'still none', before: [], after: [], want: [] },
    { name: 'an endpoint about to end', before: [SERVING], after: [draining(SERVING)], want: [] },
    {
      name: 'an endpoint that serves no more',
      before: [SERVING, DELETED],
      after: [SERVING, notServing(DELETED)],
      want: ALL,
    },
  ])('$name', ({ before, after, want }) => {
    const ledger = new FrontendLedger({ endsLedTcp: false });
    note(ledger, dns('172.30.0.10'), ...before);
    ledger.commit(true);
    note(ledger, dns('172.30.0.10'), ...after);
    expect(asked(ledger)).toEqual(want);
  });

  test('a Service gains an address, a port and a NodePort', () => {
    const ledger = new FrontendLedger({ endsLedTcp: false });
    note(ledger, dns('172.30.0.10'), SERVING);
    ledger.commit(true);
    const more = dns('172.30.0.10', {
      externalIPs: ['198.51.100.1'],
      ports: [
        { name: 'udp', protocol: 'UDP', port: 53, nodePort: 30053 },
        { name: 'other', protocol: 'UDP', port: 54 },
      ],
    });
    note(ledger, more, SERVING);
    expect(asked(ledger)).toEqual(['198.51.100.1 udp 53', 'udp 30053']);
  });

  test('a full sync asks about all there are and were', () => {
    const ledger = new FrontendLedger({ endsLedTcp: false });
    note(ledger, dns('172.30.0.10'), SERVING);
    note(ledger, service('gone', '172.30.0.11', { ports: dns('').spec.ports ?? [] }), SERVING);
    expect(asked(ledger, true)).toEqual(['172.30.0.10 udp 53', '172.30.0.11 udp 53']);
    note(ledger, dns('172.30.0.10'), SERVING);
    expect(asked(ledger, true)).toEqual(['172.30.0.10 udp 53', '172.30.0.11 udp 53']);
    const toGone = flow('udp', '172.30.0.11 53', `${DELETED} 8080`);
    expect(ledger.isStale(toGone, acceptsNodePorts)).toBe(false);
  });

  test('a frontend that goes over to another Service, in either order', () => {
    const older = dns('172.30.0.10');
    const newer = service('newer', '172.30.0.10', { ports: dns('').spec.ports ?? [] });
    for (const isGiverFirst of [true, false]) {
      const ledger = new FrontendLedger({ endsLedTcp: false });
      note(ledger, older, DELETED);
      ledger.commit(true);
      if (isGiverFirst) ledger.note('ns/dns', []);
      note(ledger, newer, SERVING);
      if (!isGiverFirst) ledger.note('ns/dns', []);
      expect(asked(ledger)).toEqual(ALL);
      expect(
        ledger.isStale(flow('udp', '172.30.0.10 53', `${DELETED} 8080`), acceptsNodePorts),
      ).toBe(true);
    }
  });

  describe('a frontend that is gone', () => {
    const [own, foreign] = [`${SERVING} 8080`, '10.0.0.77 8080'];
    const stale = (ledger: FrontendLedger, to: string, by = own) =>
      ledger.isStale(flow('udp', to, by), acceptsNodePorts);

    test('with its Service takes flows to its endpoints along, and no others', () => {
      const ledger = committed(false, everywhere(), [endpoints('all', SERVING)]);
      ledger.note('ns/all', []);
      expect(asked(ledger)).toEqual([...VIPS.map((vip) => `${vip} udp 80`), 'udp 30080'].sort());
      for (const to of [...VIPS.map((vip) => `${vip} 80`), `${NODE} 30080`]) {
        expect([stale(ledger, to), stale(ledger, to, foreign), stale(ledger, to, to)]).toEqual([
          ...[true, false, false],
        ]);
      }
      expect(stale(ledger, '192.168.0.2 30080')).toBe(false);
      expect(stale(ledger, `${VIPS[0]} 81`)).toBe(false);
    });

    test.each([
      [
        'an external IP',
        (spec: Service['spec']) => ({ ...spec, externalIPs: [] }),
        '198.51.100.1 80',
      ],
      [
        'a NodePort',
        ({ ports = [], ...spec }: Service['spec']) => ({
          ...spec,
          ports: ports.map((port) => ({ ...port, nodePort: 0 })),
        }),
        `${NODE} 30080`,
      ],
    ] as const)('%s alone: the others keep theirs', (_name, change, to) => {
      const [object, slices] = [everywhere(), [endpoints('all', SERVING)]];
      const ledger = committed(false, object, slices);
      ledger.note('ns/all', resolved({ ...object, spec: change(object.spec) }, slices));
      expect(asked(ledger)).toHaveLength(1);
      expect(stale(ledger, to)).toBe(true);
      expect(stale(ledger, `${VIPS[0]} 80`)).toBe(false);
    });

    test('step by step takes along flows to endpoints of all steps that were not swept', () => {
      const ledger = new FrontendLedger({ endsLedTcp: false });
      note(ledger, dns('172.30.0.10'), SERVING, DELETED);
      ledger.commit(true);
      note(ledger, dns('172.30.0.10'), SERVING);
      ledger.commit(false);
      note(ledger, dns('172.30.0.10'));
      ledger.commit(false);
      ledger.note('ns/dns', []);
      const frontends = ledger.commit(false);
      const flows = [own, `${DELETED} 8080`].map((by) => flow('udp', '172.30.0.10 53', by));
      const judge = () => flows.map((each) => ledger.isStale(each, acceptsNodePorts));
      expect(judge()).toEqual([true, true]);
      ledger.swept(frontends);
      expect(judge()).toEqual([false, false]);
    });

    test('and comes back keeps what its endpoints answer', () => {
      const ledger = new FrontendLedger({ endsLedTcp: false });
      note(ledger, dns('172.30.0.10'), SERVING);
      ledger.commit(true);
      ledger.note('ns/dns', []);
      ledger.commit(false);
      note(ledger, dns('172.30.0.10'), SERVING);
      expect(stale(ledger, '172.30.0.10 53')).toBe(false);
      ledger.commit(false);
      expect(stale(ledger, '172.30.0.10 53')).toBe(false);
    });

    test('leaves TCP connections to what ends them', () => {
      const ledger = committed(true, everywhere(), [endpoints('all', SERVING)]);
      ledger.note('ns/all', []);
      ledger.commit(false);
      expect(ledger.isStale(flow('tcp', `${VIPS[0]} 80`, own), acceptsNodePorts)).toBe(false);
    });
  });

  test('flows to an address that accepts NodePorts no more', () => {
    const ledger = committed(false, everywhere(), [endpoints('all', SERVING)]);
    ledger.noteFormerNodePorts();
    const none = () => false;
    const led = flow('udp', `${NODE} 30080`, `${SERVING} 8080`);
    expect(ledger.isStale(led, none, acceptsNodePorts)).toBe(true);
    expect(ledger.isStale(led, acceptsNodePorts)).toBe(false);
    const foreign = flow('udp', `${NODE} 30080`, '10.0.0.77 8080');
    expect(ledger.isStale(foreign, none, acceptsNodePorts)).toBe(false);
  });

  test('the NodePorts there are', () => {
    const ledger = committed(false, everywhere(), [endpoints('all', SERVING)]);
    expect(ledger.nodePorts().map(frontendKey)).toEqual(['tcp 30080', 'udp 30080']);
  });
});
