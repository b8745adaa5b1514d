import { askAgent } from './ask.ts';
import { readEvents, type ServerEvent } from './events.ts';

/** Some times as long as an agent lets somebody wait for a sign. */
const MOST_SILENCE_MS = 30_000;

/**
 * Follows a stream of the agent's until one of both ends it, or nothing comes any more. Gives the status of the
 * answer; 0 where there was none. Never throws.
 */
export async function follow(
  path: string,
  signal: AbortSignal,
  onEvent: (event: ServerEvent) => void,
): Promise<number> {
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  signal.addEventListener('abort', onAbort);
  let silence: ReturnType<typeof setTimeout> | undefined;
  const onSign = () => {
    clearTimeout(silence);
    silence = setTimeout(onAbort, MOST_SILENCE_MS);
  };
  let found = 0;
  onSign();
  try {
    const { status, body } = await askAgent(path, { signal: stop.signal });
    found = status;
    if (status === 200 && body !== null) await readEvents(body, onEvent, onSign);
    else await body?.cancel();
  } catch {
    // The connection is gone, and with it what it told.
  } finally {
    clearTimeout(silence);
    signal.removeEventListener('abort', onAbort);
    // An event that could not be read ends it too: the agent has few places for those who follow.
    stop.abort();
  }
  return found;
}
