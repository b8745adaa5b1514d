import type { DebugRequest } from '../protocol.ts';
import type { Question } from '../question.ts';
import { missingComponent } from '../subjects.ts';

export interface BgpRequest extends DebugRequest {
  readonly command: 'bgp';
}

/** Answered with a RoutingStatus. */
export const bgpQuestion: Question<BgpRequest> = {
  command: 'bgp',
  parse: () => ({ command: 'bgp' }),
  answer: (_request, { routing }) => {
    if (routing !== undefined) return routing.statusNow();
    throw missingComponent('bgp', 'routing');
  },
};
