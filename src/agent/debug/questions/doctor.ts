import type { DebugRequest } from '../protocol.ts';
import type { Question } from '../question.ts';

export interface DoctorRequest extends DebugRequest {
  readonly command: 'doctor';
}

/** Answered with Findings, of this moment. */
export const doctorQuestion: Question<DoctorRequest> = {
  command: 'doctor',
  parse: () => ({ command: 'doctor' }),
  answer: (_request, { checks }) => checks.run(),
};
