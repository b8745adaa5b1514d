/** What `weft flows` tells, as the page shows it. */
import { WeftError } from '../../util/errors.ts';
import type { FlowEvent, FlowParty, FlowQuery } from '../flows/flow-event.ts';
import type { FlowAnswer } from '../flows/flow-reader.ts';
import { MOST_FLOWS, type UiFlow, type UiFlows } from './snapshot.ts';

const NAME = /^[a-z0-9.-]{1,63}\/[a-z0-9.-]{1,253}$/;

/** `pod` or `service`, by `namespace/name`. Throws WeftError for anything else. */
export function parseFlowQuery(query: URLSearchParams): FlowQuery {
  for (const kind of ['pod', 'service'] as const) {
    const name = query.get(kind);
    if (name !== null && NAME.test(name)) return { [kind]: name };
  }
  throw new WeftError('EINVAL', 'expected pod or service, as NAMESPACE/NAME');
}

/** Of one answer: the last of what happened, and how many more there were. */
export function flowsOf({ events, lost, overwritten }: FlowAnswer): UiFlows {
  const told = events.slice(-MOST_FLOWS);
  return { flows: told.map(flowOf), missed: events.length - told.length + lost + overwritten };
}

function flowOf(event: FlowEvent): UiFlow {
  const { kind, at, from, to, endpoint, protocol, verdict, reason } = event;
  return {
    key: [protocol, from.ip, from.port ?? '', to.ip, to.port ?? ''].join(' '),
    ...{ kind, at, from: nameOf(from), to: nameOf(to), protocol, verdict },
    ...(endpoint === undefined ? {} : { endpoint: nameOf(endpoint) }),
    ...(reason === undefined ? {} : { reason }),
  };
}

/** The name that tells most, and the port of a place that somebody is reached at. */
function nameOf({ ip, port, pod, service, node, podsOf }: FlowParty): string {
  if (service !== undefined) return service;
  const unnamed = podsOf === undefined ? ip : `pods of ${podsOf}=${ip}`;
  const name = pod ?? (node === undefined ? unnamed : `node/${node}`);
  return port === undefined ? name : `${name}:${port}`;
}
