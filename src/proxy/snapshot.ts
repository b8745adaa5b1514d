import type { IPFamily } from '../net/ip.ts';
import { type Frontend, FrontendClaims } from './claims.ts';
import type { SliceRecord } from './endpoints.ts';
import type { ServiceEntry, ServicePort } from './service.ts';
import type { SessionSettings } from './session.ts';
import { type NodeView, type ResolvedPort, resolvePort } from './state.ts';

/**
 * What the proxy of one family knows at this moment, committed or not: for questions. Valid until
 * the next event.
 */
export interface ProxySnapshot {
  readonly family: IPFamily;
  /** False until Services and EndpointSlices were read whole. */
  readonly isSynced: boolean;
  /** Keys of the Services with changes that are not committed yet. */
  readonly pending: ReadonlySet<string>;
  readonly settings: SessionSettings;
  readonly node: NodeView;
  services(): Iterable<readonly [key: string, entry: ServiceEntry]>;
  service(key: string): ServiceEntry | undefined;
  /** As of the last sync; undefined: nobody has it yet. */
  ownerOf(frontend: Frontend): ServicePort | undefined;
  slices(service: string): Iterable<SliceRecord>;
}

/**
 * Resolves the Services with a port that `isWanted` names, by key. Claims between them are settled
 * as the proxy does, so every Service that may claim a frontend in question has to be among them.
 */
export function resolveSnapshot(
  snapshot: ProxySnapshot,
  isWanted: (port: ServicePort) => boolean = () => true,
): ReadonlyMap<string, readonly ResolvedPort[]> {
  const claims = new FrontendClaims();
  const wanted: (readonly [string, ServiceEntry])[] = [];
  for (const [key, entry] of snapshot.services()) {
    if (!entry.ports.some(isWanted)) continue;
    claims.update([], entry);
    wanted.push([key, entry]);
  }
  return new Map(
    wanted.map(([key, { ports }]) => {
      const slices = [...snapshot.slices(key)];
      return [key, ports.map((port) => resolvePort(port, slices, claims, snapshot.node))];
    }),
  );
}
