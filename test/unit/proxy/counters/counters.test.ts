import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type IPFamily, parseIP } from '../../../../src/net/ip.ts';
import { AttributeWriter } from '../../../../src/netlink/attributes.ts';
import type { NetlinkReply } from '../../../../src/netlink/message.ts';
import { ipBytes, portBytes, protocolBytes, u32Bytes } from '../../../../src/nftables/bytes.ts';
import type { ObservedElement } from '../../../../src/nftables/model.ts';
import {
  ConnectionCounters,
  type CounterOptions,
} from '../../../../src/proxy/counters/counters.ts';
import type { ListSet } from '../../../../src/proxy/counters/family.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { service, slice } from '../../../support/proxy-objects.ts';
import { resolved } from '../conntrack/builders.ts';

const key = (ip: string, port = 80) =>
  ipBytes(parseIP(ip)) + protocolBytes('tcp') + portBytes(port);
const nodePortKey = (port: number) => protocolBytes('udp') + portBytes(port);
const target = (ip: string) => ipBytes(parseIP(ip)) + portBytes(8080);
const VIP = key('172.30.0.1');

const element = (
  key: string,
  data: string,
  packets: number,
  comment?: string,
): ObservedElement => ({
  key,
  data,
  counter: { packets: BigInt(packets), bytes: 0n },
  ...(comment === undefined ? {} : { comment }),
});

/** Sets of both families in memory. */
class FakeTables {
  readonly sets = new Map<string, readonly ObservedElement[]>();
  listings = 0;
  /** Sets that are listed as if they had changed meanwhile. */
  interrupted = false;
  /** Held back until this is settled. */
  gate: Promise<void> = Promise.resolve();

  readonly list: ListSet = async (family, set, onPart) => {
    this.listings++;
    await this.gate;
    const elements = this.sets.get(`${family} ${set.name}`) ?? [];
    for (const one of elements) onPart([one]);
    return !this.interrupted;
  };

  put(family: IPFamily, set: string, ...elements: readonly ObservedElement[]): void {
    this.sets.set(`${family} ${set}`, elements);
  }
}

function start(tables: FakeTables, options: Partial<CounterOptions> = {}) {
  const clock = new FakeClock();
  const counters = new ConnectionCounters({
    families: [4, 6],
    hasEndpoints: true,
    list: tables.list,
    clock,
    log: createLogger('silent'),
    ...options,
  });
  /** The sample lines after a reading. */
  const samples = async () => {
    clock.advance(10_000);
    const text = await counters.text();
    return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  };
  return { counters, clock, samples };
}

/** The kernel's notice that an element of `ip weft-proxy` is gone, after so many packets. */
function deletion(set: string, key: string, packets: number, comment: string): NetlinkReply {
  const payload = new AttributeWriter()
    .raw(Buffer.from([2, 0, 0, 0]))
    .string(1, 'weft-proxy')
    .string(2, set)
    .nested(3, (list) =>
      list.nested(1, (one) => {
        one.nested(1, (value) => value.bytes(1, Buffer.from(key, 'latin1')));
        one.nested(2, (data) => data.nested(2, (verdict) => verdict.u32be(1, 1)));
        const text = `${comment}\0`;
        one.bytes(6, Buffer.concat([Buffer.from([0, text.length]), Buffer.from(text)]));
        one.nested(7, (expression) => {
          expression.string(1, 'counter');
          const packetBytes = Buffer.alloc(8);
          packetBytes.writeBigUInt64BE(BigInt(packets));
          expression.nested(2, (data) => data.bytes(1, Buffer.alloc(8)).bytes(2, packetBytes));
        });
      }),
    )
    .finish();
  return { type: 0xa0e, flags: 0, sequence: 0, portId: 0, payload };
}

const FRONTEND =
  'namespace="ns",service="web",port="http",protocol="tcp",ip_family="IPv4",frontend="172.30.0.1:80"';

