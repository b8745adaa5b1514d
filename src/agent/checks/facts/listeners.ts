/** Sockets of this network namespace that wait for somebody (net/ipv4/tcp_ipv4.c, udp.c: the files of /proc/net). */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { ipFromBytes } from '../../../net/ip.ts';
import { isMissing } from '../../../util/files.ts';
import { inTurns } from '../../../util/turns.ts';

export interface Listener {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly address: string;
  readonly inode: string;
}

const FILES = [
  { file: 'tcp', protocol: 'tcp' },
  { file: 'tcp6', protocol: 'tcp' },
  { file: 'udp', protocol: 'udp' },
  { file: 'udp6', protocol: 'udp' },
] as const;
/** TCP_LISTEN, and TCP_CLOSE of a UDP socket that is connected to nobody. */
const WAITING = { tcp: '0A', udp: '07' } as const;
const LOOPBACK = /^(?:[0-9A-F]{6}7F|0{24}01000000)$/;

/** Those at one of the ports that others than this node can reach; on another thread, then in turns. */
export async function listenersAt(ports: ReadonlySet<number>): Promise<readonly Listener[]> {
  const found: Listener[] = [];
  for (const { file, protocol } of FILES) {
    const lines = (await readLines(`/proc/net/${file}`)).slice(1);
    await inTurns(lines, (line) => {
      const listener = listenerOf(line, protocol);
      if (listener !== undefined && ports.has(listener.port)) found.push(listener);
    });
  }
  return found;
}

async function readLines(path: string): Promise<readonly string[]> {
  try {
    return (await readFile(path, 'utf8')).split('\n');
  } catch (thrown) {
    // A kernel without IPv6.
    if (isMissing(thrown)) return [];
    throw thrown;
  }
}

/** `sl local_address rem_address st …`, the local one as `0100007F:1F90`. */
function listenerOf(line: string, protocol: 'tcp' | 'udp'): Listener | undefined {
  const columns = line.trim().split(/\s+/);
  const [, local = '', , state] = columns;
  if (state !== WAITING[protocol]) return undefined;
  const [address = '', port = ''] = local.split(':');
  if (LOOPBACK.test(address)) return undefined;
  return {
    protocol,
    port: Number.parseInt(port, 16),
    address: addressText(address),
    inode: columns[9] ?? '',
  };
}

/** Words of four bytes in the order of the machine, which is little-endian on all that are built for. */
function addressText(hex: string): string {
  const ip = ipFromBytes(Buffer.from(hex, 'hex').swap32());
  return hex.length > 8 ? `[${ip}]` : ip;
}

/** Inodes of the sockets of this process. */
export function ownSockets(): ReadonlySet<string> {
  return new Set(socketsOf('self'));
}

/** `nginx, pid 77` by the inode of a socket; for each process that can be seen. */
export function holdersOf(inodes: ReadonlySet<string>): ReadonlyMap<string, string> {
  const holders = new Map<string, string>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const inode of socketsOf(pid)) {
      if (inodes.has(inode)) holders.set(inode, `${nameOf(pid)}, pid ${pid}`);
    }
    if (holders.size === inodes.size) break;
  }
  return holders;
}

function socketsOf(pid: string): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => socketOf(`/proc/${pid}/fd/${fd}`));
  } catch {
    // It has ended, or is somebody else's.
    return [];
  }
}

function socketOf(link: string): readonly string[] {
  try {
    const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(link)) ?? [];
    return inode === undefined ? [] : [inode];
  } catch {
    return [];
  }
}

function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return 'a program';
  }
}
