import { describe, expect, test } from 'vitest';
import type { EndpointSlice, Service } from '../../../src/kube/types.ts';
import { type IPFamily, parseIP } from '../../../src/net/ip.ts';
import {
  answerServiceHealth,
  type HealthListener,
  healthCheckOf,
  ServiceHealthChecks,
} from '../../../src/proxy/health.ts';
import { type EndpointText, service, slice } from '../../support/proxy-objects.ts';
import { resolved } from './conntrack/builders.ts';

const HERE = { nodeName: 'node-a' };

function web(spec: Partial<Service['spec']> = {}): Service {
  const base = service('web', '172.30.0.1', {
    type: 'LoadBalancer',
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: 32000,
    ports: [
      { name: 'http', protocol: 'TCP', port: 80 },
      { name: 'https', protocol: 'TCP', port: 443 },
    ],
    ...spec,
  });
  return { ...base, status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } } };
}

function endpoints(...texts: readonly EndpointText[]): EndpointSlice {
  const ports = ['http', 'https'].map((name, index) => ({
    name,
    protocol: 'TCP' as const,
    port: 8080 + index,
  }));
  return slice({ service: 'web', endpoints: texts, ports });
}

describe('healthCheckOf', () => {
  test.each<[string, Service, EndpointText[], number | undefined]>([
    ['ready ones here, each address once', web(), [{ ip: '10.0.0.1', ...HERE }], 1],
    [
      'not those elsewhere, terminating or not ready',
      web(),
      [
        { ip: '10.0.0.1', ...HERE },
        { ip: '10.0.0.2', ...HERE },
        { ip: '10.0.0.3', nodeName: 'node-b' },
        { ip: '10.0.0.4' },
        { ip: '10.0.0.5', ...HERE, conditions: { ready: false } },
        {
          ip: '10.0.0.6',
          ...HERE,
          conditions: { ready: false, serving: true, terminating: true },
        },
      ],
      2,
    ],
    ['none at all', web(), [], 0],
    ['policy Cluster', web({ externalTrafficPolicy: 'Cluster' }), [], undefined],
    ['a NodePort Service', web({ type: 'NodePort' }), [], undefined],
    ['no port given', web({ healthCheckNodePort: 0 }), [], undefined],
  ])('%s', (_name, object, texts, want) => {
    const check = healthCheckOf('ns/web', resolved(object, [endpoints(...texts)]));
    expect(check).toEqual(
      want === undefined
        ? undefined
        : { namespace: 'ns', name: 'web', port: 32000, localEndpoints: want },
    );
  });
});

test.each([
  [1, true, 200],
  [0, true, 503],
  [1, false, 503],
  [0, false, 503],
])('%d endpoints, proxy healthy: %s is %d', (localEndpoints, isHealthy, status) => {
  const check = { namespace: 'ns', name: 'web', port: 32000, localEndpoints };
  expect(answerServiceHealth(check, isHealthy)).toMatchObject({
    status,
    headers: { 'X-Load-Balancing-Endpoint-Weight': String(localEndpoints) },
  });
});

describe('ServiceHealthChecks', () => {
  function collect() {
    const told: [IPFamily, readonly HealthListener[]][] = [];
    const checks = new ServiceHealthChecks((family, listeners) => told.push([family, listeners]));
    const last = () =>
      told
        .at(-1)?.[1]
        .map(({ address, check }) => `${address} ${check.name} ${check.localEndpoints}`);
    return { checks, last };
  }
  const local = (count: number) =>
    resolved(web(), [
      endpoints(
        ...Array.from({ length: count }, (_, index) => ({ ip: `10.0.0.${index + 1}`, ...HERE })),
      ),
    ]);

  test('nothing is told before the commit, and a failed one is told again', () => {
    const { checks, last } = collect();
    checks.programming(4, 'ns/web', local(1));
    expect(last()).toBeUndefined();
    checks.programming(4, 'ns/web', local(2));
    checks.committed(4, { isFull: true, nodePortIPs: 'anyLocal' });
    expect(last()).toEqual(['0.0.0.0 web 2']);
  });

  test('changes, other addresses, and the end of a Service', () => {
    const { checks, last } = collect();
    checks.programming(4, 'ns/web', local(1));
    checks.programming(4, 'ns/other', resolved(service('other', '172.30.0.2'), []));
    checks.committed(4, { isFull: true, nodePortIPs: 'anyLocal' });
    const [one, two] = [parseIP('192.168.0.1'), parseIP('192.168.0.2')];
    const nodePortIPs = [one, two];
    checks.committed(4, { isFull: false, nodePortIPs });
    expect(last()).toEqual([`${one} web 1`, `${two} web 1`]);
    checks.programming(4, 'ns/web', []);
    checks.committed(4, { isFull: false, nodePortIPs: 'anyLocal' });
    expect(last()).toEqual([]);
  });

  test.each([
    ['ns/b', 'ns/a'],
    ['ns/a', 'ns/b'],
  ])('of two Services with one port the first by name answers: %s, then %s', (...services) => {
    const { checks, last } = collect();
    for (const service of services) checks.programming(4, service, local(1));
    checks.committed(4, { isFull: true, nodePortIPs: 'anyLocal' });
    expect(last()).toEqual(['0.0.0.0 a 1']);
  });

  test('a full sync forgets what it does not name; families are apart', () => {
    const { checks, last } = collect();
    checks.programming(4, 'ns/web', local(1));
    checks.committed(4, { isFull: true, nodePortIPs: 'anyLocal' });
    checks.committed(6, { isFull: true, nodePortIPs: 'anyLocal' });
    expect(last()).toEqual([]);
    checks.committed(4, { isFull: false, nodePortIPs: 'anyLocal' });
    expect(last()).toEqual(['0.0.0.0 web 1']);
    checks.committed(4, { isFull: true, nodePortIPs: 'anyLocal' });
    expect(last()).toEqual([]);
  });
});
