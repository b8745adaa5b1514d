/** Says of causes what others know better: who fills the connection table, what a Service selects. Pure. */
import type { Finding } from '../../status/finding.ts';
import type { ExplainAnswer } from '../explain.ts';
import type { Selection } from './api-lookup.ts';
import type { Cause, CauseId } from './cause.ts';

/** The Service, `namespace/name`, that nobody answers for because it has no endpoints at all. */
export function serviceWithoutPods({ explanation, causes }: ExplainAnswer): string | undefined {
  const isWithout = causes.some(({ id, seen }) => id === 'no-endpoints' && /selector/.test(seen));
  const frontend = explanation.decisions.find((decision) => decision.kind === 'frontend');
  return isWithout ? frontend?.servicePort.split(':')[0] : undefined;
}

export function withSelection(answer: ExplainAnswer, selection: Selection): ExplainAnswer {
  const service = serviceWithoutPods(answer) ?? '';
  const [namespace = ''] = service.split('/');
  const { selector, isMatched } = selection;
  const kubectl = `kubectl -n ${namespace} get pods`;
  return withCauses(answer, 'no-endpoints', (cause) => {
    if (selector === '') {
      const seen = `Service ${service} has no selector, and nobody has made an EndpointSlice with addresses for it`;
      return { ...cause, seen, cure: 'give it a selector, or an EndpointSlice' };
    }
    return isMatched
      ? {
          ...cause,
          seen: `pods with the labels of Service ${service} (${selector}) have no address yet`,
          cure: `${kubectl} -l ${selector} -o wide tells why`,
        }
      : {
          ...cause,
          seen: `selector ${selector} of Service ${service} matches no pod`,
          cure: `${kubectl} --show-labels tells which labels there are`,
        };
  });
}

/** `findings` are those of this node's checks. */
export function withFindings(answer: ExplainAnswer, findings: readonly Finding[]): ExplainAnswer {
  const found = findings.find(({ check, level }) => check === 'conntrack-table' && level !== 'ok');
  if (found === undefined || found.level === 'unknown') return answer;
  const { seen, cure } = found;
  return withCauses(answer, 'conntrack-full', (cause) => ({ ...cause, seen, cure }));
}

export function hasCause({ causes, live }: ExplainAnswer, id: CauseId): boolean {
  return [...causes, ...(live?.causes ?? [])].some((cause) => cause.id === id);
}

function withCauses(
  answer: ExplainAnswer,
  id: CauseId,
  better: (cause: Cause) => Cause,
): ExplainAnswer {
  const change = (causes: readonly Cause[]) =>
    causes.map((cause) => (cause.id === id ? better(cause) : cause));
  const { live } = answer;
  return {
    ...answer,
    causes: change(answer.causes),
    ...(live ? { live: { ...live, causes: change(live.causes) } } : {}),
  };
}
