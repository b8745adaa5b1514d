/** All that people can ask a running agent. */
import { DebugRequestError, parseObject } from './debug/fields.ts';
import type { DebugRequest } from './debug/protocol.ts';
import type { Question } from './debug/question.ts';
import { bgpQuestion } from './debug/questions/bgp.ts';
import { diffQuestion } from './debug/questions/diff.ts';
import { doctorQuestion } from './debug/questions/doctor.ts';
import { explainQuestion } from './debug/questions/explain.ts';
import { endFlowsQuestion, flowsQuestion, moreFlowsQuestion } from './debug/questions/flows.ts';
import {
  addressesQuestion,
  endpointsQuestion,
  nodesQuestion,
  podsQuestion,
  serviceQuestion,
  servicesQuestion,
} from './debug/questions/lists.ts';
import { namesQuestion } from './debug/questions/names.ts';
import {
  policyDeniedQuestion,
  policyListQuestion,
  policyPodQuestion,
} from './debug/questions/policy.ts';
import { statusQuestion } from './debug/questions/status.ts';
import { configurationQuestion, logQuestion } from './debug/questions/support.ts';
import type { DebugSubjects } from './debug/subjects.ts';
import { pageQuestion } from './page/page-question.ts';

const QUESTIONS: readonly Question[] = [
  explainQuestion,
  diffQuestion,
  statusQuestion,
  doctorQuestion,
  pageQuestion,
  policyListQuestion,
  policyPodQuestion,
  policyDeniedQuestion,
  podsQuestion,
  servicesQuestion,
  serviceQuestion,
  endpointsQuestion,
  nodesQuestion,
  addressesQuestion,
  bgpQuestion,
  flowsQuestion,
  moreFlowsQuestion,
  endFlowsQuestion,
  namesQuestion,
  configurationQuestion,
  logQuestion,
];

export interface Asked {
  readonly question: Question;
  readonly request: DebugRequest;
}

/** Answers one line of a client. Throws DebugRequestError for what is no question. */
export async function answerAsked(
  line: string,
  subjects: DebugSubjects,
  signal: AbortSignal,
): Promise<unknown> {
  const { question, request } = parseAsked(line);
  return question.answer(request, subjects, signal);
}

/** Reads one line of a client. Throws DebugRequestError. */
export function parseAsked(line: string): Asked {
  const fields = parseObject(line);
  const question = QUESTIONS.find(({ command }) => command === fields['command']);
  if (question === undefined) {
    const commands = QUESTIONS.map(({ command }) => command).join(', ');
    throw new DebugRequestError(`command: expected one of ${commands}`);
  }
  return { question, request: question.parse(fields) };
}
