import { describe, expect, test } from 'vitest';
import type { DecodeMode } from '../../../src/kube/fields.ts';
import { endpointSlices, nodes, objectKey, services } from '../../../src/kube/resources.ts';

const meta = { name: 'web', namespace: 'shop' };

const service = (spec: object, mode: DecodeMode = 'strict') =>
  services.decode({ metadata: meta, spec }, mode);

const slice = (rest: object, mode: DecodeMode = 'strict') =>
  endpointSlices.decode({ metadata: meta, addressType: 'IPv4', ...rest }, mode);

describe('Service', () => {
  test('keeps exactly the fields that are read', () => {
    const spec = {
      type: 'LoadBalancer',
      clusterIP: '172.30.0.10',
      clusterIPs: ['172.30.0.10', 'fd00:172:30::10'],
      ipFamilies: ['IPv4', 'IPv6'],
      ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30080 }],
      externalIPs: ['203.0.113.5'],
      loadBalancerSourceRanges: ['203.0.113.0/24'],
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
      internalTrafficPolicy: 'Local',
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: 32000,
    };
    const status = { loadBalancer: { ingress: [{ ip: '203.0.113.9', ipMode: 'VIP' }] } };
    const decoded = services.decode(
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: {
          ...meta,
          uid: 'u1',
          resourceVersion: '7',
          labels: { app: 'web', 'service.kubernetes.io/service-proxy-name': 'other' },
          annotations: { team: 'x', 'weft.dev/balance': 'source-hash' },
          managedFields: [{ manager: 'kubectl' }],
        },
        spec: {
          ...spec,
          ports: [{ ...spec.ports[0], targetPort: 'web', appProtocol: 'http' }],
          selector: { app: 'web' },
          trafficDistribution: 'PreferClose',
        },
        status: { ...status, conditions: [] },
      },
      'strict',
    );
    expect(decoded).toEqual({
      metadata: {
        ...meta,
        uid: 'u1',
        resourceVersion: '7',
        labels: { 'service.kubernetes.io/service-proxy-name': 'other' },
        annotations: { 'weft.dev/balance': 'source-hash' },
      },
      spec,
      status,
    });
  });

  test('is TCP in the namespace default when it does not say, and null is absent', () => {
    const decoded = services.decode(
      { metadata: { name: 'a', labels: null }, spec: { ports: [{ port: 1, nodePort: null }] } },
      'strict',
    );
    expect(decoded).toEqual({
      metadata: { name: 'a', namespace: 'default' },
      spec: { ports: [{ protocol: 'TCP', port: 1 }] },
    });
  });

  test.each([
    { spec: { clusterIP: '172.30.0.1' }, labels: undefined, want: true },
    { spec: { clusterIP: '' }, labels: undefined, want: true },
    { spec: { clusterIP: 'None' }, labels: undefined, want: false },
    {
      spec: { clusterIP: '172.30.0.1' },
      labels: { 'service.kubernetes.io/service-proxy-name': '' },
      want: false,
    },
  ])('$spec with $labels is selected: $want', ({ spec, labels, want }) => {
    const object = services.decode({ metadata: { ...meta, labels }, spec }, 'strict');
    expect(services.isSelected(object)).toBe(want);
  });

  test.each([
    { value: 'text', message: '(object): must be an object, is a string' },
    { value: {}, message: 'metadata: is missing' },
    { value: { metadata: meta }, message: 'spec: is missing' },
    { value: { metadata: {}, spec: {} }, message: 'metadata.name: is missing' },
    {
      value: { metadata: meta, spec: { ports: [{ port: '80' }] } },
      message: 'spec.ports[0].port: must be an integer, is a string',
    },
    {
      value: { metadata: meta, spec: { ports: [{ port: 1 }, { port: 70_000 }] } },
      message: 'spec.ports[1].port: must be 1 to 65535, is 70000',
    },
    {
      value: { metadata: meta, spec: { ports: [{}] } },
      message: 'spec.ports[0].port: is missing',
    },
    { value: { metadata: meta, spec: { ports: {} } }, message: 'spec.ports: must be a list' },
    {
      value: { metadata: meta, spec: { externalIPs: ['203.0.113.1', 5] } },
      message: 'spec.externalIPs[1]: must be a string, is a number',
    },
    {
      value: {
        metadata: { ...meta, labels: { 'service.kubernetes.io/service-proxy-name': true } },
      },
      message: 'metadata.labels["service.kubernetes.io/service-proxy-name"]: must be a string',
    },
  ])('reports $message', ({ value, message }) => {
    expect(() => services.decode(value, 'strict')).toThrow(message);
  });

  test('an unknown enumeration value is absent from a server and an error in a file', () => {
    const spec = { internalTrafficPolicy: 'PreferLocal' };
    expect(service(spec, 'lenient').spec.internalTrafficPolicy).toBeUndefined();
    expect(() => service(spec)).toThrow(
      'spec.internalTrafficPolicy: must be one of Cluster, Local, is "PreferLocal"',
    );
  });

  test('an unknown protocol is an error everywhere: TCP would be wrong', () => {
    const spec = { ports: [{ port: 80, protocol: 'QUIC' }] };
    expect(() => service(spec, 'lenient')).toThrow('spec.ports[0].protocol');
  });
});

