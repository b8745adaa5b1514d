/**
 * The addresses a node is taken to have: every case of kube-proxy's detectNodeIPs. There an unknown
 * address is the loopback one and decides nothing; here it is none, and no NodePort opens for it.
 */
import { expect, test } from 'vitest';
import { fillDefaults } from '../../../../src/agent/config/kube-proxy-config.ts';
import { resolveProxySettings } from '../../../../src/agent/config/proxy-settings.ts';
import { type FedProxy, NodeFeed } from '../../../../src/agent/proxy/object-feed.ts';
import type { ObjectHandlers, ObjectSource } from '../../../../src/kube/source.ts';
import type { KubernetesObject, Node } from '../../../../src/kube/types.ts';
import { type NodeFacts, nodePortIPs, parseNode } from '../../../../src/proxy/node-addresses.ts';

interface Case {
  readonly name: string;
  /** InternalIPs of the Node; undefined: there is no Node object. */
  readonly node?: readonly string[];
  readonly bindAddress: string;
  /** kube-proxy's IPv4 and IPv6. */
  readonly want: readonly [string, string];
  /** Ours, where it is another address than kube-proxy's or its loopback. */
  readonly ours?: { readonly want: readonly [string, string]; readonly because: string };
}

const NO_IPV4 = '127.0.0.1';
const NO_IPV6 = '::1';
const BOTH = ['90.90.90.90', '2001:db8::2'] as const;
const NOT_BEFORE_NODE = 'the Node is waited for: until it is read no NodePort opens';
const NO_LOOPBACK = 'NodePorts do not answer on the loopback by this setting';

const CASES: readonly Case[] = [
  {
    name: 'IPv4 bind address, no Node',
    bindAddress: '10.0.0.1',
    want: ['10.0.0.1', NO_IPV6],
    ours: { want: [NO_IPV4, NO_IPV6], because: NOT_BEFORE_NODE },
  },
  {
    name: 'IPv6 bind address, no Node',
    bindAddress: 'fd00:4321::2',
    want: [NO_IPV4, 'fd00:4321::2'],
    ours: { want: [NO_IPV4, NO_IPV6], because: NOT_BEFORE_NODE },
  },
  { name: 'no bind address, no Node', bindAddress: '', want: [NO_IPV4, NO_IPV6] },
  { name: 'bind address 0.0.0.0, no Node', bindAddress: '0.0.0.0', want: [NO_IPV4, NO_IPV6] },
  {
    name: 'bind address 0.0.0.0, IPv4 Node',
    node: ['192.168.1.1'],
    bindAddress: '0.0.0.0',
    want: ['192.168.1.1', NO_IPV6],
  },
  {
    name: 'bind address ::, IPv4 Node',
    node: ['192.168.1.1'],
    bindAddress: '::',
    want: ['192.168.1.1', NO_IPV6],
  },
  {
    name: 'bind address 0.0.0.0, IPv6 Node',
    node: ['fd00:1234::1'],
    bindAddress: '0.0.0.0',
    want: [NO_IPV4, 'fd00:1234::1'],
  },
  {
    name: 'bind address ::, IPv6 Node',
    node: ['fd00:1234::1'],
    bindAddress: '::',
    want: [NO_IPV4, 'fd00:1234::1'],
  },
  { name: 'both families, IPv4 first', node: BOTH, bindAddress: '::', want: [BOTH[0], BOTH[1]] },
  {
    name: 'both families, IPv6 first',
    node: BOTH.toReversed(),
    bindAddress: '0.0.0.0',
    want: [BOTH[0], BOTH[1]],
  },
  {
    name: 'both families, another IPv4',
    node: BOTH.toReversed(),
    bindAddress: '80.80.80.80',
    want: ['80.80.80.80', BOTH[1]],
  },
  {
    name: 'both families, another IPv6',
    node: BOTH,
    bindAddress: '2001:db8::555',
    want: [BOTH[0], '2001:db8::555'],
  },
  {
    name: 'both families, IPv4 loopback',
    node: BOTH.toReversed(),
    bindAddress: '127.0.0.1',
    want: ['127.0.0.1', BOTH[1]],
    ours: { want: [BOTH[0], BOTH[1]], because: NO_LOOPBACK },
  },
  {
    name: 'both families, IPv6 loopback',
    node: BOTH,
    bindAddress: '::1',
    want: [BOTH[0], '::1'],
    ours: { want: [BOTH[0], BOTH[1]], because: NO_LOOPBACK },
  },
];

/** What the proxy is told of a Node with these addresses; nothing when there is none. */
function factsOf({ node, bindAddress }: Case): NodeFacts | undefined {
  const settings = resolveProxySettings(fillDefaults({ bindAddress }), (path) => path.join('.'));
  let facts: NodeFacts | undefined;
  let tell: (object: Node) => void = () => {};
  const source: Pick<ObjectSource, 'watch'> = {
    watch: <T extends KubernetesObject>(_: unknown, handlers: ObjectHandlers<T>) => {
      // The feed watches Nodes alone.
      tell = handlers.onAdd as unknown as (object: Node) => void;
      const synced = Promise.resolve();
      return { synced, confirmed: synced, objects: () => [], close: () => {} };
    },
  };
  const proxy: FedProxy = {
    apply: (change) => {
      if (change.kind === 'node' && change.now !== undefined) facts = parseNode(change.now);
    },
    setSynced: () => {},
  };
  const feed = new NodeFeed(true, settings.bindAddress);
  // It calls nothing else of it.
  void feed.start(proxy, source as ObjectSource, 'node-a');
  if (node === undefined) return facts;
  const addresses = node.map((address) => ({ type: 'InternalIP', address }));
  tell({ metadata: { name: 'node-a', namespace: '' }, status: { addresses } });
  return facts;
}

test.each(CASES)('$name', (row) => {
  const facts = factsOf(row);
  const found = ([4, 6] as const).map((family) => {
    const [ip] = nodePortIPs({ kind: 'primary' }, family, facts, () => []);
    return ip ?? (family === 4 ? NO_IPV4 : NO_IPV6);
  });
  expect(found).toEqual(row.ours?.want ?? row.want);
  // A difference that is none any more has no place in the table.
  expect(row.ours?.want).not.toEqual(row.want);
});
