/** What of the cluster's objects and the configuration is in the way, in words with the cure. Pure. */
import { containsIP } from '../../../net/cidr.ts';
import type { ProxySnapshot } from '../../../proxy/snapshot.ts';
import type { Explanation } from '../../../proxy/verdict/explanation.ts';
import type { Cause } from './cause.ts';
import type { NodeFacts } from './node-facts.ts';

const MOST_NAMED = 3;

/** Why a Service has nobody who answers. */
export function endpointCauses(
  { decisions }: Explanation,
  snapshot: ProxySnapshot,
): readonly Cause[] {
  const none = decisions.find((decision) => decision.kind === 'noEndpoints');
  const frontend = decisions.find((decision) => decision.kind === 'frontend');
  if (none === undefined || frontend === undefined) return [];
  const [service = ''] = frontend.servicePort.split(':');
  const [namespace = '', name = ''] = service.split('/');
  const slices = [...snapshot.slices(service)];
  const endpoints = slices.flatMap((slice) => slice.endpoints);
  const effect = none.answer === 'drop' ? 'drops' : 'refuses';
  const base = { id: 'no-endpoints', effect, direction: 'request' } as const;
  if (endpoints.length === 0) {
    const seen =
      slices.length === 0
        ? `Service ${service} has no EndpointSlice: no pod has the labels of its selector, or it has no selector and nobody made one`
        : `no pod with an address has the labels of the selector of Service ${service}`;
    const selector = `kubectl -n ${namespace} get service ${name} -o jsonpath={.spec.selector}`;
    return [{ ...base, seen, cure: `compare ${selector} with kubectl get pods --show-labels` }];
  }
  const local = endpoints.filter(({ isLocal }) => isLocal).length;
  const ready = endpoints.filter(({ isReady }) => isReady).length;
  if (none.scope === 'node' && local === 0) {
    return [
      {
        ...base,
        seen: `none of the ${endpoints.length} pods of Service ${service} is on this node, and its policy is Local`,
        cure: 'ask a node that has one, or set the policy to Cluster',
      },
    ];
  }
  if (ready > 0 && none.scope === 'cluster') return [portCause(service, base)];
  const named = endpoints.slice(0, MOST_NAMED).map(({ ip, nodeName }) => {
    return nodeName === undefined ? ip : `${ip} on ${nodeName}`;
  });
  const more = endpoints.length > MOST_NAMED ? ` and ${endpoints.length - MOST_NAMED} more` : '';
  return [
    {
      ...base,
      seen: `no pod of Service ${service} is ready: ${named.join(', ')}${more}`,
      cure: `kubectl -n ${namespace} describe pods tells why their readiness probes fail`,
    },
  ];
}

function portCause(service: string, base: Pick<Cause, 'id' | 'effect' | 'direction'>): Cause {
  return {
    ...base,
    seen: `pods of Service ${service} are ready, but none has the port that it names`,
    cure: 'compare targetPort of the Service with the names of ports of the pods',
  };
}

/** A pod of this node that the configuration does not take for one. */
export function originCauses(
  { packet: { source }, decisions }: Explanation,
  { settings, family }: ProxySnapshot,
  { podAt }: NodeFacts,
): readonly Cause[] {
  const pod = podAt(source);
  const origin = decisions.find((decision) => decision.kind === 'origin');
  const detector = settings.layout.localDetector;
  if (pod === undefined || origin?.sign.kind !== 'noMatch') return [];
  if (detector?.kind !== 'cidrs') return [];
  const cidrs = detector.cidrs.filter(
    (cidr) => containsIP(cidr, source) || cidr.includes(':') === (family === 6),
  );
  const words = cidrs.length === 0 ? `has no network of IPv${family}` : `is ${cidrs.join(', ')}`;
  return [
    {
      ...{ id: 'pod-not-local', effect: 'none', direction: 'request' },
      seen: `${source} is pod ${pod.name} of this node, but clusterCIDR ${words}, so that it is taken for a stranger and masqueraded`,
      cure: `set clusterCIDR to a network that has ${source}, and this node's podCIDR`,
    },
  ];
}
