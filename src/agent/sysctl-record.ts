/**
 * What sysctls of the node were before an agent of this boot changed them, so that they can be put back.
 * In the run directory, which lives as long as the boot, as they do.
 */
import { writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { BRIDGE_CALLS, type StoppedCalls } from '../cni/upkeep/bridge-calls.ts';
import { sysctls } from '../kernel/sysctls.ts';
import type { Link } from '../kernel/types.ts';
import { ipvsSysctls } from '../proxy/modes/ipvs/sysctls.ts';
import { readIfReadable, readIfThere, replaceFile } from '../util/files.ts';
import { parseJson } from '../util/json.ts';
import type { ProxySettings } from './config/proxy-settings.ts';
import { planConntrackSysctls } from './proxy/conntrack-sysctls.ts';

/** Reads and writes sysctls by their path below /proc/sys, and other files by theirs. */
export interface SysctlAccess {
  /** Undefined when the kernel does not have it. */
  read(path: string): string | undefined;
  write(path: string, value: string): void;
}

export interface RecordedSysctl {
  readonly path: string;
  readonly before: string;
  /** What an agent sets it to. */
  readonly ours: string;
}

interface SysctlFile {
  readonly bootId: string;
  readonly values: readonly RecordedSysctl[];
}

export const SYSCTL_RECORD = 'sysctls.json';
/** Those that are set only while somebody follows the flows of the node. */
export const FLOW_SYSCTL_RECORD = 'flow-sysctls.json';
/** Links may come and go; the others are a dozen. */
const MOST_VALUES = 128;

export const FORWARDING_SYSCTLS: readonly string[] = [
  'net/ipv4/ip_forward',
  'net/ipv6/conf/all/forwarding',
];

/** Everything of the node that an agent may set, and to what. Those of links that it makes go with them. */
export function sysctlsOfAgent(
  { conntrack, ipvs }: Pick<ProxySettings, 'conntrack' | 'ipvs'>,
  links: readonly Pick<Link, 'name' | 'master'>[],
): ReadonlyMap<string, string> {
  const { isStrictARP } = ipvs;
  return new Map([
    ...FORWARDING_SYSCTLS.map((path) => [path, '1'] as const),
    ['net/ipv4/conf/all/route_localnet', '1'],
    ...Object.values(BRIDGE_CALLS).map((path) => [path, '0'] as const),
    ...ipvsSysctls({ release: release(), isStrictARP }).map(
      ({ path, value }) => [path, value] as const,
    ),
    ...planConntrackSysctls(conntrack, cpus().length).map(
      ({ name, value }) => [name, String(value)] as const,
    ),
    // A router takes advertisements only with 2: see src/fabric/forwarding.ts.
    ...links
      .filter(({ master }) => master === undefined)
      .map(({ name }) => [`net/ipv6/conf/${name}/accept_ra`, '2'] as const),
  ]);
}

/** To be called before anything is set. What is known of this boot stays as it was first seen. Throws IoError. */
export function recordSysctls(
  runDir: string,
  bootId: string,
  wanted: ReadonlyMap<string, string>,
  access: SysctlAccess = nodeSysctls,
  name: string = SYSCTL_RECORD,
): void {
  const known = new Map(readSysctlRecord(runDir, bootId, name).map((each) => [each.path, each]));
  for (const [path, ours] of wanted) {
    const before = known.get(path)?.before ?? access.read(path);
    if (before === undefined) continue;
    if (known.has(path) || known.size < MOST_VALUES) known.set(path, { path, before, ours });
  }
  writeRecord(runDir, bootId, [...known.values()], name);
}

function writeRecord(
  runDir: string,
  bootId: string,
  values: readonly RecordedSysctl[],
  name: string = SYSCTL_RECORD,
): void {
  const file: SysctlFile = { bootId, values };
  replaceFile(join(runDir, name), `${JSON.stringify(file)}\n`);
}

/** What the upkeep of pods has switched off of br_netfilter, in the same record: `weft cleanup` knows it too. */
export function stoppedCallsOf(
  runDir: string,
  bootId: string,
  access: SysctlAccess = nodeSysctls,
): StoppedCalls {
  const change = (settings: readonly string[], now: readonly RecordedSysctl[]) => {
    const others = readSysctlRecord(runDir, bootId).filter(({ path }) => !settings.includes(path));
    writeRecord(runDir, bootId, [...others, ...now]);
  };
  return {
    read: () =>
      readSysctlRecord(runDir, bootId)
        .filter(({ path, before, ours }) => {
          return IS_BRIDGE_CALL.has(path) && before === '1' && ours === '0';
        })
        .map(({ path }) => path)
        .filter((path) => access.read(path) === '0'),
    // Whatever they were when an agent first looked: somebody has switched them on since.
    add: (settings) =>
      change(
        settings,
        settings.map((path) => ({ path, before: '1', ours: '0' })),
      ),
    remove: (settings) => change(settings, []),
  };
}

const IS_BRIDGE_CALL: ReadonlySet<string> = new Set(Object.values(BRIDGE_CALLS));

/** None of another boot, or of a file that is not whole. */
export function readSysctlRecord(
  runDir: string,
  bootId: string,
  name: string = SYSCTL_RECORD,
): readonly RecordedSysctl[] {
  const text = readIfReadable(join(runDir, name));
  const file = text === undefined ? undefined : parseJson(text);
  if (typeof file !== 'object' || file === null) return [];
  // Only this code, as root, writes the file, and it writes it whole.
  const { bootId: ofBoot, values } = file as SysctlFile;
  return ofBoot === bootId && Array.isArray(values) ? values : [];
}

export const nodeSysctls: SysctlAccess = {
  read: (path) =>
    path.startsWith('/') ? readIfThere(path)?.trimEnd() : sysctls.read(undefined, path),
  write: (path, value) => {
    if (path.startsWith('/')) writeFileSync(path, value);
    else sysctls.write(undefined, path, value);
  },
};
