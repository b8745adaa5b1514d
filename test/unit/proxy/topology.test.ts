import { describe, expect, test } from 'vitest';
import type { IP } from '../../../src/net/ip.ts';
import type { Endpoint } from '../../../src/proxy/endpoints.ts';
import { parseService } from '../../../src/proxy/service.ts';
import { categorizeEndpoints } from '../../../src/proxy/topology.ts';
import { service } from '../../support/proxy-objects.ts';

/**
 * One endpoint in short: a letter for its name, then flags. `L` on this node, `n` not ready,
 * `t` terminating but serving (not ready), `x` terminating and not serving, `z<zones>` and
 * `h<nodes>` hints, each hint one letter.
 */
function endpoint(text: string): Endpoint {
  const [name = '', ...flags] = text.split(' ');
  const hints = (kind: string) => [...(flags.find((flag) => flag.startsWith(kind)) ?? '')].slice(1);
  const has = (flag: string) => flags.includes(flag);
  return {
    port: 80,
    target: {
      // The address only names the endpoint here; nothing parses it.
      ip: name as IP,
      isReady: !has('n') && !has('t') && !has('x'),
      isServing: !has('n') && !has('x'),
      isTerminating: has('t') || has('x'),
      isLocal: has('L'),
      zoneHints: hints('z'),
      nodeHints: hints('h'),
      nodeName: undefined,
      zone: undefined,
    },
  };
}

const specs = {
  cluster: {},
  internalLocal: { internalTrafficPolicy: 'Local' },
  externalLocal: { type: 'NodePort', externalTrafficPolicy: 'Local' },
  externalLocalUnreachable: { type: 'LoadBalancer', externalTrafficPolicy: 'Local' },
  bothLocal: { type: 'NodePort', internalTrafficPolicy: 'Local', externalTrafficPolicy: 'Local' },
  internalLocalExternalCluster: { type: 'NodePort', internalTrafficPolicy: 'Local' },
} as const;

interface Row {
  readonly name: string;
  readonly policy?: keyof typeof specs;
  readonly endpoints: readonly string[];
  readonly zone?: string | undefined;
  readonly cluster?: string;
  readonly local?: string;
  readonly reachable?: string;
  readonly hasAny?: boolean;
}

const zoned = ['a L za', 'b zb', 'c zb', 'd za'];

