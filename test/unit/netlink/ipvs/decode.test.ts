import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ipFromBytes } from '../../../../src/net/ip.ts';
import { AttributeWriter } from '../../../../src/netlink/attributes.ts';
import { decodeDestination } from '../../../../src/netlink/ipvs/destination.ts';
import { encodeChange } from '../../../../src/netlink/ipvs/request.ts';
import { decodeServer } from '../../../../src/netlink/ipvs/server.ts';
import type { VirtualServer, VirtualServerKey } from '../../../../src/netlink/ipvs/types.ts';

const ip = fc
  .oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  )
  .map((bytes) => ipFromBytes(bytes));
const port = fc.integer({ min: 0, max: 0xffff });
const on = fc.constant(true as const);

const key: fc.Arbitrary<VirtualServerKey> = fc.oneof(
  fc.record({
    kind: fc.constant('address' as const),
    ip,
    protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const),
    port,
  }),
  fc.record({
    kind: fc.constant('mark' as const),
    mark: fc.integer({ min: 1, max: 0xffffffff }),
    family: fc.constantFrom(4 as const, 6 as const),
  }),
);
const persistence = fc.oneof(
  fc.record({ persistenceSeconds: fc.integer({ min: 0, max: 0x7fffffff }) }),
  fc.record({
    persistenceSeconds: fc.integer({ min: 1, max: 0x7fffffff }),
    persistencePrefixLength: fc.integer({ min: 1, max: 31 }),
  }),
);
const server: fc.Arbitrary<VirtualServer> = fc
  .tuple(
    fc.record({ key, scheduler: fc.constantFrom('rr', 'mh', 'lblcr') }),
    persistence,
    fc.record({ fallback: on, hashesPort: on, onePacket: on }, { requiredKeys: [] }),
  )
  .map(([named, times, flags]) => ({ ...named, ...times, ...flags }));

describe('decodeServer', () => {
  test('reads back what is written of any server', () => {
    fc.assert(
      fc.property(server, (want) => {
        expect(decodeServer(encodeChange({ op: 'addServer', server: want }))).toEqual(want);
      }),
    );
  });

  test('the prefix length of a server without persistence says nothing', () => {
    const idle: VirtualServer = {
      key: { kind: 'mark', mark: 1, family: 6 },
      scheduler: 'rr',
      persistenceSeconds: 0,
    };
    const written = { ...idle, persistencePrefixLength: 64 };
    expect(decodeServer(encodeChange({ op: 'addServer', server: written }))).toEqual(idle);
  });

  test.each([
    { name: 'no server', write: (w: AttributeWriter) => w },
    {
      name: 'a family that is not of IP',
      write: (w: AttributeWriter) => w.nested(1, (service) => service.u16(1, 17).u32(5, 1)),
    },
    {
      name: 'a protocol of no ports',
      write: (w: AttributeWriter) =>
        w.nested(1, (service) =>
          service.u16(1, 2).u16(2, 50).bytes(3, new Uint8Array(16)).u16be(4, 0),
        ),
    },
  ])('$name is none', ({ write }) => {
    const message = new AttributeWriter().raw(Uint8Array.of(1, 1, 0, 0));
    expect(decodeServer(write(message).finish())).toBeUndefined();
  });
});

describe('decodeDestination', () => {
  const TUNNEL = 2;
  const LOCAL_BIT_OF_OTHERS = 0x100;
  const destination = (forwarding: number, family?: number) =>
    new AttributeWriter()
      .raw(Uint8Array.of(5, 1, 0, 0))
      .nested(2, (encoded) => {
        encoded.bytes(1, Uint8Array.of(10, 0, 0, 9, ...new Uint8Array(12))).u16be(2, 8080);
        encoded.u32(3, forwarding).u32(4, 2).u32(5, 0).u32(6, 0);
        encoded.u32(7, 3).u32(8, 4).u32(9, 5);
        if (family !== undefined) encoded.u16(11, family);
      })
      .finish();

  test('weight and connections', () => {
    expect(decodeDestination(destination(0, 2), 4)).toEqual({
      ip: '10.0.0.9',
      port: 8080,
      weight: 2,
      activeConnections: 3,
      inactiveConnections: 4,
      persistentConnections: 5,
      isMasquerading: true,
    });
  });

  test.each([
    { name: 'tunnelled', forwarding: TUNNEL, want: false },
    { name: 'translated, with another flag', forwarding: LOCAL_BIT_OF_OTHERS, want: true },
  ])('$name', ({ forwarding, want }) => {
    expect(decodeDestination(destination(forwarding, 2), 4)?.isMasquerading).toBe(want);
  });

  test('its own family counts, without one the server’s', () => {
    expect(decodeDestination(destination(0, 2), 6)?.ip).toBe('10.0.0.9');
    expect(decodeDestination(destination(0), 4)?.ip).toBe('10.0.0.9');
    expect(decodeDestination(destination(0), 6)?.ip).toBe('a00:9::');
  });
});
