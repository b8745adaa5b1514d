import type { DebugRequest } from '../protocol.ts';
import type { Question } from '../question.ts';

export interface StatusRequest extends DebugRequest {
  readonly command: 'status';
}

/** Answered with an AgentStatus. */
export const statusQuestion: Question<StatusRequest> = {
  command: 'status',
  parse: () => ({ command: 'status' }),
  answer: async (_request, { status, checks }) => {
    await checks.recent();
    return status();
  },
};
