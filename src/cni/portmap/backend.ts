/** Which back end a configuration asks for, and what it says of the rules there. */
import type { IPFamily } from '../../net/ip.ts';
import { ConfigError } from '../../util/errors.ts';
import { isChainName } from '../firewall/config.ts';
import type { IptablesOptions } from '../host-ports.ts';
import { isJsonObject, memberOf } from '../protocol/json.ts';
import { conditionText, parseCondition } from './conditions.ts';

type Members = Readonly<Record<string, unknown>>;

const FAMILIES: readonly IPFamily[] = [4, 6];
const DEFAULT_MARK_BIT = 13;
const HIGHEST_MARK_BIT = 31;
const CONDITION_KEYS: Readonly<Record<IPFamily, string>> = { 4: 'conditionsV4', 6: 'conditionsV6' };

/** What says what to do with a packet, where it goes, or to which rules: a condition says neither. */
const NO_MATCHES: readonly string[] = [
  ...['-j', '--jump', '-g', '--goto', '-t', '--table', '-A', '--append', '-I', '--insert'],
  ...['-D', '--delete', '-R', '--replace', '-F', '--flush', '-X', '--delete-chain', '-N'],
  ...[
    '--new-chain',
    '-P',
    '--policy',
    '-E',
    '--rename-chain',
    '-L',
    '--list',
    '-S',
    '-Z',
    '--zero',
  ],
  ...['--list-rules', '-C', '--check', '-c', '--set-counters', '-4', '-6', '--ipv4', '--ipv6'],
];

/** What a packet must meet before its port is looked at, by family; empty where it need not. */
export type ConditionTexts = Readonly<Record<IPFamily, string>>;

export interface Backend {
  readonly conditions: ConditionTexts;
  /** Absent: our own table. */
  readonly iptables?: IptablesOptions;
}

/**
 * iptables where `backend`, `externalSetMarkChain` or the syntax of conditions says so. Throws
 * ConfigError (CNI code 7), also for conditions that cannot be expressed.
 */
export function parseBackend(config: Members): Backend {
  const backend = parseName(config);
  const { setMarkChain, markBit } = parseMark(config);
  const words = { 4: parseConditions(config, 4), 6: parseConditions(config, 6) };
  const syntax = syntaxOf(words);
  const conflict = setMarkChain === undefined ? 'conditionsV4/V6' : 'externalSetMarkChain';
  if (backend === 'nftables' && (setMarkChain !== undefined || syntax === 'iptables')) {
    throw new ConfigError('backend', `"nftables" does not go with ${conflict} of iptables`);
  }
  const isIptables = backend === 'iptables' || setMarkChain !== undefined;
  if (isIptables && syntax === 'nft') {
    const key = words[4].length > 0 ? CONDITION_KEYS[4] : CONDITION_KEYS[6];
    const cause = backend === 'iptables' ? 'backend "iptables"' : 'externalSetMarkChain';
    throw new ConfigError(key, `is in the syntax of nft, which ${cause} does not know`);
  }
  const conditions = { 4: conditionText(words[4]), 6: conditionText(words[6]) };
  if (isIptables || syntax === 'iptables') {
    const mark = setMarkChain === undefined ? {} : { setMarkChain };
    return { conditions, iptables: { ...mark, markBit, conditions: words } };
  }
  for (const family of FAMILIES) {
    parseCondition(conditions[family], { key: CONDITION_KEYS[family], family });
  }
  return { conditions };
}

/** Undefined without conditions. Both families are in the same one. */
function syntaxOf(words: IptablesOptions['conditions']): 'iptables' | 'nft' | undefined {
  const found = FAMILIES.flatMap((family) => {
    const [first] = words[family];
    return first === undefined
      ? []
      : [/^[-!]/.test(first) ? ('iptables' as const) : ('nft' as const)];
  });
  if (new Set(found).size < 2) return found[0];
  throw new ConfigError(
    CONDITION_KEYS[6],
    `is in the syntax of ${found[1]}, ${CONDITION_KEYS[4]} in that of ${found[0]}`,
  );
}

/** Whether host ports of this call become rules of iptables, as far as that can be made out. */
export function usesPrograms(config: Members): boolean {
  const type = memberOf(config, 'type') ?? '';
  if (type !== 'portmap' && type !== 'weft' && type !== '') return false;
  const runtimeConfig = memberOf(config, 'runtimeConfig');
  const mappings = isJsonObject(runtimeConfig) ? memberOf(runtimeConfig, 'portMappings') : [];
  if (!Array.isArray(mappings) || mappings.length === 0) return false;
  try {
    return parseBackend(config).iptables !== undefined;
  } catch {
    // Whoever is asked says what is wrong.
    return false;
  }
}

function parseName(config: Members): 'iptables' | 'nftables' | undefined {
  const backend = memberOf(config, 'backend') ?? '';
  if (backend === '') return undefined;
  if (backend === 'iptables' || backend === 'nftables') return backend;
  throw new ConfigError('backend', `unrecognized backend ${JSON.stringify(backend)}`);
}

/** Without iptables no packet is marked, so a bit alone changes nothing. */
function parseMark(config: Members): Pick<IptablesOptions, 'setMarkChain' | 'markBit'> {
  const bit = memberOf(config, 'markMasqBit');
  const chain = memberOf(config, 'externalSetMarkChain') ?? '';
  if (bit !== undefined && chain !== '') {
    throw new ConfigError('markMasqBit', 'Cannot specify externalSetMarkChain and markMasqBit');
  }
  const markBit = bit ?? DEFAULT_MARK_BIT;
  const isBit = typeof markBit === 'number' && Number.isInteger(markBit) && markBit >= 0;
  if (!isBit || markBit > HIGHEST_MARK_BIT) {
    throw new ConfigError('markMasqBit', `must be 0 to ${HIGHEST_MARK_BIT}`);
  }
  if (chain === '') return { markBit };
  if (typeof chain === 'string' && isChainName(chain)) return { markBit, setMarkChain: chain };
  throw new ConfigError('externalSetMarkChain', `invalid chain name ${JSON.stringify(chain)}`);
}

/** Words that reach a rule are quoted there; a line's end cannot be. */
function parseConditions(config: Members, family: IPFamily): readonly string[] {
  const key = CONDITION_KEYS[family];
  const words = memberOf(config, key) ?? [];
  if (!Array.isArray(words)) throw new ConfigError(key, 'must be an array of strings');
  return words.map((word: unknown, index) => {
    if (typeof word !== 'string' || /\p{Cc}/u.test(word)) {
      throw new ConfigError(`${key}[${index}]`, 'must be a string without control characters');
    }
    if (!NO_MATCHES.includes(word.split('=')[0] ?? '')) return word;
    throw new ConfigError(`${key}[${index}]`, `${JSON.stringify(word)} is no condition`);
  });
}
