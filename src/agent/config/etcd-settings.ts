import { isDeepStrictEqual } from 'node:util';
import { tryParseIP } from '../../net/ip.ts';
import { ConfigError } from '../../util/errors.ts';
import type { Origin } from './document.ts';
import { flagValues } from './flag-values.ts';
import { type AnySetting, fillTable, list, optional, text, type ValuesOf } from './setting.ts';
import { isLoopback, reasonAgainstUrl } from './source-url.ts';

/** The section `etcd` of the agent's file. */
export const ETCD_SETTINGS = {
  endpoints: list([], 'URLs of etcd, which then is where objects come from', { flag: 'etcd' }),
  ca: optional<string>('text', 'PEM file of the authorities that etcd is known by', {
    ...{ flag: 'etcd-ca', shown: 'those that Node.js brings' },
  }),
  cert: optional<string>('text', 'PEM file of the client certificate', { flag: 'etcd-cert' }),
  key: optional<string>('text', "PEM file of the client certificate's key", { flag: 'etcd-key' }),
  user: optional<string>('text', 'User of etcd', { flag: 'etcd-user' }),
  passwordFile: optional<string>('text', "File of the user's password, for its owner alone", {
    flag: 'etcd-password-file',
  }),
  prefix: text('/weft', 'What keys of objects begin with', { flag: 'etcd-prefix' }),
  network: text(
    '/coreos.com/network',
    "With the component fabric: where flannel's network configuration and the nodes' subnet leases are; empty: podCIDRs are those of Nodes below the prefix",
    { flag: 'etcd-network' },
  ),
  nodeAddresses: list([], 'Addresses of this node in its subnet lease, one of each family', {
    flag: 'etcd-node-address',
    shown: 'those of the links of the default routes',
  }),
} as const;

export type EtcdSettings = ValuesOf<typeof ETCD_SETTINGS>;

const KEY_PREFIX = /^(\/[A-Za-z0-9._-]{1,100}){1,10}$/;

export function readEtcdFlags(values: Readonly<Record<string, unknown>>): Partial<EtcdSettings> {
  // The rows are what the type is made of.
  return flagValues(ETCD_SETTINGS, values) as Partial<EtcdSettings>;
}

/**
 * Flags over the file's settings over defaults. Undefined where there is no endpoint. Throws ConfigError.
 */
export function resolveEtcdSettings(
  flags: Partial<EtcdSettings>,
  file: Partial<EtcdSettings>,
  origin: Origin,
): EtcdSettings | undefined {
  // The table is what the type is made of.
  const settings = fillTable(ETCD_SETTINGS, { ...file, ...flags }) as EtcdSettings;
  const rows: Readonly<Record<string, AnySetting>> = ETCD_SETTINGS;
  const refuse = (key: keyof EtcdSettings, reason: string, index?: number) => {
    const path = [
      'etcd',
      key,
      ...(index === undefined || flags[key] !== undefined ? [] : [`${index}`]),
    ];
    const place = flags[key] === undefined ? origin(path) : `--${rows[key]?.flag}`;
    throw new ConfigError(`etcd.${key}`, `${place}: ${reason}`);
  };
  const { endpoints } = settings;
  if (endpoints.length === 0) {
    const given = Object.entries({ ...file, ...flags });
    const lonely = given.find(([key, value]) => !isDeepStrictEqual(value, rows[key]?.fallback));
    if (lonely === undefined) return undefined;
    refuse('endpoints', `etcd.${lonely[0]} is given and no endpoint: give --etcd URL`);
  }
  for (const [index, url] of endpoints.entries()) {
    const reason =
      reasonAgainstUrl(url, 'https://192.168.0.10:2379') ?? reasonAgainst(url, settings);
    if (reason !== undefined) refuse('endpoints', reason, index);
  }
  checkPairs(settings, refuse);
  if (!KEY_PREFIX.test(settings.prefix)) {
    const found = JSON.stringify(settings.prefix.slice(0, 80));
    refuse('prefix', `expected a path such as /weft, without a slash at its end, found ${found}`);
  }
  if (settings.network !== '' && !KEY_PREFIX.test(settings.network)) {
    const found = JSON.stringify(settings.network.slice(0, 80));
    refuse('network', `expected nothing, or a path such as /coreos.com/network, found ${found}`);
  }
  for (const [index, text] of settings.nodeAddresses.entries()) {
    const isAddress = tryParseIP(text) !== undefined;
    if (!isAddress) refuse('nodeAddresses', `expected an IP address, found "${text}"`, index);
  }
  return settings;
}

/** What proves who we are, or whom we trust, is nothing without TLS. */
function reasonAgainst(text: string, { ca, cert, user }: EtcdSettings): string | undefined {
  const url = new URL(text);
  if (url.protocol === 'https:') return undefined;
  if (ca !== undefined || cert !== undefined) {
    return `certificates have no use without TLS: use https://, found "${url.origin}"`;
  }
  if (user === undefined || isLoopback(url)) return undefined;
  return `a password is not sent without TLS: use https://, found "${url.origin}"`;
}

function checkPairs(
  { cert, key, user, passwordFile }: EtcdSettings,
  refuse: (key: keyof EtcdSettings, reason: string) => void,
): void {
  if (cert !== undefined && key === undefined) refuse('cert', 'etcd.key (--etcd-key) is missing');
  if (key !== undefined && cert === undefined) refuse('key', 'etcd.cert (--etcd-cert) is missing');
  if (user !== undefined && passwordFile === undefined) {
    refuse('user', 'etcd.passwordFile (--etcd-password-file) is missing');
  }
  if (passwordFile !== undefined && user === undefined) {
    refuse('passwordFile', 'etcd.user (--etcd-user) is missing');
  }
}
