import type { IP } from '../../../net/ip.ts';
import { type Frontend, frontendKey } from '../../claims.ts';
import type { Protocol } from '../../service.ts';
import type { ResolvedFrontend, ResolvedPort } from '../../state.ts';

/** Where somebody has to listen. */
export interface Place {
  readonly protocol: Protocol;
  readonly address: IP;
  readonly port: number;
  /** Key of the Service, `namespace/name`. */
  readonly service: string;
}

/** `tcp 172.30.0.1 80` */
export function placeKey({ protocol, address, port }: Omit<Place, 'service'>): string {
  return `${protocol} ${address} ${port}`;
}

/**
 * The places of these ServicePorts. A frontend that would forward to nobody has none: the kernel
 * refuses its connections better than a process could. Over UDP a socket is also the way to be silent.
 */
export function placesOf(
  ports: readonly ResolvedPort[],
  nodePortIPs: readonly IP[],
  isServed: (frontend: Frontend) => boolean,
): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  for (const { port, frontends } of ports) {
    for (const resolved of frontends) {
      const { frontend } = resolved;
      if (!isServed(frontend) || !needsSocket(resolved)) continue;
      for (const address of frontend.kind === 'nodePort' ? nodePortIPs : [frontend.ip]) {
        const { protocol } = frontend;
        const place = { protocol, address, port: frontend.port, service: port.service };
        places.set(placeKey(place), place);
      }
    }
  }
  return places;
}

/** By frontendKey: what the verdict looks connections up in. */
export function frontendsOfPorts(
  ports: readonly ResolvedPort[],
): ReadonlyMap<string, { readonly resolved: ResolvedFrontend; readonly owner: ResolvedPort }> {
  return new Map(
    ports.flatMap((owner) =>
      owner.frontends.map((resolved) => [frontendKey(resolved.frontend), { resolved, owner }]),
    ),
  );
}

function needsSocket({ frontend, route, outside }: ResolvedFrontend): boolean {
  const routes = outside === undefined ? [route] : [route, outside];
  return routes.some(
    ({ endpoints, whenEmpty }) =>
      endpoints.length > 0 || (frontend.protocol === 'udp' && whenEmpty === 'drop'),
  );
}
