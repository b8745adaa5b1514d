/**
 * Words of BIRD's configuration language (its user guide, chapter 3). It knows no escapes inside of
 * strings, so what comes from people is reduced to what cannot end one.
 */
import { createHash } from 'node:crypto';
import type { Community } from './settings.ts';

/** BIRD cuts symbols at 64 characters. */
const HASH_CHARACTERS = 16;
/** The kernel takes no longer one (TCP_MD5SIG_MAXKEYLEN). */
const MOST_PASSWORD_BYTES = 80;
const MOST_DESCRIPTION_CHARACTERS = 100;

/** A name for a protocol: the same for the same node or peer, whatever characters that has. */
export function symbolOf(kind: string, name: string): string {
  const hash = createHash('sha256').update(name).digest('hex');
  return `${kind}_${hash.slice(0, HASH_CHARACTERS)}`;
}

/** A quoted string for people; other characters than those of names become `?`. */
export function described(text: string): string {
  return `"${text.slice(0, MOST_DESCRIPTION_CHARACTERS).replace(/[^A-Za-z0-9 ._/:-]/g, '?')}"`;
}

/** Why a password cannot be written down; undefined where it can. */
export function whyNoPassword(password: string): string | undefined {
  if (password === '') return 'it is empty';
  if (Buffer.byteLength(password) > MOST_PASSWORD_BYTES) {
    return `it is longer than ${MOST_PASSWORD_BYTES} bytes, which is what TCP takes`;
  }
  return /["\p{Cc}]/u.test(password)
    ? 'it has a quotation mark or a control character, which BIRD cannot read'
    : undefined;
}

/** Statements of a filter that add communities to a route. */
export function addCommunities(communities: readonly Community[]): readonly string[] {
  return communities.map((community) => {
    const name = community.length === 2 ? 'bgp_community' : 'bgp_large_community';
    return `${name}.add((${community.join(',')}));`;
  });
}

/** A block with its name before it. */
export function block(head: string, lines: readonly string[]): readonly string[] {
  return [`${head} {`, ...lines.map((line) => `  ${line}`), '}'];
}

/** A block that is a statement inside of another. */
export function inner(head: string, lines: readonly string[]): readonly string[] {
  return [...block(head, lines).slice(0, -1), '};'];
}
