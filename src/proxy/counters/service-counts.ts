import type { IPFamily } from '../../net/ip.ts';
import { protocolBytes } from '../../nftables/bytes.ts';
import type { Frontend } from '../claims.ts';
import type { Endpoint } from '../endpoints.ts';
import { frontendKey, targetBytes } from '../modes/nftables/fragment.ts';
import type { ServicePort } from '../service.ts';
import { type Reason, type Series, seriesKey } from './series.ts';

/** Packets that were answered or dropped instead of led to an endpoint. */
export interface Refusals {
  readonly noEndpoints: number;
  readonly noLocalEndpoints: number;
  readonly sourceRange: number;
}

/** What the kernel has counted since the agent's start. */
export interface ServiceCounts {
  /** `port` is a ServicePort's name. */
  ofFrontend(
    family: IPFamily,
    port: string,
    frontend: Frontend,
  ): { readonly connections: number; readonly refused: Refusals };
  /** Undefined where endpoints are not counted each. */
  ofEndpoint(family: IPFamily, port: ServicePort, endpoint: Endpoint): number | undefined;
}

export type Totals = ReadonlyMap<IPFamily, ReadonlyMap<string, number>>;

/** Looks each series up by its key: nothing is walked. */
export function serviceCounts(totals: Totals, hasEndpoints: boolean): ServiceCounts {
  const totalOf = (family: IPFamily, series: Series) =>
    totals.get(family)?.get(seriesKey(series)) ?? 0;
  return {
    ofFrontend: (family, port, frontend) => {
      const bytes = frontendKey(frontend).key;
      const refused = (reason: Reason) => totalOf(family, { kind: 'refused', port, reason, bytes });
      return {
        connections: totalOf(family, { kind: 'service', port, reason: undefined, bytes }),
        refused: {
          noEndpoints: refused('no_endpoints'),
          noLocalEndpoints: refused('no_local_endpoints'),
          sourceRange: refused('source_range'),
        },
      };
    },
    ofEndpoint: (family, { name: port, protocol }, endpoint) => {
      if (!hasEndpoints) return undefined;
      const bytes = protocolBytes(protocol) + targetBytes(endpoint);
      return totalOf(family, { kind: 'endpoint', port, reason: undefined, bytes });
    },
  };
}
