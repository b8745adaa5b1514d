import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type AddressFacts,
  listAddresses,
  type WantedAddresses,
} from '../../../../../src/agent/debug/lists/addresses.ts';
import { onlyService } from '../../../../../src/agent/debug/lists/names.ts';
import { listNodes } from '../../../../../src/agent/debug/lists/nodes.ts';
import { listPods, podsByAddress } from '../../../../../src/agent/debug/lists/pods.ts';
import { hostVethName } from '../../../../../src/cni/attachment.ts';
import { parseCidr } from '../../../../../src/net/cidr.ts';
import { parseIP } from '../../../../../src/net/ip.ts';
import { recordOf, START_MS } from './facts.ts';

describe('pods', () => {
  const web = recordOf('c1', 'shop/web', ['10.0.0.2', 'fd00::2']);
  const second = recordOf('c1', 'shop/web', ['10.9.0.2'], {
    ...{ ifName: 'net1', network: 'storage', afterSeconds: 1 },
  });
  const former = recordOf('c0', 'shop/web', ['10.0.0.9'], { afterSeconds: -60 });
  const facts = {
    records: [
      former,
      second,
      web,
      recordOf('c3', 'db/pg', ['10.0.0.3']),
      recordOf('c4', '', ['10.0.0.4']),
    ],
    unfinished: [second.attachment],
  };
  const names = (wanted: Parameters<typeof listPods>[1]) =>
    listPods(facts, wanted).items.map(({ namespace, name, container }) => {
      return `${namespace}/${name} ${container}`;
    });

  test('are sandboxes with all of their interfaces, the latest of a name first', () => {
    expect(names({})).toEqual(['/ c4', 'db/pg c3', 'shop/web c1', 'shop/web c0']);
    expect(listPods(facts, { name: 'shop/web' }).items[0]).toEqual({
      ...{ namespace: 'shop', name: 'web', uid: 'uid-of-web', container: 'c1' },
      since: '2030-01-02T03:04:05.000Z',
      interfaces: [
        {
          ...{ name: 'eth0', network: 'weft', addresses: ['10.0.0.2', 'fd00::2'] },
          ...{ hostInterface: hostVethName(web.attachment), isUnfinished: false },
        },
        {
          ...{ name: 'net1', network: 'storage', addresses: ['10.9.0.2'] },
          ...{ hostInterface: hostVethName(second.attachment), isUnfinished: true },
        },
      ],
    });
  });

  test('are found by namespace, by name, and by both', () => {
    expect(names({ namespace: 'db' })).toEqual(['db/pg c3']);
    expect(names({ name: 'web' })).toEqual(['shop/web c1', 'shop/web c0']);
    expect(names({ name: 'db/web' })).toEqual([]);
    expect(podsByAddress(facts.records).get(parseIP('fd00::2'))).toBe('shop/web');
  });
});

test('a name means one thing, or says which', () => {
  const keys = ['a/web', 'b/web', 'a/db'];
  expect(onlyService(keys, { name: 'db' })).toBe('a/db');
  expect(onlyService(keys, { namespace: 'b', name: 'web' })).toBe('b/web');
  expect(() => onlyService(keys, { name: 'web' })).toThrow(
    'several are called web: ask for a/web, b/web',
  );
  expect(() => onlyService(keys, { name: 'eb' })).toThrow('no Service eb');
});

test('nodes are this one, then the others with their ways and what probes found', () => {
  const peer = (name: string, path: 'vxlan' | 'unreachable', problems: readonly string[] = []) => ({
    ...{ name, path, problems, addresses: [parseIP('192.168.0.9')] },
    podCIDRs: [parseCidr('10.244.9.0/24')],
  });
  const answer = listNodes({
    ...{ nodeName: 'node-a', backend: 'auto' },
    report: {
      ...{ podCIDRs: [parseCidr('10.244.0.0/24')], mtu: 1450, reason: '' },
      peers: [
        peer('node-c', 'unreachable', ['no route leads to 192.168.0.9']),
        peer('node-b', 'vxlan'),
      ],
    },
    findings: [
      {
        path: { node: 'node-b', family: 4, target: parseIP('10.244.9.0'), way: 'vxlan' },
        ...{ mtu: 1400, wanted: 1450, roundTripMs: 0.5, atMs: START_MS },
      },
    ],
  });
  const path = {
    ...{ family: 4, target: '10.244.9.0', mtu: 1400, wanted: 1450, roundTripMs: 0.5 },
    probedAt: '2030-01-02T03:04:05.000Z',
  };
  expect(answer).toMatchObject({ total: 3, backend: 'auto', mtu: 1450 });
  expect(answer.items).toMatchObject([
    { name: 'node-a', isThis: true, way: 'own', podCIDRs: ['10.244.0.0/24'] },
    { name: 'node-b', way: 'vxlan', paths: [path], problems: [] },
    { name: 'node-c', way: 'unreachable', paths: [], problems: ['no route leads to 192.168.0.9'] },
  ]);
});

describe('addresses', () => {
  function facts(): AddressFacts {
    const directory = mkdtempSync(join(tmpdir(), 'wt-list-addresses-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    writeFileSync(join(directory, '10.0.0.2'), 'c1\r\neth0');
    writeFileSync(join(directory, '10.0.0.10'), 'foreign');
    writeFileSync(join(directory, 'last_reserved_ip.0'), '10.0.0.10');
    const before = { network: 'weft', interface: 'eth0', addresses: [parseIP('10.0.0.2')] };
    return {
      records: [recordOf('c1', 'shop/web', ['10.0.0.2'])],
      stores: [{ network: 'weft', directory }],
      past: [
        {
          ...before,
          container: 'c-7',
          pod: 'shop/old',
          sinceMs: START_MS - 9e6,
          untilMs: START_MS - 8e6,
        },
        {
          ...{ ...before, container: 'c-8', pod: 'db/pg', sinceMs: START_MS - 7e6 },
          ...{ untilMs: START_MS - 6e6, isLate: true },
        },
      ],
    };
  }
  const list = (wanted: Partial<WantedAddresses>) =>
    [...listAddresses(facts(), { isHeldOnly: false, ...wanted })]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { ip, pod = '-', container, until = 'held', isUntilLate }]) => {
        return `${ip} ${pod} ${container} ${until}${isUntilLate ? '?' : ''}`;
      });

  test('are those held and those of the past, of each the latest holder first', () => {
    expect(list({})).toEqual([
      '10.0.0.2 shop/web c1 held',
      '10.0.0.2 db/pg c-8 2030-01-02T01:24:05.000Z?',
      '10.0.0.2 shop/old c-7 2030-01-02T00:50:45.000Z',
      '10.0.0.10 - foreign held',
    ]);
  });

  test('are found by address, pod, namespace and container', () => {
    expect(list({ isHeldOnly: true })).toHaveLength(2);
    expect(list({ name: '10.0.0.10' })).toEqual(['10.0.0.10 - foreign held']);
    expect(list({ name: 'pg' })).toHaveLength(1);
    expect(list({ namespace: 'shop' })).toHaveLength(2);
    expect(list({ name: 'c-7' })).toEqual([]);
  });
});
