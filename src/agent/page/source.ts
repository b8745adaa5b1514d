import type { FlowQuery } from '../flows/flow-event.ts';
import type { PageQuestion } from './question.ts';
import type { UiConnection, UiExplanation, UiSnapshot } from './snapshot.ts';

/** Where the page's data come from: the agent itself, or `weft ui`, which asks it. */
export interface PageSource {
  snapshot(): Promise<UiSnapshot>;
  /** Throws WeftError for what cannot be answered, in words for people. */
  explain(question: PageQuestion): Promise<UiExplanation>;
  connections(query: FlowQuery): Promise<readonly UiConnection[]>;
}
