import { describe, expect, test } from 'vitest';
import type { Endpoint as EndpointSpec, Service } from '../../../src/kube/types.ts';
import { FrontendClaims } from '../../../src/proxy/claims.ts';
import { endpointUse } from '../../../src/proxy/endpoint-use.ts';
import { parseSlice } from '../../../src/proxy/endpoints.ts';
import { parseService } from '../../../src/proxy/service.ts';
import { resolvePort } from '../../../src/proxy/state.ts';
import { service, slice } from '../../support/proxy-objects.ts';

const NODE = { nodeName: 'here', zone: 'a', nodeIP: undefined };
const LOCAL_OUTSIDE = { type: 'NodePort', externalTrafficPolicy: 'Local' } as const;
const LOCAL_INSIDE = { internalTrafficPolicy: 'Local' } as const;

interface Row {
  readonly name: string;
  readonly spec?: Partial<Service['spec']>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly endpoints: readonly Partial<EndpointSpec>[];
  /** Of each endpoint: `state usedBy leftOut`. */
  readonly uses: readonly string[];
}

const here = { nodeName: 'here' };
const there = { nodeName: 'there' };
const notReady = { conditions: { ready: false } };
const draining = { conditions: { ready: false, serving: true, terminating: true } };
const gone = { conditions: { ready: false, serving: false, terminating: true } };
const zone = (name: string) => ({ hints: { forZones: [{ name }] } });
const node = (name: string) => ({ hints: { forNodes: [{ name }] } });

const ROWS: readonly Row[] = [
  { name: 'ready ones', endpoints: [here, there], uses: ['ready everybody', 'ready everybody'] },
  {
    name: 'not ready, and on the way out, beside a ready one',
    endpoints: [here, notReady, draining, gone],
    uses: [
      'ready everybody',
      'notReady nobody notReady',
      'terminating nobody terminating',
      'terminating nobody terminating',
    ],
  },
  {
    name: 'nobody is ready: those that still serve are used',
    endpoints: [draining, gone, notReady],
    uses: ['draining everybody', 'terminating nobody terminating', 'notReady nobody notReady'],
  },
  {
    name: 'externalTrafficPolicy Local',
    spec: {
      ...LOCAL_OUTSIDE,
      ports: [{ protocol: 'TCP', name: 'http', port: 80, nodePort: 30080 }],
    },
    endpoints: [here, there],
    uses: ['ready everybody', 'ready cluster otherNode'],
  },
  {
    name: 'internalTrafficPolicy Local',
    spec: LOCAL_INSIDE,
    endpoints: [here, there],
    uses: ['ready everybody', 'ready nobody otherNode'],
  },
  {
    name: 'internalTrafficPolicy Local, and a NodePort for everybody',
    spec: {
      ...{ ...LOCAL_INSIDE, type: 'NodePort' },
      ports: [{ protocol: 'TCP', name: 'http', port: 80, nodePort: 30080 }],
    },
    endpoints: [here, there],
    uses: ['ready everybody', 'ready outside otherNode'],
  },
  {
    name: 'externalTrafficPolicy Local: the last of this node drains, others are ready',
    spec: {
      ...LOCAL_OUTSIDE,
      ports: [{ protocol: 'TCP', name: 'http', port: 80, nodePort: 30080 }],
    },
    endpoints: [{ ...here, ...draining }, there],
    uses: ['draining outside terminating', 'ready cluster otherNode'],
  },
  {
    name: 'hints of zones',
    endpoints: [
      { ...here, ...zone('a') },
      { ...there, ...zone('b') },
    ],
    uses: ['ready everybody', 'ready nobody otherZone'],
  },
  {
    name: 'hints of nodes',
    endpoints: [
      { ...here, ...node('here') },
      { ...there, ...node('there') },
    ],
    uses: ['ready everybody', 'ready nobody hintedElsewhere'],
  },
  {
    name: 'a weight of nothing',
    annotations: { 'weft.dev/weights': '10.1.0.2=0' },
    endpoints: [here, there],
    uses: ['ready everybody', 'ready nobody noWeight'],
  },
];

function usesOf({ spec = {}, annotations, endpoints }: Row): readonly string[] {
  const entry = parseService(service('web', '172.30.0.1', spec, annotations)).get(4);
  const [port] = entry?.ports ?? [];
  const specs = endpoints.map((each, i) => ({ ip: `10.1.0.${i + 1}`, ...each }));
  const parsed = parseSlice(slice({ service: 'web', endpoints: specs }), NODE.nodeName);
  if (entry === undefined || port === undefined || parsed === undefined) throw new Error('no port');
  const claims = new FrontendClaims();
  claims.update([], entry);
  const resolved = resolvePort(port, [parsed.record], claims, NODE);
  return resolved.endpoints.map((endpoint) => {
    const { state, usedBy, leftOut } = endpointUse(endpoint, resolved, NODE);
    return [state, usedBy, ...(leftOut === undefined ? [] : [leftOut])].join(' ');
  });
}

describe('who is led to an endpoint, and why somebody is not', () => {
  test.each(ROWS)('$name', (row) => expect(usesOf(row)).toEqual(row.uses));
});
