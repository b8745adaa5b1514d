import { describe, expect, test } from 'vitest';
import { proxyStatus } from '../../../../src/agent/proxy/status.ts';
import type { ProxierHealth } from '../../../../src/proxy/proxier-health.ts';
import { ServiceProxy } from '../../../../src/proxy/service-proxy.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { service, slice } from '../../../support/proxy-objects.ts';

const CHOICE = { mode: 'iptables', reason: 'configured', passedOver: [] } as const;
const HEALTHY = { updatedAtMs: 1, isHealthy: true };

/** A proxy for IPv4 with one Service of two ports and two endpoints. */
function proxyOf(health: ProxierHealth) {
  const proxy = new ServiceProxy({
    families: [4],
    nodeName: 'node-a',
    localDetection: undefined,
    nodePortAddresses: { kind: 'cidrs', cidrs: [] },
    masqueradesAll: false,
    minSyncPeriodMs: 1_000,
    syncPeriodMs: 30_000,
    hasNodeObjects: () => false,
    localAddresses: () => [],
    clock: new FakeClock(),
    log: createLogger('silent'),
    openSession: () => {
      throw new Error('nothing is programmed here');
    },
  });
  proxy.apply({
    kind: 'service',
    now: service('web', '172.30.0.1', { ports: [80, 443].map(port) }),
  });
  proxy.apply({
    kind: 'slice',
    now: slice({ service: 'web', endpoints: ['10.1.0.2', '10.1.0.3'] }),
  });
  return { snapshots: () => proxy.snapshots(), health: new Map([[4, health] as const]) };
}

const port = (number: number) => ({ name: `p${number}`, protocol: 'TCP' as const, port: number });

describe('proxyStatus', () => {
  test('counts, times and the last failure', () => {
    const failure = { atMs: 3_000, reason: 'EBUSY' };
    const status = proxyStatus(
      proxyOf({ queuedAtMs: 2_000, waitedMs: 5_000, updatedAtMs: 1_000, failure }),
      {
        choice: CHOICE,
        rules: 'iptables-nft',
        health: { isLive: true, isServing: true, families: new Map([[4, HEALTHY]]) },
        repairs: { count: 2, last: { atMs: 500, what: 'table ip weft-proxy', by: 'nft' } },
        audits: [{ differences: 1, last: { what: 'map endpoints', differences: 1, atMs: 700 } }],
        formerRules: ['nftables'],
        takeOver: { putOff: ['ip kube-proxy'] },
      },
    );
    expect(status).toEqual({
      ...CHOICE,
      rules: 'iptables-nft',
      families: [
        {
          family: 4,
          isSynced: false,
          isHealthy: true,
          services: 1,
          servicePorts: 2,
          endpoints: 2,
          pending: 1,
          pendingSince: '1970-01-01T00:00:02.000Z',
          lastSyncAt: '1970-01-01T00:00:01.000Z',
          lastError: { at: '1970-01-01T00:00:03.000Z', reason: 'EBUSY' },
        },
      ],
      repairs: 2,
      lastRepair: { at: '1970-01-01T00:00:00.500Z', what: 'table ip weft-proxy', by: 'nft' },
      audit: {
        differences: 1,
        last: { at: '1970-01-01T00:00:00.700Z', what: 'map endpoints', differences: 1 },
      },
      formerRules: ['nftables'],
      kubeProxyTables: ['ip kube-proxy'],
    });
  });

  test('a proxy that has done nothing yet', () => {
    const status = proxyStatus(
      proxyOf({ queuedAtMs: undefined, waitedMs: 0, updatedAtMs: undefined }),
      {
        choice: CHOICE,
        rules: 'iptables-nft',
        health: { isLive: true, isServing: false, families: new Map() },
        repairs: { count: 0 },
        audits: [],
        formerRules: [],
        takeOver: { putOff: [] },
      },
    );
    expect(Object.keys(status)).not.toContain('lastRepair');
    expect(Object.keys(status.families[0] ?? {}).sort()).toEqual(
      [
        'endpoints',
        'family',
        'isHealthy',
        'isSynced',
        'pending',
        'servicePorts',
        'services',
      ].sort(),
    );
  });
});
