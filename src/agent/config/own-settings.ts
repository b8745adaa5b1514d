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
  /** Which iptables the modes iptables and ipvs work with; auto: the one that the node uses. */
  readonly iptablesVariant: (typeof IPTABLES_VARIANTS)[number];
  /** TCP connections at once that the agent forwards itself, and those of one Service. */
  readonly userspaceMaxConnections: number;
  readonly userspaceMaxConnectionsPerService: number;
  /** UDP flows at once that it forwards; then the one that was silent for longest ends. */
  readonly userspaceMaxUdpFlows: number;
  readonly userspaceUdpIdleSeconds: number;
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
    describe: 'auto, nft or legacy, for iptables and ipvs [default: auto, what the node uses]',
  },
  {
    name: 'userspace-max-connections',
    key: 'userspaceMaxConnections',
    describe: 'TCP connections at once, for mode userspace [default: 16384]',
  },
  {
    name: 'userspace-max-connections-per-service',
    key: 'userspaceMaxConnectionsPerService',
    describe: 'The same for each Service [default: 4096]',
  },
  {
    name: 'userspace-max-udp-flows',
    key: 'userspaceMaxUdpFlows',
    describe: 'UDP flows at once, for mode userspace [default: 8192]',
  },
  {
    name: 'userspace-udp-idle-seconds',
    key: 'userspaceUdpIdleSeconds',
    describe: 'Silence that ends a UDP flow, for mode userspace [default: 60]',
  },
];

const DEFAULTS: OwnSettings = {
  stateDir: '/var/lib/weft',
  allowMassDeletion: false,
  conntrackKillTCP: false,
  endpointMetrics: false,
  takeOver: true,
  iptablesVariant: 'auto',
  userspaceMaxConnections: 16_384,
  userspaceMaxConnectionsPerService: 4_096,
  userspaceMaxUdpFlows: 8_192,
  userspaceUdpIdleSeconds: 60,
};
/** A descriptor for each side, and no longer than a day. */
const MOST: Readonly<Partial<Record<keyof OwnSettings, number>>> = {
  userspaceMaxConnections: 500_000,
  userspaceMaxConnectionsPerService: 500_000,
  userspaceMaxUdpFlows: 500_000,
  userspaceUdpIdleSeconds: 86_400,
};

/** Where the last known objects are unless configured otherwise. */
export const DEFAULT_STATE_DIR = DEFAULTS.stateDir;

/** Declares the flags of `OwnSettings`. */
export function declareOwnFlags<T>(parser: Argv<T>): Argv<T> {
  for (const { name, key, describe } of OWN_FLAGS) {
    const isSwitch = typeof DEFAULTS[key] === 'boolean';
    if (isSwitch) parser.option(name, { type: 'boolean', describe });
    else parser.option(name, { type: 'string', requiresArg: true, describe });
  }
  return parser;
}

/** The settings that flags give; a repeated flag counts the last time. */
export function readOwnFlags(values: Readonly<Record<string, unknown>>): Partial<OwnSettings> {
  const given = OWN_FLAGS.flatMap(({ name, key }) => {
    const value = values[name];
    if (value === undefined) return [];
    const last: unknown = Array.isArray(value) ? value.at(-1) : value;
    return [[key, settingOf(key, last)]];
  });
  return Object.fromEntries(given);
}

/** A word where a number belongs becomes none, and is refused with what was expected. */
function settingOf(key: keyof OwnSettings, given: unknown): string | number | boolean {
  switch (typeof DEFAULTS[key]) {
    case 'string':
      return String(given);
    case 'number':
      return /^\d+$/.test(String(given)) ? Number(given) : Number.NaN;
    default:
      return given === true;
  }
}

/**
 * Flags over the file's settings over defaults. Throws ConfigError for a relative directory, an
 * unknown variant, and a number out of its range.
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
  for (const { name, key } of OWN_FLAGS) {
    const [value, most] = [settings[key], MOST[key]];
    if (typeof value !== 'number' || most === undefined) continue;
    if (Number.isInteger(value) && value >= 1 && value <= most) continue;
    const source = flags[key] === undefined ? origin([key]) : `--${name}`;
    throw new ConfigError(key, `${source}: expected a whole number from 1 to ${most}`);
  }
  return settings;
}
