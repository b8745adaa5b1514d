/** What the control path of the proxy is measured with. */
import { largeService, type ServiceObjects, serviceObjects } from './cluster-objects.ts';

/** A cluster in which an endpoint of the first Service moves. */
export interface ControlCase {
  readonly title: string;
  readonly services: number;
  /** Of each Service. */
  readonly endpoints: number;
}

const LARGE_ENDPOINTS = 10_000;

export function manyServices(services: number): ControlCase {
  return { title: `${services.toLocaleString('en')} x 5`, services, endpoints: 5 };
}

export const largeCase: ControlCase = {
  title: `1 x ${LARGE_ENDPOINTS.toLocaleString('en')}`,
  services: 1,
  endpoints: LARGE_ENDPOINTS,
};

/** The Service whose last endpoint has moved `round` times. */
export function changingService({ endpoints }: ControlCase, round: number): ServiceObjects {
  return endpoints === LARGE_ENDPOINTS
    ? largeService(0, endpoints, round)
    : serviceObjects(0, round);
}

/** All others. */
export function unchangingServices({ services }: ControlCase): readonly ServiceObjects[] {
  return Array.from({ length: Math.max(0, services - 1) }, (_, n) => serviceObjects(n + 1));
}
