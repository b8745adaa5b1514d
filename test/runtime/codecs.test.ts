import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeListPodSandboxResponse,
  decodePodSandboxStatusResponse,
  decodeStatusResponse,
  encodeListPodSandboxRequest,
  encodeRunPodSandboxRequest,
  encodeSandboxRequest,
} from '../support/runtime/cri-messages.ts';
import { netfilterTraces } from '../support/runtime/footprint.ts';
import { buildTar } from '../support/runtime/image.ts';
import { MessageReader, MessageWriter } from '../support/runtime/protobuf.ts';

describe('protobuf', () => {
  // The examples of protobuf.dev/programming-guides/encoding.
  test.each([
    { name: 'varint 150 in field 1', bytes: new MessageWriter().varint(1, 150), want: '089601' },
    {
      name: 'string in field 2',
      bytes: new MessageWriter().string(2, 'testing'),
      want: '120774657374696e67',
    },
    {
      name: 'submessage in field 3',
      bytes: new MessageWriter().message(3, (inner) => inner.varint(1, 150)),
      want: '1a03089601',
    },
    {
      name: 'defaults are left out',
      bytes: new MessageWriter().varint(1, 0).string(2, ''),
      want: '',
    },
    {
      name: 'an empty submessage is not',
      bytes: new MessageWriter().message(1, () => 0),
      want: '0a00',
    },
  ])('$name', ({ bytes, want }) => {
    expect(bytes.finish().toString('hex')).toBe(want);
  });

  test('what was written is read', () => {
    const uint64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    const entries = fc.dictionary(fc.string({ minLength: 1 }), fc.string());
    fc.assert(
      fc.property(uint64, fc.string(), entries, (number, text, map) => {
        const bytes = new MessageWriter().varint(1, number).string(16, text).map(3, map).finish();
        const reader = new MessageReader(bytes);
        expect(reader.bigint(1)).toBe(number);
        expect(reader.string(16)).toBe(text);
        expect(Object.entries(reader.map(3))).toEqual(Object.entries(map));
      }),
      { numRuns: 200 },
    );
  });

  test.each([
    { name: 'a length beyond the end', hex: '0a05ab' },
    { name: 'an endless varint', hex: '08ffffffffffffffffffffff01' },
    { name: 'a group', hex: '0b' },
  ])('$name is refused', ({ hex }) => {
    expect(() => new MessageReader(Buffer.from(hex, 'hex'))).toThrow(RangeError);
  });
});

describe('CRI messages', () => {
  test('a sandbox configuration has its fields where runtime.v1 has them', () => {
    const bytes = encodeRunPodSandboxRequest({
      metadata: { name: 'pod', uid: 'u', namespace: 'ns', attempt: 2 },
      hostname: 'host',
      portMappings: [
        { protocol: 'SCTP', containerPort: 80, hostPort: 8080, hostIP: '192.168.0.1' },
      ],
      labels: { app: 'web' },
      cgroupParent: '/test',
    });
    const config = new MessageReader(bytes).message(1);
    const [metadata, mapping] = [config.message(1), config.message(5)];
    expect([1, 2, 3].map((field) => metadata.string(field))).toEqual(['pod', 'u', 'ns']);
    expect(metadata.number(4)).toBe(2);
    expect(config.string(2)).toBe('host');
    expect([1, 2, 3].map((field) => mapping.number(field))).toEqual([2, 80, 8080]);
    expect(mapping.string(4)).toBe('192.168.0.1');
    expect(config.map(6)).toEqual({ app: 'web' });
    expect(config.message(8).string(1)).toBe('/test');
  });

  test.each([
    { name: 'no filter', bytes: encodeListPodSandboxRequest(), want: '' },
    { name: 'a filter by id', bytes: encodeListPodSandboxRequest({ id: 'a' }), want: '0a030a0161' },
    { name: 'a plain request', bytes: encodeSandboxRequest('a'), want: '0a0161' },
    { name: 'a verbose request', bytes: encodeSandboxRequest('a', true), want: '0a01611001' },
  ])('$name', ({ bytes, want }) => {
    expect(bytes.toString('hex')).toBe(want);
  });

  test('answers become values', () => {
    const sandbox = new MessageWriter().message(1, (item) =>
      item
        .string(1, 'id')
        .message(2, (metadata) => metadata.string(1, 'pod').varint(4, 3))
        .varint(3, 1)
        .varint(4, 1_700_000_000_000_000_000n),
    );
    expect(decodeListPodSandboxResponse(sandbox.finish())).toEqual([
      {
        id: 'id',
        metadata: { name: 'pod', uid: '', namespace: '', attempt: 3 },
        state: 'notReady',
        createdAt: 1_700_000_000_000_000_000n,
        labels: {},
        annotations: {},
      },
    ]);
    const status = new MessageWriter()
      .message(1, (inner) =>
        inner
          .string(1, 'id')
          .message(5, (network) =>
            network.string(1, '10.0.0.2').message(2, (podIP) => podIP.string(1, 'fd00::2')),
          ),
      )
      .map(2, { info: '{}' });
    expect(decodePodSandboxStatusResponse(status.finish())).toEqual({
      id: 'id',
      state: 'ready',
      ips: ['10.0.0.2', 'fd00::2'],
      info: { info: '{}' },
    });
    const runtime = new MessageWriter().message(1, (inner) =>
      inner.message(1, (condition) => condition.string(1, 'NetworkReady').string(3, 'NoConfig')),
    );
    expect(decodeStatusResponse(runtime.finish()).conditions).toEqual({
      NetworkReady: { isMet: false, message: 'NoConfig' },
    });
  });
});

test('tar lists what an archive of ours holds', () => {
  const archive = buildTar([
    { path: 'bin/program', content: Buffer.alloc(1000, 'x'), isExecutable: true },
    { path: 'empty', content: Buffer.alloc(0) },
  ]);
  const listing = execFileSync('tar', ['-tv', '--numeric-owner', '-f', '-'], { input: archive });
  expect(listing.toString().replaceAll(/ +/g, ' ')).toBe(
    '-rwxr-xr-x 0/0 1000 1970-01-01 00:00 bin/program\n-rw-r--r-- 0/0 0 1970-01-01 00:00 empty\n',
  );
});

test.each([
  { line: 'elements = { 10.88.0.2 : goto masquerade-10.88.0.0-24 }', want: ['10.88.0.2'] },
  { line: 'ip saddr 10.88.0.0/24 ip daddr != 10.88.0.0/24 masquerade', want: [] },
  { line: 'ip6 saddr fd00:10:88::2 ip6 daddr fd00:10:88::/64', want: ['fd00:10:88::2'] },
  { line: 'ip saddr 192.168.0.10 accept', want: [] },
  { line: 'chain CNI-HOSTPORT-DNAT {', want: [] },
  { line: 'jump CNI-DN-75f9c4adc4de5a10cadbd', want: ['CNI-DN-75f9c4adc4de5a10cadbd'] },
  { line: 'jump CNI-75f9c4adc4de5a10cadbd974', want: ['CNI-75f9c4adc4de5a10cadbd974'] },
])('traces of pods in "$line"', ({ line, want }) => {
  expect(netfilterTraces(line)).toEqual(want);
});
