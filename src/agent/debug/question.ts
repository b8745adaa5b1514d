import type { Fields } from './fields.ts';
import type { DebugRequest } from './protocol.ts';
import type { DebugSubjects } from './subjects.ts';

/** Something that people ask a running agent. */
export interface Question<Request extends DebugRequest = DebugRequest> {
  readonly command: Request['command'];
  /** Throws DebugRequestError. */
  parse(fields: Fields): Request;
  /**
   * The answer, which becomes JSON. Throws what the asker is told. `signal` is aborted when nobody
   * waits for it any more.
   */
  answer(request: Request, subjects: DebugSubjects, signal: AbortSignal): unknown;
}
