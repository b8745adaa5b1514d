/** Rules as text. Options stand in the order in which iptables-save prints them. */
import { type Cidr, hostCidr } from '../../../net/cidr.ts';
import type { IP } from '../../../net/ip.ts';
import type { LocalDetector } from '../../node-addresses.ts';
import type { Protocol } from '../../service.ts';

export interface RuleParts {
  /** As `-s 10.0.0.0/8` or `! -s 10.0.0.0/8`. */
  readonly source?: string | undefined;
  readonly destination?: string | undefined;
  readonly inInterface?: string | undefined;
  readonly protocol?: Protocol;
  readonly comment?: string | undefined;
  /** As `-m addrtype --dst-type LOCAL`. */
  readonly matches?: readonly string[];
  readonly port?: number;
  /** As `-j ACCEPT`; none for a rule that only says something. */
  readonly target?: string;
}

/** XT_MAX_COMMENT_LEN without its final zero. */
const MAX_COMMENT_LENGTH = 255;
/** Everything else could end the quoted text, or the line. */
const NOT_PLAIN = /[^A-Za-z0-9 ._:;,/<>()[\]@+=-]/g;

/** One rule, without `-A` and the name of its chain. */
export function ruleText(parts: RuleParts): string {
  const { source, destination, inInterface, protocol, comment, matches = [], port, target } = parts;
  const options = [
    source,
    destination,
    inInterface,
    protocol === undefined ? undefined : `-p ${protocol}`,
    comment === undefined ? undefined : `-m comment --comment ${quoted(comment)}`,
    ...matches,
    port === undefined ? undefined : `-m ${protocol} --dport ${port}`,
    target,
  ];
  return options.filter((option) => option !== undefined && option !== '').join(' ');
}

export function fromCidr(cidr: Cidr): string {
  return `-s ${cidr}`;
}

export function toCidr(cidr: Cidr): string {
  return `-d ${cidr}`;
}

export function toIP(ip: IP): string {
  return toCidr(hostCidr(ip));
}

/** What matches traffic of this node's pods, one rule for each of them. */
export function podSources(
  detector: LocalDetector | undefined,
): readonly Pick<RuleParts, 'source' | 'inInterface'>[] {
  switch (detector?.kind) {
    case undefined:
      return [];
    case 'cidrs':
      return detector.cidrs.map((cidr) => ({ source: fromCidr(cidr) }));
    case 'bridge':
      return [{ inInterface: `-i ${interfaceText(detector.name)}` }];
    case 'interfacePrefix':
      return [{ inInterface: `-i ${interfaceText(`${detector.prefix}+`)}` }];
  }
}

/** The opposite of one pod source. */
export function negated({
  source,
  inInterface,
}: Pick<RuleParts, 'source' | 'inInterface'>): Pick<RuleParts, 'source' | 'inInterface'> {
  const not = (option: string | undefined) => (option === undefined ? undefined : `! ${option}`);
  return { source: not(source), inInterface: not(inInterface) };
}

/** A comment may hold a name that somebody chose: what is not plain becomes a question mark. */
function quoted(comment: string): string {
  return `"${comment.slice(0, MAX_COMMENT_LENGTH).replace(NOT_PLAIN, '?')}"`;
}

/** Interface names have neither blanks nor slashes, but quotes are possible. */
function interfaceText(name: string): string {
  return /^[\w.@+-]+$/.test(name) ? name : `"${name.replace(/["\\]/g, '\\$&')}"`;
}
