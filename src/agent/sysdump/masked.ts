/** Secrets out of what is given away: pure. Rather too much is masked than too little. */

const MASK = '***';
/** Of a key in a configuration, an assignment, a header. */
const SECRET_WORDS =
  'password|passwd|passphrase|secret|token|api[-_]?key|private[-_]?key|client[-_]key|auth[-_]?key|credential';
const SECRET_NAME = new RegExp(
  `${SECRET_WORDS}|^auth$|authorization|(^|[-_.])key$|key[-_]?data$`,
  'i',
);
/** Values that are anything at all, by the names that their owners chose. */
const FREE_NAMES = new Set(['env', 'environment']);

/** Bounded repetitions: what is read may be megabytes that somebody else wrote. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  // PEM, also as one line of JSON, also without its end.
  [
    /-----BEGIN ([A-Z ]{0,20}PRIVATE KEY)-----[\s\S]*?(-----END \1-----|$)/g,
    `-----${MASK} $1-----`,
  ],
  // JSON Web Tokens: a header and claims in base64url begin with `{"`.
  [/\beyJ[\w-]{8,}\.[\w-]{8,}(\.[\w-]*)?/g, MASK],
  [/\b(Bearer|Basic)\s{1,8}[\w+/=.~-]{6,}/gi, `$1 ${MASK}`],
  // What a URL has in front of its host (RFC 3986 §3.2.1).
  [/(:\/\/)[^\s/@"'<>]{1,512}@/g, `$1${MASK}@`],
  // Tokens of kubeadm, AWS, GitHub.
  [/\b[a-z0-9]{6}\.[a-z0-9]{16}\b/g, MASK],
  [/\b(AKIA|ASIA)[0-9A-Z]{16}\b/g, MASK],
  [/\bgh[pousr]_\w{20,}/g, MASK],
];
/** Of an assignment, a line of YAML, a member of JSON (also within a string): the value. */
const ASSIGNMENT = new RegExp(
  `((?:${SECRET_WORDS})[\\w.-]{0,64}\\\\?["']?\\s{0,8}[:=]\\s{0,8})` +
    `(\\\\"[^"]*"|"(?:[^"\\\\]|\\\\.)*"|'[^']*'|[^\\s"',;}\\]]+)`,
  'gi',
);

/** A text with what looks like a secret masked. */
export function maskedText(text: string): string {
  const masked = PATTERNS.reduce((all, [pattern, mask]) => all.replace(pattern, mask), text);
  return masked.replace(ASSIGNMENT, (_whole, name: string, value: string) => {
    const quote = /^\\?["']?/.exec(value)?.[0] ?? '';
    return `${name}${quote}${MASK}${quote}`;
  });
}

/** A configuration with the values of keys masked that are secrets by their names. */
export function maskedValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(maskedValue);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => {
      if (FREE_NAMES.has(key.toLowerCase())) return [key, maskedAll(member)];
      return [key, SECRET_NAME.test(key) ? maskedAll(member) : maskedValue(member)];
    }),
  );
}

/** Names and places stay, so that one sees what is set. */
function maskedAll(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(maskedAll);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, member]) => [key, maskedAll(member)]),
    );
  }
  return value === null || typeof value === 'boolean' || value === '' ? value : MASK;
}
