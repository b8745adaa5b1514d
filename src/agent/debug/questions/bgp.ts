import { WeftError } from '../../../util/errors.ts';
import type { DebugRequest } from '../protocol.ts';
import type { Question } from '../question.ts';

export interface BgpRequest extends DebugRequest {
  readonly command: 'bgp';
}

/** Answered with a RoutingStatus. */
export const bgpQuestion: Question<BgpRequest> = {
  command: 'bgp',
  parse: () => ({ command: 'bgp' }),
  answer: (_request, { routing }) => {
    if (routing !== undefined) return routing.statusNow();
    throw new WeftError('ENOTSUP', 'weft bgp: this agent runs without the component routing');
  },
};
