import type { Clock } from '../../util/clock.ts';
import { fileFailure } from '../../util/errno.ts';
import { ConfigError } from '../../util/errors.ts';
import { readBeginning } from '../../util/files.ts';

const FEWEST_CHARACTERS = 16;
const MOST_BYTES = 4_096;
/** A token that was replaced is taken over within so long. */
const READ_AGAIN_MS = 5_000;

/**
 * Reads the token from its file, again when it may have been replaced. Throws ConfigError for a file that
 * cannot be read, is too short to be secret or holds white space inside.
 */
export function tokenFile(path: string, clock: Clock): () => string {
  let known: { readonly token: string; readonly readAt: number } | undefined;
  return () => {
    if (known === undefined || clock.elapsed() - known.readAt > READ_AGAIN_MS) {
      known = { token: readToken(path), readAt: clock.elapsed() };
    }
    return known.token;
  };
}

function readToken(path: string): string {
  const refuse = (reason: string, cause?: unknown) =>
    new ConfigError('uiTokenFile', `uiTokenFile ${path}: ${reason}`, { cause });
  let token: string;
  try {
    const { text } = readBeginning(path, MOST_BYTES + 1);
    if (Buffer.byteLength(text) > MOST_BYTES) throw refuse(`more than ${MOST_BYTES} bytes`);
    token = text.trim();
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    throw refuse(fileFailure(cause), cause);
  }
  if (/\s/.test(token)) throw refuse('expected one word');
  if (token.length >= FEWEST_CHARACTERS) return token;
  throw refuse(`expected at least ${FEWEST_CHARACTERS} characters: openssl rand -hex 24`);
}
