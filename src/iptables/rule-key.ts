import { hash } from 'node:crypto';

const COMMENT = / ?-m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+)/;
/** Said by programs that print what they were not told, or in other places than they were told. */
const UNSAID = / ?(?:-m \w+|--mask [0-9a-f.:]+|--rsource|--mode random)(?= |$)/g;
const PROBABILITY = /--probability ([\d.]+)/;
const BETWEEN_OPTIONS = /(?<!!) (?=(?:! )?--?[a-z])/;

/**
 * What a rule does, in a form in which the rule that was written and the rule that is listed are the
 * same text for all versions of iptables: comments, the order of options and digits of probabilities
 * (the kernel has 31 bits of them) differ.
 */
export function ruleKey(rule: string): string {
  const said = withoutComment(rule)
    .replaceAll(UNSAID, '')
    .replace(PROBABILITY, (_, value: string) => `--probability ${Number(value).toFixed(6)}`);
  return said.trim().split(BETWEEN_OPTIONS).sort().join(' ');
}

/** Comments hold what users chose: nothing is to be read out of them. */
export function withoutComment(rule: string): string {
  return rule.replace(COMMENT, '');
}

/** Stands for the whole content of a chain. */
export function rulesDigest(rules: readonly string[]): string {
  return hash('sha1', rules.map(ruleKey).join('\n'), 'base64').slice(0, 16);
}
