/** What the machine says of itself and of its network namespaces. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { NetnsError } from '../kernel/netns.ts';
import type { Netns, Netnses } from '../kernel/types.ts';
import type { IP } from '../net/ip.ts';
import { unlessErrno } from '../util/errno.ts';
import { readIfReadable } from '../util/files.ts';
import type { NetnsPlace } from './attachment.ts';
import { type CniKernel, withRtnl } from './node.ts';

let bootId: string | undefined;

/** Id of this boot; empty where the kernel does not tell. No process outlives a boot: read once. */
export function readBootId(): string {
  bootId ??= readIfReadable('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
  return bootId;
}

/** When this boot began by the clock of now, ms since the epoch (`btime` of /proc/stat). */
export function readBootedAtMs(): number {
  const seconds = /^btime (\d+)$/m.exec(readIfReadable('/proc/stat') ?? '')?.[1];
  return Number(seconds ?? 0) * 1000;
}

/**
 * Network namespaces with a path that leads there, by id (`<device>:<inode>`): those of processes
 * and those that are mounted. Only what this process can see: all of them where it shares the
 * node's process and mount namespaces.
 */
export function findNetnses(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const paths = [...mountedPaths(), ...processPaths()];
  for (const path of paths) {
    const id = netnsIdAt(path);
    if (id !== undefined && !found.has(id)) found.set(id, path);
  }
  return found;
}

/** `<device>:<inode>` of what is at a path; undefined when there is nothing to be seen. */
export function netnsIdAt(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    // Gone, or of a process that is not ours to look at: either way there is no evidence.
    return undefined;
  }
}

/** What has become of a namespace: nothing is at its path, or another one is. */
export type NetnsLoss = 'gone' | 'replaced';

/** Undefined: it is at its path, or that is in a directory that cannot be seen from here. */
export function lossOfNetns({ path, id }: NetnsPlace): NetnsLoss | undefined {
  const present = netnsIdAt(path);
  if (present === undefined) return existsSync(dirname(path)) ? 'gone' : undefined;
  return present === id ? undefined : 'replaced';
}

export function isNetnsGone(place: NetnsPlace): boolean {
  return lossOfNetns(place) !== undefined;
}

/**
 * The namespace that somebody saw, which the caller closes: whatever comes to its path later, the descriptor
 * is of this one. Throws NetnsError when it is gone, is not to be seen from here, or another one has its
 * path by now.
 */
export function requirePlace(netnses: Netnses, { path, id }: NetnsPlace): Netns {
  const netns = netnses.open(path);
  if (netns.id === id) return netns;
  netns.close();
  const message = `another network namespace is at ${path} by now (${netns.id}; on record is ${id})`;
  throw new NetnsError(message, { isMissing: true });
}

/** Undefined where there is none: see `requirePlace`. */
export function openPlace(netnses: Netnses, place: NetnsPlace): Netns | undefined {
  return unlessErrno(['NETNS'], () => requirePlace(netnses, place));
}

/** Addresses on any link of these namespaces. One that vanishes meanwhile has none. */
export function readUsedAddresses(kernel: CniKernel, paths: Iterable<string>): ReadonlySet<IP> {
  const used = new Set<IP>();
  for (const path of paths) {
    for (const address of addressesAt(kernel, path)) used.add(address);
  }
  return used;
}

function addressesAt(kernel: CniKernel, path: string): readonly IP[] {
  // One that is being deleted is an empty file for a moment, and then nothing.
  const netns = unlessErrno(['NETNS'], () => kernel.netnses.open(path));
  if (netns === undefined) return [];
  try {
    return withRtnl(kernel, netns, (rtnl) => rtnl.addresses().map(({ address }) => address));
  } finally {
    netns.close();
  }
}

/** Mount points of namespaces; the root of such a mount is `net:[<inode>]`. */
function mountedPaths(): readonly string[] {
  return (readIfReadable('/proc/self/mountinfo') ?? '').split('\n').flatMap((line) => {
    const [, , , root = '', point = ''] = line.split(' ');
    return root.startsWith('net:[') ? [unescaped(point)] : [];
  });
}

/** Spaces and the like are three octal digits there. */
function unescaped(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

function processPaths(): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => join('/proc', pid, 'ns/net'));
}
