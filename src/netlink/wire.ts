/**
 * The native addon: sockets in any network namespace, descriptors over unix sockets, sysctls.
 * It knows no protocol; every function is one or a few system calls and throws SystemError.
 */
import { createRequire } from 'node:module';
import { WeftError } from '../util/errors.ts';
import { errnoName } from './errno.ts';

/** A failed system call; `code` is the errno's name (`ENOENT`), `errno` its positive number. */
export class SystemError extends WeftError {
  readonly errno: number;
  readonly syscall: string;

  constructor(errno: number, syscall: string, detail: string) {
    const code = errnoName(errno);
    super(code, `${syscall}${detail === '' ? '' : ` ${detail}`}: ${code}`);
    this.errno = errno;
    this.syscall = syscall;
  }
}

/** A descriptor watched on the event loop; it keeps the process alive until closed. */
export interface WatchHandle {
  close(): void;
}

export interface Wire {
  /** `netnsFd` negative: the namespace of this process. Buffer sizes in bytes, 0 for the default. */
  openNetlink(
    protocol: number,
    netnsFd: number,
    sendBufferBytes: number,
    receiveBufferBytes: number,
  ): { readonly fd: number; readonly portId: number };
  joinNetlinkGroup(fd: number, group: number): void;
  /** Datagrams queued now, at most `most` or, for 0, all; null stands where the kernel dropped some. */
  drainNetlink(fd: number, most: number): (Buffer | null)[];
  /** Sends one datagram and receives all that answers it; nothing waits (the kernel is synchronous). */
  exchangeNetlink(fd: number, bytes: Uint8Array): Buffer[];
  /**
   * Sends one datagram, unless `bytes` is empty, and receives at most `most` of those that answer
   * it, on another thread. One call at a time per socket.
   */
  exchangeNetlinkLater(fd: number, bytes: Uint8Array, most: number): Promise<Buffer[]>;
  /** What a descriptor is: statfs(2) magic, and NS_GET_NSTYPE or 0. */
  inspectNamespace(fd: number): { readonly fsMagic: number; readonly nsType: number };
  readSysctl(netnsFd: number, path: string): string;
  writeSysctl(netnsFd: number, path: string, value: string): void;
  /**
   * Whole Ethernet frames, each out of the link with the ifindex at the same place, all in the namespace;
   * gives an errno for each, 0 for one that was sent.
   */
  sendFrames(
    netnsFd: number,
    ifindexes: readonly number[],
    frames: readonly Uint8Array[],
  ): number[];
  /**
   * A socket for frames of an Ethernet type that come in by one link of the namespace and pass the filter,
   * instructions of classic BPF (struct sock_filter, linux/filter.h).
   */
  openPacket(netnsFd: number, ifindex: number, etherType: number, filter: Uint8Array): number;
  /** Frames to a multicast address come in as long as the socket lives. */
  joinEthernetGroup(fd: number, ifindex: number, mac: Uint8Array): void;
  /** The beginnings of frames that wait, at most `most`, without those that this node sent. */
  receivePackets(fd: number, most: number): Buffer[];
  /** Never blocks; false when another open file description holds the lock. */
  flock(fd: number, operation: 'exclusive' | 'unlock'): boolean;
  /**
   * Takes the program's code and constants out of the resident memory; what is used again comes back
   * from the page cache by minor faults (madvise(2), MADV_DONTNEED).
   */
  dropProgramPages(): void;
  listenUnix(path: string, backlog: number): number;
  /** Never blocks. A path that begins with `@` is in the abstract namespace. */
  sendUnixDatagram(path: string, text: string): void;
  acceptUnix(fd: number): {
    readonly fd: number;
    readonly pid: number;
    readonly uid: number;
    readonly gid: number;
  } | null;
  /** null: nothing waits; empty bytes: closed by the peer. The caller owns `fds`. */
  receiveUnix(fd: number): {
    readonly bytes: Buffer;
    readonly fds: readonly number[];
    readonly isTruncated: boolean;
  } | null;
  /** Whether the peer of a connection has closed its end, also before what it sent is read. */
  isPeerGone(fd: number): boolean;
  /** Bytes taken; 0 when the peer does not read. */
  sendUnix(fd: number, bytes: Uint8Array): number;
  /** Calls `listener` whenever `fd` is readable, level-triggered. */
  readonly Watch: new (
    fd: number,
    listener: () => void,
  ) => WatchHandle;
}

interface Addon extends Wire {
  setErrorFactory(makeError: (errno: number, syscall: string, detail: string) => SystemError): void;
}

/** Loads an addon file and teaches it our error class. */
export function loadWire(file: string): Wire {
  const require = createRequire(import.meta.url);
  // The addon's exports have no types of their own; Addon mirrors native/*.cc.
  const addon = require(file) as Addon;
  addon.setErrorFactory((errno, syscall, detail) => new SystemError(errno, syscall, detail));
  return addon;
}

/** A release has the addon beside its bundle, a checkout in native/build. */
function loadInstalledWire(): Wire {
  try {
    return loadWire('./weft.node');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND')) {
      throw error;
    }
    return loadWire('../../native/build/weft.node');
  }
}

export const wire: Wire = loadInstalledWire();
