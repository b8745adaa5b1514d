/** What weft's proxy can do beyond kube-proxy: the same flags for `weft agent` and `weft proxy`. */
import { posix } from 'node:path';
import type { Argv } from 'yargs';
import { ConfigError } from '../../util/errors.ts';
import type { Origin } from './document.ts';
import { suggestion } from './nearest.ts';

const IPTABLES_VARIANTS = ['auto', 'nft', 'legacy'] as const;

export interface OwnSettings {
  /** Where the last known objects are kept for a start without the API server. */
  readonly stateDir: string;
  /** A list that drops more than half of the endpoints is believed at once. */
  readonly allowMassDeletion: boolean;
  /** TCP connections to endpoints that are gone are forgotten, as UDP's are. */
  readonly conntrackKillTCP: boolean;
  /** Connections are counted per endpoint too, with a time series for each that is used. */
  readonly endpointMetrics: boolean;
  /** kube-proxy's tables are removed once ours serve. */
  readonly takeOver: boolean;
  /** Which iptables the mode iptables works with; auto: the one that the node uses. */
  readonly iptablesVariant: (typeof IPTABLES_VARIANTS)[number];
}

/** One flag for each setting, with the setting's name in the configuration file. */
const OWN_FLAGS: readonly {
  readonly name: string;
  readonly key: keyof OwnSettings;
  readonly describe: string;
}[] = [
  {
    name: 'state-dir',
    key: 'stateDir',
    describe: 'Last known objects, for a start without the API server [default: /var/lib/weft]',
  },
  {
    name: 'allow-mass-deletion',
    key: 'allowMassDeletion',
    describe: 'Believe at once a list that drops more than half of the endpoints',
  },
  {
    name: 'conntrack-kill-tcp',
    key: 'conntrackKillTCP',
    describe: 'Forget TCP connections to endpoints that are gone',
  },
  {
    name: 'endpoint-metrics',
    key: 'endpointMetrics',
    describe: 'Count connections per endpoint too: a time series for each',
  },
  {
    name: 'take-over',
    key: 'takeOver',
    describe: "Remove kube-proxy's tables once ours serve [default: true]",
  },
  {
    name: 'iptables-variant',
    key: 'iptablesVariant',
    describe: 'auto, nft or legacy, for mode iptables [default: auto, what the node uses]',
  },
];

const DEFAULTS: OwnSettings = {
  stateDir: '/var/lib/weft',
  allowMassDeletion: false,
  conntrackKillTCP: false,
  endpointMetrics: false,
  takeOver: true,
  iptablesVariant: 'auto',
};

/** Where the last known objects are unless configured otherwise. */
export const DEFAULT_STATE_DIR = DEFAULTS.stateDir;

/** Declares the flags of `OwnSettings`. */
export function declareOwnFlags<T>(parser: Argv<T>): Argv<T> {
  for (const { name, key, describe } of OWN_FLAGS) {
    const isText = typeof DEFAULTS[key] === 'string';
    if (isText) parser.option(name, { type: 'string', requiresArg: true, describe });
    else parser.option(name, { type: 'boolean', describe });
  }
  return parser;
}

/** The settings that flags give; a repeated flag counts the last time. */
export function readOwnFlags(values: Readonly<Record<string, unknown>>): Partial<OwnSettings> {
  const given = OWN_FLAGS.flatMap(({ name, key }) => {
    const value = values[name];
    if (value === undefined) return [];
    const last: unknown = Array.isArray(value) ? value.at(-1) : value;
    return [[key, typeof DEFAULTS[key] === 'string' ? String(last) : last === true]];
  });
  return Object.fromEntries(given);
}

/**
 * Flags over the file's settings over defaults. Throws ConfigError for a relative directory and an
 * unknown variant.
 */
export function resolveOwnSettings(
  flags: Partial<OwnSettings>,
  file: Partial<OwnSettings>,
  origin: Origin,
): OwnSettings {
  const settings = { ...DEFAULTS };
  for (const { key } of OWN_FLAGS) {
    const value = flags[key] ?? file[key];
    if (value !== undefined) Object.assign(settings, { [key]: value });
  }
  const { stateDir, iptablesVariant } = settings;
  if (!posix.isAbsolute(stateDir)) {
    const source = flags.stateDir === undefined ? origin(['stateDir']) : '--state-dir';
    throw new ConfigError('stateDir', `${source}: expected an absolute path, found "${stateDir}"`);
  }
  if (!IPTABLES_VARIANTS.includes(iptablesVariant)) {
    const hint = suggestion(iptablesVariant, IPTABLES_VARIANTS);
    const reason = `expected ${IPTABLES_VARIANTS.join(', ')}, found "${iptablesVariant}"${hint}`;
    throw new ConfigError('iptablesVariant', `--iptables-variant: ${reason}`);
  }
  return settings;
}
