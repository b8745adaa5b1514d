import { describe, expect, test } from 'vitest';
import { mergeEndpoints, parseSlice, type SliceRecord } from '../../../src/proxy/endpoints.ts';
import { type EndpointText, slice } from '../../support/proxy-objects.ts';

const parse = (endpoints: readonly EndpointText[], rest = {}) =>
  parseSlice({ ...slice({ service: 'a', endpoints }), ...rest }, 'node-a');
const record = (endpoints: readonly EndpointText[], ports?: Parameters<typeof slice>[0]['ports']) =>
  parseSlice(slice({ service: 'a', endpoints, ...(ports && { ports }) }), 'node-a')
    ?.record as SliceRecord;
const merged = (...records: SliceRecord[]) =>
  mergeEndpoints(records, 'http', 'tcp').map(({ target, port }) => `${target.ip}:${port}`);

describe('which slices count', () => {
  test.each([
    { name: 'IPv4', rest: {}, want: '4 ns/a' },
    { name: 'IPv6', rest: { addressType: 'IPv6' }, want: '6 ns/a' },
    { name: 'FQDN', rest: { addressType: 'FQDN' }, want: undefined },
    {
      name: 'no Service label',
      rest: { metadata: { name: 'x', namespace: 'ns' } },
      want: undefined,
    },
  ])('$name', ({ rest, want }) => {
    const parsed = parse(['10.0.0.1'], rest);
    expect(parsed && `${parsed.family} ${parsed.service}`).toBe(want);
  });
});

test.each(['127.0.0.1', '169.254.169.254', '0.0.0.0', '224.0.0.1'])(
  'no endpoint is at %s',
  (ip) => {
    const parsed = parseSlice(slice({ service: 'a', endpoints: [ip, '10.0.0.1'] }), 'node-a');
    expect(parsed?.record.endpoints.map((endpoint) => endpoint.ip)).toEqual(['10.0.0.1']);
    expect(parsed?.warnings).toHaveLength(1);
  },
);

describe('conditions', () => {
  test.each([
    { name: 'none', conditions: {}, want: [true, true, false] },
    { name: 'not ready', conditions: { ready: false }, want: [false, true, false] },
    {
      name: 'draining',
      conditions: { ready: false, serving: true, terminating: true },
      want: [false, true, true],
    },
    {
      name: 'not serving',
      conditions: { ready: false, serving: false },
      want: [false, false, false],
    },
  ])('$name', ({ conditions, want }) => {
    const [endpoint] = parse([{ ip: '10.0.0.1', conditions }])?.record.endpoints ?? [];
    expect([endpoint?.isReady, endpoint?.isServing, endpoint?.isTerminating]).toEqual(want);
  });

  test.each([
    { nodeName: 'node-a', want: true },
    { nodeName: 'node-b', want: false },
    { nodeName: undefined, want: false },
  ])('on $nodeName', ({ nodeName, want }) => {
    expect(parse([{ ip: '10.0.0.1', nodeName }])?.record.endpoints[0]?.isLocal).toBe(want);
  });

  test('an endpoint without node is never local', () => {
    const object = slice({ service: 'a', endpoints: [{ ip: '10.0.0.1', nodeName: '' }] });
    expect(parseSlice(object, '')?.record.endpoints[0]?.isLocal).toBe(false);
  });
});

test.each([
  { name: 'only the first address', addresses: ['10.0.0.1', '10.0.0.2'], want: ['10.0.0.1'] },
  { name: 'sloppy', addresses: ['10.000.00.01'], want: ['10.0.0.1'] },
  { name: 'none', addresses: [], want: [] },
  { name: 'bad', addresses: ['10.0.0.300'], want: [] },
  { name: 'other family', addresses: ['fd00:10::1'], want: [] },
])('addresses: $name', ({ addresses, want }) => {
  const parsed = parse([], { endpoints: [{ addresses }] });
  expect(parsed?.record.endpoints.map(({ ip }) => ip)).toEqual(want);
  expect(parsed?.warnings).toHaveLength(1 - want.length);
});

test.each([
  { name: 'as given', port: { name: 'p', port: 1 }, want: [{ name: 'p', port: 1 }] },
  { name: 'unnamed', port: { port: 1 }, want: [{ name: '', port: 1 }] },
  { name: 'without number', port: { name: 'p' }, want: [] },
  { name: 'number 0', port: { name: 'p', port: 0 }, want: [] },
])('ports: $name', ({ port, want }) => {
  const ports = parse([], { ports: [{ protocol: 'TCP', ...port }] })?.record.ports;
  expect(ports).toEqual(want.map((each) => ({ ...each, protocol: 'tcp' })));
});

describe('merging slices', () => {
  test('all slices of the port, sorted by text', () => {
    expect(merged(record(['10.0.0.2', '10.0.0.10']), record(['10.0.0.1']))).toEqual([
      '10.0.0.1:8080',
      '10.0.0.10:8080',
      '10.0.0.2:8080',
    ]);
  });

  test('other ports and protocols stay out', () => {
    const ports = [
      { name: 'http', protocol: 'UDP', port: 1 },
      { name: 'other', protocol: 'TCP', port: 2 },
    ] as const;
    expect(merged(record(['10.0.0.1'], ports))).toEqual([]);
  });

  test('slices may number the port differently', () => {
    const ports = [{ name: 'http', protocol: 'TCP', port: 9090 }] as const;
    expect(merged(record(['10.0.0.1']), record(['10.0.0.1'], ports))).toEqual([
      '10.0.0.1:8080',
      '10.0.0.1:9090',
    ]);
  });

  const running = { ip: '10.0.0.1' };
  const leaving = { ip: '10.0.0.1', conditions: { ready: false, terminating: true } };
  test.each([
    { name: 'running first', slices: [running, leaving] },
    { name: 'running last', slices: [leaving, running] },
  ])('of duplicates the one not terminating wins: $name', ({ slices }) => {
    const endpoints = mergeEndpoints(
      slices.map((endpoint) => record([endpoint])),
      'http',
      'tcp',
    );
    expect(endpoints.map(({ target }) => target.isTerminating)).toEqual([false]);
  });
});
