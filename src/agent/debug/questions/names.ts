/** Names that people may be about to type. */
import { takeInTurns } from '../../../util/turns.ts';
import { DebugRequestError, parseName } from '../fields.ts';
import { namesSteps } from '../lists/known-names.ts';
import { NAMES_KINDS, type NamesKind } from '../lists/names.ts';
import type { DebugRequest } from '../protocol.ts';
import type { Question } from '../question.ts';

export interface NamesRequest extends DebugRequest {
  readonly command: 'names';
  readonly of: NamesKind;
  readonly prefix?: string;
}

/** Answered with the first few names in order. */
export const namesQuestion: Question<NamesRequest> = {
  command: 'names',
  parse: ({ of: kind, prefix }) => {
    const of = NAMES_KINDS.find((name) => name === kind);
    if (of === undefined)
      throw new DebugRequestError(`of: expected one of ${NAMES_KINDS.join(', ')}`);
    return {
      ...{ command: 'names', of },
      ...(prefix === undefined ? {} : { prefix: parseName(prefix, 'prefix') }),
    };
  },
  answer: ({ of, prefix = '' }, subjects) => takeInTurns(namesSteps(of, prefix, subjects)),
};