describe('the metrics', () => {
  test('of Services, endpoints and refused packets, in both families', async () => {
    const tables = new FakeTables();
    tables.put(4, 'service-ips', element(VIP, 'goto n2', 3, 'ns/web:http'));
    tables.put(4, 'service-nodeports', element(nodePortKey(30053), 'goto p1', 2, 'ns/dns'));
    tables.put(4, 'no-endpoint-services', element(key('172.30.0.2'), 'drop', 4, 'ns/local:http'));
    tables.put(
      4,
      'no-endpoint-nodeports',
      element(nodePortKey(30054), 'goto reject-chain', 5, 'ns/e'),
    );
    tables.put(4, 'rejected-sources', element(key('192.0.2.1'), 'drop', 6, 'ns/web:http'));
    tables.put(
      4,
      'endpoints',
      element(VIP + u32Bytes(0), target('10.0.0.1'), 1),
      element(VIP + u32Bytes(1), target('10.0.0.2'), 2),
      // The same endpoint again, as weights have it.
      element(VIP + u32Bytes(2), target('10.0.0.1'), 4),
    );
    tables.put(6, 'service-ips', element(key('fd00::1'), 'goto n1', 7, 'ns/six:http'));
    tables.put(6, 'endpoints', element(key('fd00::1') + u32Bytes(0), target('fd00::9'), 8));
    const { counters } = start(tables);
    expect(await counters.text()).toMatchInlineSnapshot(`
      "# HELP weft_service_connections_total New connections to a frontend of a Service port, those of rejected sources among them
      # TYPE weft_service_connections_total counter
      weft_service_connections_total{namespace="ns",service="web",port="http",protocol="tcp",ip_family="IPv4",frontend="172.30.0.1:80"} 3
      weft_service_connections_total{namespace="ns",service="dns",port="",protocol="udp",ip_family="IPv4",frontend="nodePort:30053"} 2
      weft_service_connections_total{namespace="ns",service="six",port="http",protocol="tcp",ip_family="IPv6",frontend="[fd00::1]:80"} 7
      # HELP weft_endpoint_connections_total New connections for which this node has chosen an endpoint of a Service port
      # TYPE weft_endpoint_connections_total counter
      weft_endpoint_connections_total{namespace="ns",service="web",port="http",protocol="tcp",ip_family="IPv4",endpoint="10.0.0.1:8080"} 5
      weft_endpoint_connections_total{namespace="ns",service="web",port="http",protocol="tcp",ip_family="IPv4",endpoint="10.0.0.2:8080"} 2
      weft_endpoint_connections_total{namespace="ns",service="six",port="http",protocol="tcp",ip_family="IPv6",endpoint="[fd00::9]:8080"} 8
      # HELP weft_service_refused_packets_total Packets to a Service port that were rejected or dropped, by reason
      # TYPE weft_service_refused_packets_total counter
      weft_service_refused_packets_total{namespace="ns",service="local",port="http",protocol="tcp",ip_family="IPv4",frontend="172.30.0.2:80",reason="no_local_endpoints"} 4
      weft_service_refused_packets_total{namespace="ns",service="e",port="",protocol="udp",ip_family="IPv4",frontend="nodePort:30054",reason="no_endpoints"} 5
      weft_service_refused_packets_total{namespace="ns",service="web",port="http",protocol="tcp",ip_family="IPv4",frontend="192.0.2.1:80",reason="source_range"} 6
      "
    `);
  });

  test('endpoints only where asked for', async () => {
    const tables = new FakeTables();
    tables.put(4, 'service-ips', element(VIP, 'goto n1', 3, 'ns/web:http'));
    tables.put(4, 'endpoints', element(VIP + u32Bytes(0), target('10.0.0.1'), 3));
    const { samples } = start(tables, { hasEndpoints: false });
    expect(await samples()).toEqual([`weft_service_connections_total{${FRONTEND}} 3`]);
  });

  test('no lines for what was never used', async () => {
    const tables = new FakeTables();
    tables.put(4, 'service-ips', element(VIP, 'goto n1', 0, 'ns/web:http'));
    const { counters } = start(tables);
    expect(await counters.text()).toBe('');
  });

  test('a Service keeps its total while it has no endpoints; without it the total goes', async () => {
    const tables = new FakeTables();
    const { counters, samples } = start(tables);
    const web = resolved(service('web', '172.30.0.1'), [slice({ service: 'web', endpoints: [] })]);
    const commit = { isFull: false, nodePortIPs: [] } as const;
    counters.programming(4, 'ns/web', web);
    counters.committed(4, { ...commit, isFull: true });
    tables.put(4, 'service-ips', element(VIP, 'goto n1', 3, 'ns/web:http'));
    expect(await samples()).toEqual([`weft_service_connections_total{${FRONTEND}} 3`]);
    tables.put(4, 'service-ips');
    expect(await samples()).toEqual([`weft_service_connections_total{${FRONTEND}} 3`]);
    tables.put(4, 'service-ips', element(VIP, 'goto n1', 1, 'ns/web:http'));
    expect(await samples()).toEqual([`weft_service_connections_total{${FRONTEND}} 4`]);
    tables.put(4, 'service-ips');
    counters.programming(4, 'ns/web', []);
    counters.committed(4, commit);
    expect(await samples()).toEqual([]);
  });

  test('after a full sync only the Services it told of', async () => {
    const tables = new FakeTables();
    const { counters, samples } = start(tables);
    tables.put(4, 'service-ips', element(VIP, 'goto n1', 3, 'ns/web:http'));
    expect(await samples()).toHaveLength(1);
    tables.put(4, 'service-ips');
    counters.committed(4, { isFull: true, nodePortIPs: [] });
    expect(await samples()).toEqual([]);
  });

  test('an endpoint that is gone has no line', async () => {
    const tables = new FakeTables();
    const { samples } = start(tables, { families: [4] });
    const put = (...ips: readonly string[]) =>
      tables.put(
        4,
        'endpoints',
        ...ips.map((ip, slot) => element(VIP + u32Bytes(slot), target(ip), 5)),
      );
    const endpoints = async () =>
      (await samples()).flatMap((line) => /endpoint="(.*)"/.exec(line)?.[1] ?? []);
    tables.put(4, 'service-ips', element(VIP, 'goto n2', 10, 'ns/web:http'));
    put('10.0.0.1', '10.0.0.2');
    expect(await endpoints()).toEqual(['10.0.0.1:8080', '10.0.0.2:8080']);
    put('10.0.0.1');
    tables.interrupted = true;
    expect(await endpoints()).toEqual(['10.0.0.1:8080', '10.0.0.2:8080']);
    for (let reading = 0; reading < 6; reading++) await samples();
    expect(await endpoints()).toEqual(['10.0.0.1:8080']);
    tables.interrupted = false;
    put('10.0.0.3');
    expect(await endpoints()).toEqual(['10.0.0.3:8080']);
  });
});

