import { openQuarantine } from '../ipam/quarantine.ts';
import { openIptables } from '../iptables/programs-sync.ts';
import { announce } from '../kernel/announce.ts';
import { openConntrack } from '../kernel/conntrack.ts';
import { netnses } from '../kernel/netns.ts';
import { openRtnl } from '../kernel/rtnl.ts';
import { sysctls } from '../kernel/sysctls.ts';
import type { IP } from '../net/ip.ts';
import { wire } from '../netlink/wire.ts';
import { NftablesConnection } from '../nftables/connection.ts';
import { systemClock } from '../util/clock.ts';
import { readIfReadable } from '../util/files.ts';
import { sleep } from '../util/wait.ts';
import { type GatedComponent, openBootGate } from './boot-gate.ts';
import { openExecPlugin } from './exec-plugin.ts';
import { openFirewalld } from './firewall/firewalld.ts';
import { openForeignIpam } from './foreign-ipam.ts';
import { openHostLocal } from './ipam.ts';
import { openJournal } from './journal.ts';
import { readBootId } from './machine.ts';
import type { CniKernel, UpkeepNode } from './node.ts';
import { claimNetns } from './pod-lock.ts';
import { openHostPortStore } from './portmap/store.ts';
import { collectFlowEnds } from './upkeep/flows.ts';
import { openRecords } from './upkeep/records.ts';

/** Below the two minutes after which kubelet kills a call. */
const DELEGATE_TIMEOUT_MS = 100_000;

/** How long a call waits for another process that works on the same network's addresses. */
const LOCK_TIMEOUT_MS = 10_000;

/** How long an ADD waits for another one in the same pod. */
const CLAIM_TIMEOUT_MS = 2_000;

export interface LocalNodeOptions {
  /** Where socket and journal are; a tmpfs. */
  readonly runDirectory: string;
  /** The process serves many calls: it remembers reservations between them and executes nothing. */
  readonly isLongLived: boolean;
  readonly version: string;
  readonly isMasqueradedElsewhere?: (address: IP) => boolean;
}

/** How long a released address rests when there are others. */
const QUARANTINE_MS = 30_000;

/** The machine this process runs on. */
export function openLocalNode(options: LocalNodeOptions): UpkeepNode {
  const { runDirectory, isLongLived, version, isMasqueradedElsewhere } = options;
  const shared = NftablesConnection.open({ isLazy: true, staysOpen: true });
  const { now } = systemClock;
  const kernel: CniKernel = {
    netnses,
    openRtnl,
    sysctls,
    openConntrack: () => openConntrack(),
    iptables: openIptables(),
    firewalld: openFirewalld(),
    claimNetns: (netns) => claimNetns(netns, { flock: wire.flock, timeoutMs: CLAIM_TIMEOUT_MS }),
    openNftables: isLongLived ? () => shared : () => NftablesConnection.open({ isLazy: true }),
    announce: (announcements) => announce(undefined, announcements),
    pause: sleep,
  };
  const gateOf = (component: GatedComponent) =>
    openBootGate({ component, runDirectory, bootId: readBootId });
  return {
    kernel,
    ...(isLongLived ? { endFlowsSoon: collectFlowEnds(kernel) } : {}),
    ipam: openHostLocal({
      flock: wire.flock,
      timeoutMs: LOCK_TIMEOUT_MS,
      keepsIndex: isLongLived,
      // A power cut takes the pods along, so there is no reservation worth an fsync.
      isDurable: false,
      quarantine: openQuarantine({
        directory: `${runDirectory}/released`,
        periodMs: QUARANTINE_MS,
        now,
      }),
    }),
    foreignIpam: openForeignIpam(
      isLongLived ? undefined : openExecPlugin({ timeoutMs: DELEGATE_TIMEOUT_MS, pause: sleep }),
    ),
    journal: openJournal(`${runDirectory}/adding`),
    hostPorts: openHostPortStore(`${runDirectory}/hostports`, {
      flock: wire.flock,
      timeoutMs: LOCK_TIMEOUT_MS,
    }),
    fabricGate: gateOf('fabric'),
    policyGate: gateOf('policy'),
    records: openRecords(`${runDirectory}/attachments`, { bootId: readBootId, now }),
    ...(isMasqueradedElsewhere === undefined ? {} : { isMasqueradedElsewhere }),
    version,
    nodeId: readNodeId(),
  };
}

/** A machine without an id still has one that lasts as long as its bridges: that of this boot. */
function readNodeId(): string {
  for (const path of ['/etc/machine-id', '/proc/sys/kernel/random/boot_id']) {
    const text = readIfReadable(path)?.trim() ?? '';
    if (text !== '') return text;
  }
  return '';
}