describe('EndpointSlice', () => {
  test('keeps exactly the fields that are read', () => {
    const rest = {
      endpoints: [
        {
          addresses: ['10.0.0.5'],
          conditions: { ready: true, serving: true, terminating: false },
          nodeName: 'n1',
          zone: 'z1',
          hints: { forZones: [{ name: 'z1' }], forNodes: [{ name: 'n1' }] },
        },
        { addresses: ['10.0.0.6'], conditions: { ready: false } },
      ],
      ports: [{ name: 'http', protocol: 'TCP', port: 8080 }, { protocol: 'UDP' }],
    };
    const noise = { targetRef: { kind: 'Pod', name: 'web-1' }, hostname: 'web-1' };
    const decoded = slice({
      endpoints: [{ ...rest.endpoints[0], ...noise }, rest.endpoints[1]],
      ports: rest.ports,
    });
    expect(decoded).toEqual({ metadata: meta, addressType: 'IPv4', ...rest });
  });

  test('has empty lists when the object has none', () => {
    expect(slice({ endpoints: null })).toMatchObject({ endpoints: [], ports: [] });
  });

  test('keeps the labels and the annotation the proxy reads', () => {
    const labels = {
      'kubernetes.io/service-name': 'web',
      'endpointslice.kubernetes.io/managed-by': 'x',
    };
    const annotations = { 'endpoints.kubernetes.io/last-change-trigger-time': 'T', other: 'x' };
    const { metadata } = slice({ metadata: { ...meta, labels, annotations } });
    expect(metadata).toEqual({
      ...meta,
      labels: { 'kubernetes.io/service-name': 'web' },
      annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': 'T' },
    });
  });

  test.each([undefined, '', 'IPv5'])('addressType %s is an error', (addressType) => {
    expect(() => slice({ addressType }, 'lenient')).toThrow('addressType');
  });

  test('of a headless Service is not selected', () => {
    const headless = slice({
      metadata: { ...meta, labels: { 'service.kubernetes.io/headless': '' } },
    });
    expect(endpointSlices.isSelected(headless)).toBe(false);
    expect(endpointSlices.isSelected(slice({}))).toBe(true);
  });
});

describe('Node', () => {
  const decode = (spec: object, meta: object = {}) =>
    nodes().decode(
      {
        metadata: { name: 'n1', ...meta },
        spec,
        status: {
          addresses: [
            { type: 'InternalIP', address: '192.168.0.4' },
            { type: 'InternalIP', address: 'fd00::4' },
            { type: 'InternalDNS', address: 'n1.example' },
            { type: 'Hostname', address: 'n1' },
          ],
          images: [{ names: ['large'] }],
          conditions: [{ type: 'Ready', lastHeartbeatTime: 'T' }],
        },
      },
      'strict',
    );
  const node = decode(
    {
      ...{ podCIDR: '10.1.0.0/24', podCIDRs: ['10.1.0.0/24', 'fd01::/64'], providerID: 'x' },
      taints: [{ key: 'k', effect: 'NoSchedule' }, { key: 'ToBeDeletedByClusterAutoscaler' }],
    },
    {
      ...{ uid: 'u1', creationTimestamp: 'T1', deletionTimestamp: 'T2', managedFields: [{}] },
      labels: { 'topology.kubernetes.io/zone': 'z1', other: 'x' },
      annotations: { 'weft.dev/own': 'yes', 'csi.example/other': 'no' },
    },
  );

  test('keeps exactly the fields that are read', () => {
    expect(node).toEqual({
      metadata: {
        ...{ name: 'n1', namespace: '', uid: 'u1' },
        ...{ creationTimestamp: 'T1', deletionTimestamp: 'T2' },
        labels: { 'topology.kubernetes.io/zone': 'z1', other: 'x' },
        annotations: { 'weft.dev/own': 'yes' },
      },
      spec: {
        podCIDRs: ['10.1.0.0/24', 'fd01::/64'],
        taints: [{ key: 'ToBeDeletedByClusterAutoscaler' }],
      },
      status: {
        addresses: [
          { type: 'InternalIP', address: '192.168.0.4' },
          { type: 'InternalIP', address: 'fd00::4' },
          { type: 'Hostname', address: 'n1' },
        ],
      },
    });
  });

  test.each([
    { spec: { podCIDR: '10.1.0.0/24' }, want: ['10.1.0.0/24'] },
    { spec: { podCIDR: '10.1.0.0/24', podCIDRs: [] }, want: ['10.1.0.0/24'] },
    { spec: { podCIDR: '' }, want: undefined },
    { spec: {}, want: undefined },
  ])('has the podCIDRs $want of $spec', ({ spec, want }) => {
    expect(decode(spec).spec?.podCIDRs).toEqual(want);
  });

  test('is keyed by its name and selected by it', () => {
    expect(objectKey(node)).toBe('n1');
    expect([nodes('n1').isSelected(node), nodes('n2').isSelected(node)]).toEqual([true, false]);
  });
});
