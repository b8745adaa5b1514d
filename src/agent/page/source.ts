import type { FlowQuery } from '../flows/flow-event.ts';
import type { FlowAnswer } from '../flows/flow-reader.ts';
import type { PageQuestion } from './question.ts';
import type { UiExplanation, UiSnapshot } from './snapshot.ts';

/** Where the page's data come from: the agent itself, or `weft ui`, which asks it. */
export interface PageSource {
  snapshot(): Promise<UiSnapshot>;
  /** Throws WeftError for what cannot be answered, in words for people. */
  explain(question: PageQuestion): Promise<UiExplanation>;
  /** Begins to follow flows: what there is, and the name to go on with. */
  openFlows(query: FlowQuery): Promise<FlowAnswer>;
  /** What happened since; asked again within seconds. */
  moreFlows(reader: string): Promise<FlowAnswer>;
  endFlows(reader: string): Promise<void>;
}
