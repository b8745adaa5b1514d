import { parseName, parseNumber } from '../fields.ts';
import { describePod, listPolicies } from '../policy.ts';
import type { DebugRequest } from '../protocol.ts';
import type { Question } from '../question.ts';
import { requirePolicy } from '../subjects.ts';

export interface PolicyListRequest extends DebugRequest {
  readonly command: 'policy list';
}

export interface PolicyPodRequest extends DebugRequest {
  readonly command: 'policy pod';
  /** `namespace/name`, or a name. */
  readonly pod: string;
}

export interface PolicyDeniedRequest extends DebugRequest {
  readonly command: 'policy denied';
  /** The number of the last one known; 0 for none. */
  readonly after: number;
}

/** Answered with a PolicyListAnswer. */
export const policyListQuestion: Question<PolicyListRequest> = {
  command: 'policy list',
  parse: () => ({ command: 'policy list' }),
  answer: (_request, subjects) => listPolicies(requirePolicy('policy list', subjects)),
};

/** Answered with a PolicyPodAnswer. */
export const policyPodQuestion: Question<PolicyPodRequest> = {
  command: 'policy pod',
  parse: (fields) => ({ command: 'policy pod', pod: parseName(fields['pod'], 'pod') }),
  answer: ({ pod }, subjects) => describePod(pod, requirePolicy('policy pod', subjects)),
};

/** Answered with ToldDenials, oldest first. */
export const policyDeniedQuestion: Question<PolicyDeniedRequest> = {
  command: 'policy denied',
  parse: (fields) => ({
    command: 'policy denied',
    after: parseNumber(fields['after'] ?? 0, 'after'),
  }),
  answer: ({ after }, subjects) => requirePolicy('policy denied', subjects).denied(after),
};
