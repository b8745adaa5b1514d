/** What a row of the flow table is: from where to what, and who shall answer. */
import type { EndpointSlice, Service } from '../../../src/kube/types.ts';
import type { Protocol } from '../../../src/proxy/service.ts';
import type { Net } from './net.ts';

/** A client: a pod, the node by one of its addresses, a host outside. */
export type From = 'client' | 'podA' | 'node' | 'nodeAddress' | 'nodeAsLb' | 'outside' | 'stranger';

export type Server = 'a' | 'b' | 'remote';

/** Whether the server sees the client's own address or one of the node's. */
export interface Answer {
  readonly server: Server;
  readonly source: 'own' | 'node';
}

/** Who may answer, each at least once; or how nobody does: `reset` is to be taken and then reset. */
export type Want = readonly Answer[] | 'reject' | 'drop' | 'pass' | 'reset';

export interface Flow {
  readonly name: string;
  readonly from: From;
  readonly to: string;
  readonly port: number;
  readonly protocol?: Protocol;
  readonly want: Want;
}

export type SettingsName =
  | 'base'
  | 'byBridge'
  | 'noDetector'
  | 'masqueradeAll'
  | 'noDetectorMasqueradeAll'
  | 'primaryNodePorts'
  | 'listedNodePorts';

/** Objects and the flows that meet them. Groups with the same settings live side by side. */
export interface FlowGroup {
  readonly name: string;
  readonly settings: SettingsName;
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
  readonly flows: readonly Flow[];
}

export function sourceOf(from: From, net: Net): string {
  const sources: Readonly<Record<From, string>> = {
    client: net.client,
    podA: net.podA,
    node: net.outer,
    nodeAddress: net.node,
    nodeAsLb: net.lb(2),
    outside: net.outside,
    stranger: net.stranger,
  };
  return sources[from];
}

/** The interface of the node that the client's packets come in by. */
export function interfaceOf(from: From): string | undefined {
  if (from === 'client' || from === 'podA') return 'br0';
  return from === 'outside' || from === 'stranger' ? 'eth1' : undefined;
}

/** These servers see the client's address. */
export function own(...servers: readonly Server[]): readonly Answer[] {
  return servers.map((server) => ({ server, source: 'own' }));
}

/** These servers see the node's address. */
export function masqueraded(...servers: readonly Server[]): readonly Answer[] {
  return servers.map((server) => ({ server, source: 'node' }));
}

/** `a own, remote node`: what tests compare. */
export function wantText(want: Want): string {
  if (typeof want === 'string') return want;
  return want
    .map(({ server, source }) => `${server} ${source}`)
    .sort()
    .join(', ');
}
