import type { SignatureCounts } from './password-failures.ts';

/** Of a session, as far as it tells what is wrong. */
export interface SessionSigns {
  readonly state: string;
  /** In BIRD's words. */
  readonly lastError: string;
  readonly hasPassword: boolean;
}

/** BIRD's words for what is usual, with what helps. */
const CURES: readonly (readonly [RegExp, string])[] = [
  [/Bad peer AS/i, 'its AS is another one: correct asn (or localASN) here or there'],
  [/Connection refused/i, 'nobody listens there: is BGP running, and this node configured on it?'],
  [/Authentication|MD5|not permitted/i, 'the passwords differ'],
  [/No route to host|unreachable/i, 'there is no way to it: check the link and address'],
  [/Hold timer expired/i, 'it has been silent: check the link, and the password of both sides'],
  [/Invalid next hop/i, 'it tells of routes by a router that is on no link of this node'],
];
/** States in which TCP does not get through. */
const UNANSWERED: ReadonlySet<string> = new Set(['Connect', 'Active']);
const SILENT =
  'nobody answers at its TCP port 179: is BGP running, this node configured on it, the way open?';

/** What helps a session that is not established; empty where nobody knows. */
export function cureOf(
  { state, lastError, hasPassword }: SessionSigns,
  { TCPMD5Failure, TCPMD5NotFound, TCPMD5Unexpected }: SignatureCounts,
): string {
  if (state === 'Established') return '';
  if (UNANSWERED.has(state)) {
    // Of one whose password does not fit BIRD knows nothing.
    if (hasPassword && TCPMD5Failure > 0) return 'segments of another password come: they differ';
    if (hasPassword && TCPMD5NotFound > 0) return 'segments without a password come: set it there';
    if (!hasPassword && TCPMD5Unexpected > 0)
      return 'segments with a password come: set passwordFile';
  }
  const known = CURES.find(([pattern]) => pattern.test(lastError))?.[1];
  if (known !== undefined) return known;
  return UNANSWERED.has(state) ? SILENT : '';
}