const rows: readonly Row[] = [
  { name: 'complete hints: own zone', endpoints: zoned, cluster: 'ad' },
  {
    name: 'eTP Local ignores hints for local',
    policy: 'externalLocal',
    endpoints: zoned,
    cluster: 'ad',
    local: 'a',
    reachable: 'ad',
  },
  {
    name: 'iTP Local ignores hints',
    policy: 'internalLocal',
    endpoints: zoned,
    local: 'a',
    reachable: 'a',
  },
  { name: 'node without labels', endpoints: zoned, zone: undefined, cluster: 'abcd' },
  { name: 'node with empty zone', endpoints: zoned, zone: '', cluster: 'abcd' },
  { name: 'hints for other zones only', endpoints: zoned, zone: 'c', cluster: 'abcd' },
  {
    name: 'an unready endpoint needs no hint',
    endpoints: ['a za', 'b zb', 'c zb n', 'd n'],
    cluster: 'a',
  },
  {
    name: 'only an unready endpoint in the zone',
    endpoints: ['a za n', 'b zb', 'c zb'],
    cluster: 'bc',
  },
  { name: 'one missing hint disables', endpoints: ['a za', 'b zb', 'c', 'd za'], cluster: 'abcd' },
  { name: 'several zones per hint', endpoints: ['a za', 'b zabc', 'c zbc', 'd zb'], cluster: 'ab' },
  {
    name: 'node hints win over zone hints',
    endpoints: ['a za hm', 'b za ho', 'c zb ho'],
    cluster: 'a',
  },
  { name: 'one without node hint: zone', endpoints: ['a za hm', 'b za', 'c zb ho'], cluster: 'ab' },
  {
    name: 'no node hint for this node: zone',
    endpoints: ['a za hp', 'b za ho', 'c zb ho'],
    cluster: 'ab',
  },
  { name: 'node hints without zone hints', endpoints: ['a hm', 'b ho'], cluster: 'a' },
  {
    name: 'local endpoint outside the zone is merged',
    policy: 'externalLocal',
    endpoints: ['a L zb', 'b za', 'c zb'],
    cluster: 'b',
    local: 'a',
    reachable: 'ab',
  },
  { name: 'iTP Local, no endpoints', policy: 'internalLocal', endpoints: [], hasAny: false },
  { name: 'iTP Local, all remote', policy: 'internalLocal', endpoints: ['a', 'b'] },
  {
    name: 'iTP Local, all local',
    policy: 'internalLocal',
    endpoints: ['a L', 'b L'],
    local: 'ab',
    reachable: 'ab',
  },
  {
    name: 'iTP Local, some local',
    policy: 'internalLocal',
    endpoints: ['a L', 'b'],
    local: 'a',
    reachable: 'a',
  },
  { name: 'Cluster, none ready or serving', endpoints: ['a n', 'b x'], hasAny: false },
  { name: 'Cluster, some ready', endpoints: ['a', 'b t', 'c n'], cluster: 'a' },
  { name: 'Cluster, all terminating', endpoints: ['a t', 'b t', 'c x'], cluster: 'ab' },
  { name: 'terminating ones know no zone', endpoints: ['a t za', 'b t zb'], cluster: 'ab' },
  {
    name: 'iTP Local and eTP Cluster',
    policy: 'internalLocalExternalCluster',
    endpoints: ['a L', 'b'],
    cluster: 'ab',
    local: 'a',
    reachable: 'ab',
  },
  {
    name: 'iTP Cluster and eTP Local, none local',
    policy: 'externalLocal',
    endpoints: ['a', 'b'],
    cluster: 'ab',
    reachable: 'ab',
  },
  {
    name: 'both Local',
    policy: 'bothLocal',
    endpoints: ['a L', 'b'],
    cluster: 'ab',
    local: 'a',
    reachable: 'ab',
  },
  {
    name: 'both Local, none local',
    policy: 'bothLocal',
    endpoints: ['a', 'b'],
    cluster: 'ab',
    reachable: 'ab',
  },
  {
    name: 'eTP Local, local one terminating',
    policy: 'externalLocal',
    endpoints: ['a L t', 'b'],
    cluster: 'b',
    local: 'a',
    reachable: 'ab',
  },
  {
    name: 'both Local, all terminating',
    policy: 'bothLocal',
    endpoints: ['a L t', 'b t'],
    cluster: 'ab',
    local: 'a',
    reachable: 'ab',
  },
  {
    name: 'local ready one ends the fallback',
    policy: 'bothLocal',
    endpoints: ['a L t', 'b L', 'c'],
    cluster: 'bc',
    local: 'b',
    reachable: 'bc',
  },
  {
    name: 'eTP Local of a Service nobody outside reaches',
    policy: 'externalLocalUnreachable',
    endpoints: ['a', 'b L'],
    cluster: 'ab',
  },
  {
    name: 'iTP Local only, terminating remote',
    policy: 'internalLocal',
    endpoints: ['a t', 'b n L'],
  },
  { name: 'no endpoints', endpoints: [], hasAny: false },
  {
    name: 'not ready, not serving, not terminating',
    endpoints: ['a n L'],
    policy: 'bothLocal',
    hasAny: false,
  },
];

describe('categorizeEndpoints', () => {
  test.each(rows)('$name', (row) => {
    const { policy = 'cluster', endpoints, cluster = '', local = '', hasAny = true } = row;
    const nodePort =
      policy === 'cluster' || policy === 'internalLocal' || policy === 'externalLocalUnreachable'
        ? 0
        : 30080;
    const spec = {
      ...specs[policy],
      ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort }],
    } as const;
    const [port] = parseService(service('a', '172.30.0.1', spec)).get(4)?.ports ?? [];
    const zone = 'zone' in row ? row.zone : 'a';
    const result = categorizeEndpoints(endpoints.map(endpoint), port!, { nodeName: 'm', zone });
    const names = (list: readonly Endpoint[]) =>
      list
        .map(({ target }) => target.ip)
        .sort()
        .join('');
    expect({
      cluster: names(result.cluster),
      local: names(result.local),
      reachable: names(result.reachable),
      hasAny: result.hasAny,
    }).toEqual({ cluster, local, reachable: row.reachable ?? cluster, hasAny });
  });
});
