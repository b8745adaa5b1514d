/** What the node's kernel and files say, read without an agent. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { withRtnl } from '../../kernel/rtnl.ts';
import type { NodeRtnl } from '../../kernel/types.ts';
import { namesIn, readIfReadable } from '../../util/files.ts';
import { parseJson, prettyJson } from '../../util/json.ts';
import { maskedValue } from './masked.ts';
import { nftText } from './own-tables.ts';
import type { Piece } from './piece.ts';
import { type Program, programText } from './program.ts';

export interface NodePlaces {
  readonly runDir: string;
  readonly cniConfDir: string;
  readonly versions: Readonly<Record<string, string>>;
}

const PROC_FILES: readonly string[] = [
  ...['net/dev', 'net/snmp', 'net/snmp6', 'net/netstat', 'net/sockstat', 'net/softnet_stat'],
  ...['net/netlink', 'net/stat/nf_conntrack', 'net/stat/arp_cache', 'net/stat/ndisc_cache'],
  ...['net/nf_conntrack_expect', 'net/ip_tables_names', 'net/ip6_tables_names'],
  ...['meminfo', 'loadavg', 'pressure/cpu', 'pressure/memory', 'modules', 'mounts'],
];
/** Each of them whole; of `conf` those keys that matter. */
const SYSCTL_DIRECTORIES: readonly string[] = [
  ...['net/ipv4', 'net/ipv6', 'net/netfilter', 'net/bridge', 'net/core', 'net/ipv4/vs'],
  ...['net/ipv4/neigh/default', 'net/ipv6/neigh/default', 'fs/inotify'],
];
const LINK_KEYS: readonly string[] = [
  ...['forwarding', 'rp_filter', 'arp_filter', 'arp_ignore', 'proxy_arp', 'accept_local'],
  ...['route_localnet', 'send_redirects', 'accept_redirects', 'accept_ra', 'accept_dad'],
  ...['disable_ipv6', 'mtu', 'proxy_ndp', 'src_valid_mark', 'log_martians'],
];
const SYSCTL_FILES: readonly string[] = ['fs/file-max', 'fs/file-nr', 'kernel/pid_max'];
/** Keys that the kernel makes addresses and cookies with (ip-sysctl.rst). */
const SECRET_SYSCTL = /secret|fastopen_key/;
const MOST_LINKS = 1_000;

const ip = (...args: readonly string[]): Program => ({ name: 'ip', args });
/** Where they are installed; a container image need not have them. */
const PROGRAMS: readonly (readonly [file: string, program: Program])[] = [
  ['rules/iptables-save.txt', { name: 'iptables-save', args: ['-c'] }],
  ['rules/ip6tables-save.txt', { name: 'ip6tables-save', args: ['-c'] }],
  ['rules/iptables-legacy-save.txt', { name: 'iptables-legacy-save', args: ['-c'] }],
  ['rules/ip6tables-legacy-save.txt', { name: 'ip6tables-legacy-save', args: ['-c'] }],
  ['rules/ipset.txt', { name: 'ipset', args: ['list', '-terse'] }],
  ['rules/ipvs.txt', { name: 'ipvsadm', args: ['-Ln'] }],
  ['network/ip-rule.json', ip('-json', 'rule')],
  ['network/ip-6-rule.json', ip('-json', '-6', 'rule')],
  ['network/ip-route-all.json', ip('-json', 'route', 'show', 'table', 'all')],
  ['network/ip-6-route-all.json', ip('-json', '-6', 'route', 'show', 'table', 'all')],
  ['network/ip-link.json', ip('-json', '-details', '-statistics', 'link')],
  ['network/conntrack-statistics.txt', { name: 'conntrack', args: ['-S'] }],
  ['versions/nft.txt', { name: 'nft', args: ['--version'] }],
  ['versions/iptables.txt', { name: 'iptables', args: ['--version'] }],
];

export function nodePieces({ runDir, cniConfDir, versions }: NodePlaces): readonly Piece[] {
  const network = (file: string, read: (rtnl: NodeRtnl) => unknown): Piece => ({
    name: `network/${file}.json`,
    read: () => withRtnl((rtnl) => prettyJson(read(rtnl))),
  });
  return [
    { name: 'versions/versions.json', read: () => prettyJson({ ...versions, kernel: release() }) },
    { name: 'versions/os-release.txt', read: () => readIfReadable('/etc/os-release') },
    network('links', (rtnl) => rtnl.links()),
    network('addresses', (rtnl) => rtnl.addresses()),
    network('routes', (rtnl) => ({ ipv4: rtnl.routes(4), ipv6: rtnl.routes(6) })),
    network('neighbours', neighboursOf),
    { name: 'rules/nft.json', read: nftText },
    ...PROGRAMS.map(([name, program]) => ({
      name,
      read: (signal: AbortSignal) => programText(program, signal),
    })),
    { name: 'node/sysctls.txt', read: sysctlsText },
    ...PROC_FILES.map((path) => ({
      name: `node/proc/${path}.txt`,
      read: () => readIfReadable(join('/proc', path)),
    })),
    { name: 'node/run-directory.txt', read: () => directoryText(runDir) },
    ...namesIn(cniConfDir).map((file) => ({
      name: `cni/${file.replaceAll(/[^\w.-]/g, '_')}`,
      read: () => cniConfText(join(cniConfDir, file)),
    })),
  ];
}

function neighboursOf(rtnl: NodeRtnl): unknown {
  return rtnl
    .links()
    .slice(0, MOST_LINKS)
    .flatMap(({ index }) => rtnl.neighbours(index));
}

function sysctlsText(): string {
  const root = '/proc/sys';
  const links = ['net/ipv4/conf', 'net/ipv6/conf'].flatMap((directory) =>
    namesIn(join(root, directory))
      .slice(0, MOST_LINKS)
      .flatMap((link) => LINK_KEYS.map((key) => `${directory}/${link}/${key}`)),
  );
  const directories = SYSCTL_DIRECTORIES.flatMap((directory) =>
    namesIn(join(root, directory)).map((name) => `${directory}/${name}`),
  );
  return [...directories, ...links, ...SYSCTL_FILES]
    .filter((path) => !SECRET_SYSCTL.test(path))
    .flatMap((path) => {
      const value = readIfReadable(join(root, path));
      return value === undefined ? [] : [`${path} = ${value.trim().replaceAll(/\s+/g, ' ')}\n`];
    })
    .join('');
}

/** Names, sizes and times, not what is in them. */
function directoryText(directory: string): string | undefined {
  const lines = readdirSync(directory, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    const { size, mtime, mode } = statSync(path, { throwIfNoEntry: false }) ?? {};
    return `${(mode ?? 0).toString(8)} ${size ?? '?'} ${mtime?.toISOString() ?? '?'} ${path}\n`;
  });
  return lines.join('');
}

/** A configuration with secrets masked; of any other file (kubeconfigs of plugins are there) only that it is there. */
function cniConfText(path: string): string {
  if (!/\.(conf|conflist|json)$/.test(path)) return 'not shown: it is no network configuration\n';
  const value = parseJson(readFileSync(path, 'utf8'));
  if (value === undefined) return 'not shown: it is not JSON\n';
  return prettyJson(maskedValue(value));
}
