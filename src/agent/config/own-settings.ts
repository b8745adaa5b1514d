/** What weft's proxy can do beyond kube-proxy: the same flags for `weft agent` and `weft proxy`. */
import { posix } from 'node:path';
import { isLoopback } from '../../net/ip.ts';
import { ConfigError } from '../../util/errors.ts';
import { DEFAULT_STATE_DIR } from './default-directories.ts';
import type { Origin } from './document.ts';
import { flagValues } from './flag-values.ts';
import { suggestion } from './nearest.ts';
import { parsePageAddress } from './page-address.ts';
import {
  type AnySetting,
  boolean,
  fillTable,
  integer,
  text,
  type ValuesOf,
  word,
} from './setting.ts';

/** A descriptor for each side of a connection or flow. */
const MOST = { min: 1, max: 500_000 } as const;

export const OWN_SETTINGS = {
  logFormat: word(
    ['auto', 'text', 'json'],
    'auto',
    'auto, text or json: lines of the log; auto is text on a terminal and JSON elsewhere',
    { flag: 'log-format' },
  ),
  stateDir: text(DEFAULT_STATE_DIR, 'Last known objects, for a start without the API server', {
    flag: 'state-dir',
  }),
  allowMassDeletion: boolean(
    false,
    'Believe at once a list that drops half or more of the endpoints, Nodes or policies',
    { flag: 'allow-mass-deletion' },
  ),
  conntrackKillTCP: boolean(false, 'Forget TCP connections to endpoints that are gone', {
    flag: 'conntrack-kill-tcp',
  }),
  endpointMetrics: boolean(false, 'Count connections per endpoint too: a time series for each', {
    flag: 'endpoint-metrics',
  }),
  checkIntervalSeconds: integer(60, 'Time between two looks at the node (weft doctor)', {
    ...{ flag: 'check-interval-seconds', min: 10, max: 86_400 },
  }),
  takeOver: boolean(true, "Remove kube-proxy's tables once ours serve", { flag: 'take-over' }),
  iptablesVariant: word(
    ['auto', 'nft', 'legacy'],
    'auto',
    'auto, nft or legacy, for iptables and ipvs',
    { flag: 'iptables-variant', shown: 'auto, what the node uses' },
  ),
  userspaceMaxConnections: integer(16_384, 'TCP connections at once, for mode userspace', {
    ...{ flag: 'userspace-max-connections', ...MOST },
  }),
  userspaceMaxConnectionsPerService: integer(4_096, 'The same for each Service', {
    ...{ flag: 'userspace-max-connections-per-service', ...MOST },
  }),
  userspaceMaxUdpFlows: integer(8_192, 'UDP flows at once, for mode userspace', {
    ...{ flag: 'userspace-max-udp-flows', ...MOST },
  }),
  userspaceUdpIdleSeconds: integer(60, 'Silence that ends a UDP flow, for mode userspace', {
    ...{ flag: 'userspace-udp-idle-seconds', min: 1, max: 86_400 },
  }),
  uiBindAddress: text(
    '',
    'Where the page about this node is: a port of loopback, or ADDRESS:PORT',
    {
      ...{ flag: 'ui-bind-address', shown: 'there is none; weft ui opens one' },
    },
  ),
  uiTokenFile: text('', 'File with the token that the page asks for; needed but on loopback', {
    ...{ flag: 'ui-token-file', shown: 'none' },
  }),
} as const;

export type OwnSettings = ValuesOf<typeof OWN_SETTINGS>;

const ROWS: readonly (readonly [string, AnySetting])[] = Object.entries(OWN_SETTINGS);

/** The settings that flags give. */
export function readOwnFlags(values: Readonly<Record<string, unknown>>): Partial<OwnSettings> {
  // The rows are what the type is made of.
  return flagValues(OWN_SETTINGS, values) as Partial<OwnSettings>;
}

/**
 * Flags over the file's settings over defaults. Throws ConfigError for a relative directory, an
 * unknown variant, a number out of its range, and a page that anybody could read.
 */
export function resolveOwnSettings(
  flags: Partial<OwnSettings>,
  file: Partial<OwnSettings>,
  origin: Origin,
): OwnSettings {
  const given = new Map(Object.entries(flags));
  // The table is what the type is made of.
  const settings = fillTable(OWN_SETTINGS, { ...file, ...flags }) as OwnSettings;
  const values = new Map<string, unknown>(Object.entries(settings));
  const sourceOf = (key: string, row: AnySetting) =>
    given.has(key) ? `--${row.flag}` : origin([key]);
  for (const [key, row] of ROWS) {
    const reason = reasonAgainst(key, row, values.get(key));
    if (reason === undefined) continue;
    throw new ConfigError(key, `${sourceOf(key, row)}: expected ${reason}`);
  }
  const page = parsePageAddress(settings.uiBindAddress);
  if (page !== undefined && !isLoopback(page.host) && settings.uiTokenFile === '') {
    const source = sourceOf('uiBindAddress', OWN_SETTINGS.uiBindAddress);
    const why = 'others than this node may reach it: name a file with a token (uiTokenFile)';
    throw new ConfigError('uiBindAddress', `${source}: ${why}`);
  }
  return settings;
}

function reasonAgainst(key: string, row: AnySetting, value: unknown): string | undefined {
  const { min = 0, max = 0, choices } = row;
  if (row.kind === 'integer') {
    const isWell = Number.isInteger(value) && Number(value) >= min && Number(value) <= max;
    return isWell ? undefined : `a whole number from ${min} to ${max}`;
  }
  if (choices !== undefined && !choices.includes(value)) {
    const words = choices.map(String);
    return `${words.join(', ')}, found "${value}"${suggestion(String(value), words)}`;
  }
  if (key === 'uiBindAddress') return reasonAgainstPage(String(value));
  const isPath = key === 'stateDir' || (key === 'uiTokenFile' && value !== '');
  const isRelative = isPath && !posix.isAbsolute(String(value));
  return isRelative ? `an absolute path, found "${value}"` : undefined;
}

function reasonAgainstPage(text: string): string | undefined {
  if (text === '' || parsePageAddress(text) !== undefined) return undefined;
  return `a port, or an address and a port such as 192.0.2.1:8474, found "${text}"`;
}