describe('deleted elements', () => {
  test('count to the last connection', async () => {
    const tables = new FakeTables();
    const { counters, samples } = start(tables);
    tables.put(4, 'service-ips', element(VIP, 'accept', 3, 'ns/web:http'));
    await samples();
    counters.onRulesetMessage(deletion('service-ips', VIP, 9, 'ns/web:http'));
    tables.put(4, 'service-ips', element(VIP, 'goto n2', 1, 'ns/web:http'));
    expect(await samples()).toEqual([`weft_service_connections_total{${FRONTEND}} 10`]);
  });

  test('do not add up when nobody asks', async () => {
    const tables = new FakeTables();
    const { counters, clock, samples } = start(tables);
    counters.onRulesetMessage(deletion('service-ips', VIP, 9, 'ns/web:http'));
    expect(await samples()).toEqual([]);
    clock.advance(3_600_000);
    counters.onRulesetMessage(deletion('service-ips', VIP, 9, 'ns/web:http'));
    expect(await samples()).toEqual([]);
  });
});

describe('the pace', () => {
  test('at most one reading in ten seconds, and none of its own accord', async () => {
    const tables = new FakeTables();
    const { counters, clock } = start(tables, { families: [4] });
    clock.advance(60_000);
    expect(tables.listings).toBe(0);
    await counters.text();
    const { listings } = tables;
    await Promise.all([counters.text(), counters.text()]);
    clock.advance(9_999);
    await counters.text();
    expect(tables.listings).toBe(listings);
    clock.advance(1);
    await counters.text();
    expect(tables.listings).toBe(2 * listings);
  });

  test('a slow reading is not waited for, and the next one is far away', async () => {
    const tables = new FakeTables();
    const { counters, clock } = start(tables, { families: [4] });
    const gate = Promise.withResolvers<void>();
    tables.gate = gate.promise;
    tables.put(4, 'service-ips', element(VIP, 'goto n1', 3, 'ns/web:http'));
    const first = counters.text();
    clock.advance(2_000);
    expect(await first).toBe('');
    gate.resolve();
    for (let turn = 0; turn < 30; turn++) await nextTurn();
    expect(await counters.text()).toContain(FRONTEND);
    const { listings } = tables;
    clock.advance(59_999);
    await counters.text();
    expect(tables.listings).toBe(listings);
    clock.advance(1);
    await counters.text();
    expect(tables.listings).toBe(2 * listings);
  });

  test('a table that is not there yet', async () => {
    const list = () => Promise.reject(Object.assign(new Error('no set'), { code: 'ENOENT' }));
    expect(await start(new FakeTables(), { list }).counters.text()).toBe('');
  });
});
