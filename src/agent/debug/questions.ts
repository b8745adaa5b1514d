/** All that people can ask a running agent. */
import { DebugRequestError, parseObject } from './fields.ts';
import type { DebugRequest } from './protocol.ts';
import type { Question } from './question.ts';
import { bgpQuestion } from './questions/bgp.ts';
import { diffQuestion } from './questions/diff.ts';
import { doctorQuestion } from './questions/doctor.ts';
import { explainQuestion } from './questions/explain.ts';
import { flowsQuestion, moreFlowsQuestion } from './questions/flows.ts';
import {
  addressesQuestion,
  endpointsQuestion,
  nodesQuestion,
  podsQuestion,
  serviceQuestion,
  servicesQuestion,
} from './questions/lists.ts';
import { namesQuestion } from './questions/names.ts';
import { pageQuestion } from './questions/page.ts';
import { policyDeniedQuestion, policyListQuestion, policyPodQuestion } from './questions/policy.ts';
import { statusQuestion } from './questions/status.ts';
import { configurationQuestion, logQuestion } from './questions/support.ts';

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
  namesQuestion,
  configurationQuestion,
  logQuestion,
];

export interface Asked {
  readonly question: Question;
  readonly request: DebugRequest;
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
