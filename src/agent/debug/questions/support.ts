/** What a support bundle has of the agent besides the answers to other questions. */
import { shownConfig } from '../../http/configz.ts';
import type { DebugRequest } from '../protocol.ts';
import type { Question } from '../question.ts';

export interface ConfigurationRequest extends DebugRequest {
  readonly command: 'configuration';
}

export interface LogRequest extends DebugRequest {
  readonly command: 'log';
}

/** Answered with the settings in effect, as `/configz` has them. */
export const configurationQuestion: Question<ConfigurationRequest> = {
  command: 'configuration',
  parse: () => ({ command: 'configuration' }),
  answer: (_request, { context }) => shownConfig(context.live.current),
};

/** Answered with the last lines of the log. */
export const logQuestion: Question<LogRequest> = {
  command: 'log',
  parse: () => ({ command: 'log' }),
  answer: (_request, { context }) => context.recentLog(),
};
