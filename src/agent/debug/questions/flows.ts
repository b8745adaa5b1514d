import type { FlowQuery } from '../../flows/flow-event.ts';
import { asObject, type Fields, parseName, parseSwitch } from '../fields.ts';
import type { DebugRequest } from '../protocol.ts';
import type { Question } from '../question.ts';

/** Begins to read flows. */
export interface FlowsRequest extends DebugRequest {
  readonly command: 'flows';
  readonly query: FlowQuery;
  readonly isFollowed: boolean;
}

/** Reads on. */
export interface MoreFlowsRequest extends DebugRequest {
  readonly command: 'more flows';
  readonly reader: string;
}

/** Has read enough, and does not wait until it is forgotten. */
export interface EndFlowsRequest extends DebugRequest {
  readonly command: 'end flows';
  readonly reader: string;
}

/** Answered with a FlowAnswer, which names the reader. */
export const flowsQuestion: Question<FlowsRequest> = {
  command: 'flows',
  parse: (fields) => ({
    command: 'flows',
    query: parseQuery(asObject(fields['query'] ?? {}, 'query')),
    isFollowed: parseSwitch(fields['isFollowed'], 'isFollowed') ?? false,
  }),
  answer: ({ query, isFollowed }, { flows }) => flows.readers.open({ query, isFollowed }),
};

/** Answered with a FlowAnswer. */
export const moreFlowsQuestion: Question<MoreFlowsRequest> = {
  command: 'more flows',
  parse: (fields) => ({
    command: 'more flows',
    reader: parseName(fields['reader'], 'reader'),
  }),
  answer: ({ reader }, { flows }) => flows.readers.next(reader),
};

/** Answered with nothing. */
export const endFlowsQuestion: Question<EndFlowsRequest> = {
  command: 'end flows',
  parse: (fields) => ({ command: 'end flows', reader: parseName(fields['reader'], 'reader') }),
  answer: async ({ reader }, { flows }) => {
    flows.readers.end(reader);
    return {};
  },
};

function parseQuery(fields: Fields): FlowQuery {
  const name = (field: 'pod' | 'service' | 'namespace') =>
    fields[field] === undefined ? {} : { [field]: parseName(fields[field], `query.${field}`) };
  const isNode = parseSwitch(fields['isNode'], 'isNode');
  const isDropped = parseSwitch(fields['isDropped'], 'isDropped');
  return {
    ...{ ...name('pod'), ...name('service'), ...name('namespace') },
    ...(isNode === undefined ? {} : { isNode }),
    ...(isDropped === undefined ? {} : { isDropped }),
  };
}
