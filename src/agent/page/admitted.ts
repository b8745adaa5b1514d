import type { ServerResponse } from 'node:http';
import type { Clock } from '../../util/clock.ts';
import type { HttpAnswer } from '../http/http.ts';

const LOOK_EVERY_MS = 5_000;

/** An answer that goes on for hours ends soon after whoever asked may not see it any more. */
export function whileAdmitted(
  answer: HttpAnswer,
  isAdmitted: () => boolean,
  clock: Clock,
): HttpAnswer {
  if (!('open' in answer)) return answer;
  return {
    ...answer,
    open: (response) => {
      answer.open(response);
      if (!response.destroyed) watch(response, isAdmitted, clock);
    },
  };
}

function watch(response: ServerResponse, isAdmitted: () => boolean, clock: Clock): void {
  let cancel: (() => void) | undefined;
  const look = () => {
    if (isAdmitted()) cancel = clock.schedule(LOOK_EVERY_MS, look);
    else response.destroy();
  };
  response.once('close', () => cancel?.());
  cancel = clock.schedule(LOOK_EVERY_MS, look);
}
