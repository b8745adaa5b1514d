/** Which scheduler a ServicePort's virtual servers use. */
import type { VirtualServer } from '../../../kernel/ipvs-types.ts';
import type { IpvsScheduling } from '../../balancing.ts';
import type { ServicePort } from '../../service.ts';

/** The part of a virtual server that decides on the destination of a connection. */
export type Scheduling = Pick<VirtualServer, 'scheduler' | 'fallback' | 'hashesPort'>;

/** Those that weigh nothing, and what does the same by weights. */
const WEIGHING: Readonly<Record<string, string>> = { rr: 'wrr', lc: 'wlc' };

/** By what is configured for all Services: `mh` hashes the port too, as kube-proxy has it. */
export function configuredScheduling(scheduler: string): Scheduling {
  const name = scheduler === '' ? 'rr' : scheduler;
  return name === 'mh' ? { scheduler: name, hashesPort: true } : { scheduler: name };
}

/**
 * The scheduling of a ServicePort, the best first: what its annotations ask for, what is
 * configured. Whoever uses it takes the first that the kernel has.
 */
export function schedulingsOf(
  { policy }: ServicePort,
  configured: Scheduling,
): readonly Scheduling[] {
  const { ipvsScheduling, balance, weights } = policy;
  const wanted: Scheduling[] = [];
  if (ipvsScheduling !== undefined) wanted.push(schedulingOf(ipvsScheduling));
  // A destination that drains leaves the table to others.
  else if (balance === 'source-hash') wanted.push({ scheduler: 'mh', fallback: true });
  wanted.push(configured);
  return weights.length === 0 ? wanted : wanted.flatMap(weighing);
}

/** The first that the kernel has; the last, which is known to be there, in any case. */
export function chooseScheduling(
  schedulings: readonly Scheduling[],
  isThere: (scheduler: string) => boolean,
): Scheduling {
  const last = schedulings.at(-1) ?? { scheduler: 'rr' };
  return schedulings.find((each) => each === last || isThere(each.scheduler)) ?? last;
}

function schedulingOf({ scheduler, flags }: IpvsScheduling): Scheduling {
  return {
    scheduler,
    ...(flags.includes('fallback') ? { fallback: true } : {}),
    ...(flags.includes('port') ? { hashesPort: true } : {}),
  };
}

function weighing(scheduling: Scheduling): readonly Scheduling[] {
  const scheduler = WEIGHING[scheduling.scheduler];
  return scheduler === undefined ? [scheduling] : [{ scheduler }, scheduling];
}
