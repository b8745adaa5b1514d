import type { Frontend, FrontendClaims } from './claims.ts';
import { type Endpoint, mergeEndpoints, type SliceRecord } from './endpoints.ts';
import type { ServicePort } from './service.ts';
import { categorizeEndpoints, type NodeLocality } from './topology.ts';

/** One frontend and where its connections go. */
export interface ResolvedFrontend {
  readonly frontend: Frontend;
  /** The endpoints new connections are spread over. */
  readonly endpoints: readonly Endpoint[];
  /** What to do when there are none: answer that nobody is there, or stay silent. */
  readonly whenEmpty: 'reject' | 'drop';
}

/** A ServicePort with everything a renderer needs to know; a plain value of one sync. */
export interface ResolvedPort {
  readonly port: ServicePort;
  readonly frontends: readonly ResolvedFrontend[];
  /** Endpoints on this node that some traffic of this port reaches. */
  readonly localEndpoints: readonly Endpoint[];
  /** The traffic policies that find no endpoint on this node while other nodes have some. */
  readonly policiesWithoutLocal: readonly ('internal' | 'external')[];
}

/** Decides for one ServicePort which of its frontends it serves, and with which endpoints. */
export function resolvePort(
  port: ServicePort,
  slices: Iterable<SliceRecord>,
  claims: FrontendClaims,
  locality: NodeLocality,
): ResolvedPort {
  const endpoints = mergeEndpoints(slices, port.portName, port.protocol);
  const { cluster, local, reachable, hasAny } = categorizeEndpoints(endpoints, port, locality);
  const { isInternalLocal, isExternalLocal } = port.policy;
  const lacksLocal = hasAny && local.length === 0;
  return {
    port,
    frontends: claims.owned(port).map((frontend) => {
      const isLocal = frontend.kind === 'clusterIP' && isInternalLocal;
      return {
        frontend,
        endpoints: isLocal ? local : cluster,
        whenEmpty: isLocal && hasAny ? 'drop' : 'reject',
      };
    }),
    localEndpoints: reachable.filter(({ target }) => target.isLocal),
    policiesWithoutLocal: [
      ...(lacksLocal && isInternalLocal ? (['internal'] as const) : []),
      ...(lacksLocal && isExternalLocal ? (['external'] as const) : []),
    ],
  };
}
