import { CNI_ERROR_CODE, CniError } from './errors.ts';

/** What CNI_ARGS may carry for us. */
export interface CniArgs {
  readonly ip?: string;
  readonly mac?: string;
  /** For type static: comma-separated. */
  readonly gateway?: string;
  /** K8S_POD_NAMESPACE, K8S_POD_NAME and K8S_POD_UID, for messages and comments. */
  readonly podNamespace?: string;
  readonly podName?: string;
  readonly podUid?: string;
}

const KNOWN_KEYS: ReadonlyMap<string, keyof CniArgs | undefined> = new Map<
  string,
  keyof CniArgs | undefined
>([
  ['IgnoreUnknown', undefined],
  ['IP', 'ip'],
  ['MAC', 'mac'],
  ['GATEWAY', 'gateway'],
  ['K8S_POD_NAMESPACE', 'podNamespace'],
  ['K8S_POD_NAME', 'podName'],
  ['K8S_POD_UID', 'podUid'],
]);

/**
 * Splits `KEY=value;KEY=value`. Keys are case-sensitive; unknown ones are an error (CNI code 4)
 * unless IgnoreUnknown is true, and so is a pair without exactly one `=`. Follows libcni LoadArgs.
 */
export function parseCniArgs(text: string): CniArgs {
  if (text === '') return {};
  const pairs = text.split(';').map(parsePair);
  const ignoresUnknown = pairs.some(([key, value]) => key === 'IgnoreUnknown' && parseBool(value));
  const unknown = pairs.filter(([key]) => !KNOWN_KEYS.has(key)).map(([key]) => key);
  if (unknown.length > 0 && !ignoresUnknown) {
    throw argsError(`unknown args ["${unknown.join('" "')}"]`);
  }
  const entries = pairs.flatMap(([key, value]): [string, string][] => {
    const field = KNOWN_KEYS.get(key);
    return field === undefined || value === '' ? [] : [[field, value]];
  });
  return Object.fromEntries(entries);
}

/** Which pod a call is about, for logs: from CNI_ARGS in any state, without judging them. */
export function podOf(text: string): Pick<CniArgs, 'podNamespace' | 'podName' | 'podUid'> {
  const values = new Map(
    text.split(';').map((pair) => {
      const equals = pair.indexOf('=');
      return [pair.slice(0, Math.max(equals, 0)), pair.slice(equals + 1)] as const;
    }),
  );
  const podNamespace = values.get('K8S_POD_NAMESPACE');
  const podName = values.get('K8S_POD_NAME');
  const podUid = values.get('K8S_POD_UID');
  return {
    ...(podNamespace === undefined ? {} : { podNamespace }),
    ...(podName === undefined ? {} : { podName }),
    ...(podUid === undefined ? {} : { podUid }),
  };
}

function parsePair(pair: string): readonly [string, string] {
  const [key, value, ...rest] = pair.split('=');
  if (key === undefined || value === undefined || rest.length > 0) {
    throw argsError(`invalid pair ${JSON.stringify(pair)}`);
  }
  return [key, value];
}

function parseBool(text: string): boolean {
  const lower = text.toLowerCase();
  if (lower === '1' || lower === 'true') return true;
  if (lower === '0' || lower === 'false') return false;
  throw argsError(`error parsing value of pair "IgnoreUnknown=${text}"`);
}

function argsError(reason: string): CniError {
  return new CniError(CNI_ERROR_CODE.invalidEnvironment, `CNI_ARGS: ARGS: ${reason}`);
}
