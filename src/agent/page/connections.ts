import { WeftError } from '../../util/errors.ts';
import type { FlowEvent, FlowParty, FlowQuery } from '../flows/flow-event.ts';
import { MOST_CONNECTIONS, type UiConnection } from './snapshot.ts';

const NAME = /^[a-z0-9.-]{1,63}\/[a-z0-9.-]{1,253}$/;

/** `pod` or `service`, by `namespace/name`. Throws WeftError for anything else. */
export function parseConnectionsQuery(query: URLSearchParams): FlowQuery {
  for (const kind of ['pod', 'service'] as const) {
    const name = query.get(kind);
    if (name !== null && NAME.test(name)) return { [kind]: name };
  }
  throw new WeftError('EINVAL', 'expected pod or service, as NAMESPACE/NAME');
}

/** Connections there are, as `weft flows` tells them: a few of them. */
export function connectionsOf(events: readonly FlowEvent[]): readonly UiConnection[] {
  return events
    .filter(({ kind }) => kind === 'live')
    .slice(0, MOST_CONNECTIONS)
    .map(({ from, to, endpoint, protocol, verdict }) => ({
      ...{ from: nameOf(from), to: nameOf(to), protocol, verdict },
      ...(endpoint === undefined ? {} : { endpoint: nameOf(endpoint) }),
    }));
}

/** The name that tells most, and the port of a place that somebody is reached at. */
function nameOf({ ip, port, pod, service, node }: FlowParty): string {
  if (service !== undefined) return service;
  const name = pod ?? (node === undefined ? ip : `node/${node}`);
  return port === undefined ? name : `${name}:${port}`;
}
