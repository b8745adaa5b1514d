/** The lists below the map as rows of text. */
import type { UiSnapshot } from '../agent/page/snapshot.ts';
import { hasWords, type Selection, wordsOf } from './search.ts';
import { ageWords, peerState, rateWords, type State, serviceState } from './words.ts';

export type TableName = 'services' | 'pods' | 'nodes' | 'denied';

export interface Row {
  readonly key: string;
  readonly name: string;
  readonly state?: State;
  readonly cells: readonly string[];
  readonly selection?: Selection;
}

interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly count: (snapshot: UiSnapshot) => number;
}

export const TABLES: Readonly<Record<TableName, Table>> = {
  services: {
    title: 'Services',
    columns: ['Service', 'State', 'Address', 'Ports', 'New connections'],
    count: ({ node }) => node.counts.services,
  },
  pods: {
    title: 'Pods',
    columns: ['Pod', 'Addresses', 'Link', 'Bridge'],
    count: ({ node }) => node.counts.pods,
  },
  nodes: {
    title: 'Nodes',
    columns: ['Node', 'State', 'Address', 'Pods', 'There and back'],
    count: ({ node }) => node.counts.peers,
  },
  denied: {
    title: 'Denied',
    columns: ['From', 'To', 'Port', 'By', 'When'],
    count: ({ denials }) => denials.length,
  },
};

/** Those that have every word of the query somewhere. */
export function rowsOf(
  name: TableName,
  snapshot: UiSnapshot,
  query: string,
  nowMs: number,
): readonly Row[] {
  const words = wordsOf(query);
  const rows = ROWS[name](snapshot, nowMs);
  if (words.length === 0) return rows;
  return rows.filter((row) =>
    hasWords([row.name, row.state?.words ?? '', ...row.cells].join(' '), words),
  );
}

const ROWS: Readonly<Record<TableName, (snapshot: UiSnapshot, nowMs: number) => readonly Row[]>> = {
  services: ({ services }) =>
    services.map((service) => ({
      ...{ key: service.key, name: service.key, state: serviceState(service) },
      cells: [
        service.addresses.join(', '),
        service.ports.map(({ port, protocol }) => `${port}/${protocol}`).join(', '),
        rateWords(service.perSecond),
      ],
      selection: { kind: 'service', key: service.key },
    })),
  pods: ({ pods }) =>
    pods.map(({ key, addresses, veth = '', bridge = '' }) => ({
      ...{ key, name: key, cells: [addresses.join(', '), veth, bridge] },
      selection: { kind: 'pod', key },
    })),
  nodes: ({ peers }) =>
    peers.map((peer) => ({
      ...{ key: peer.key, name: peer.key, state: peerState(peer) },
      cells: [
        peer.addresses.join(', '),
        peer.podCIDRs.join(', '),
        peer.roundTripMs === undefined ? '' : `${peer.roundTripMs} ms`,
      ],
      selection: { kind: 'node', key: peer.key },
    })),
  denied: ({ denials }, nowMs) =>
    denials.map(({ key, at, from, to, protocol, port, policies, reason }) => ({
      ...{ key, name: from },
      cells: [
        to,
        port === 0 ? protocol : `${port}/${protocol.toLowerCase()}`,
        policies.length === 0 ? reason : policies.join(', '),
        ageWords(at, nowMs),
      ],
    })),
};
