import type { DebugRequest } from '../debug/protocol.ts';
import type { Question } from '../debug/question.ts';
import { agentPage } from './compose.ts';
import type { UiSnapshot } from './snapshot.ts';

export interface PageRequest extends DebugRequest {
  readonly command: 'page';
}

/** What `weft ui` asks for. */
export interface PageAnswer {
  /** Where the agent serves the page itself, as the settings have it; empty where it does not. */
  readonly address: string;
  readonly snapshot: UiSnapshot;
}

/** Answered with a PageAnswer. */
export const pageQuestion: Question<PageRequest> = {
  command: 'page',
  parse: () => ({ command: 'page' }),
  answer: async (_request, subjects): Promise<PageAnswer> => ({
    address: subjects.context.config.own.uiBindAddress,
    snapshot: await agentPage(subjects).snapshot(),
  }),
};
