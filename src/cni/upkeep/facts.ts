import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { StoreOptions } from '../../ipam/store.ts';
import type { Link } from '../../kernel/types.ts';
import { wire } from '../../netlink/wire.ts';
import { attachmentKey, hostVethName } from '../attachment.ts';
import type { AttachmentRecord } from '../attachment-records.ts';
import { masqueraded } from '../bridge/masquerade.ts';
import { guardedLabels } from '../bridge/spoof.ts';
import {
  findNetnses,
  isNetnsGone,
  netnsIdAt,
  readBootedAtMs,
  readBootId,
  readUsedAddresses,
} from '../machine.ts';
import { type CniNode, type Nftables, type UpkeepNode, withNftables, withRtnl } from '../node.ts';
import { configuredDataDirs, listReservations } from './stores.ts';
import { decideSweep } from './sweep.ts';
import type {
  RecordFacts,
  Sandboxes,
  SweepDecision,
  SweepFacts,
  UnfinishedAdd,
} from './sweep-model.ts';

const DEFAULT_GRACE_PERIOD_MS = 5 * 60_000;
const LOCK_TIMEOUT_MS = 1_000;

/** What the facts are read from. */
export interface FactSources {
  readonly node: UpkeepNode;
  /** Where the journal's entries are. */
  readonly journalDirectory: string;
  /** Address stores that are looked at, besides those of records and configurations. */
  readonly dataDirs: readonly string[];
  /** Network configurations of the runtime. */
  readonly confDirectory: string;
  /** For reading stores; without an index, which another user of them keeps. */
  readonly store: StoreOptions;
  readonly bootId: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly gracePeriodMs: number;
}

/**
 * Reads everything a sweep decides on but `usedAddresses`, which cost a look into every namespace.
 * What an ADD makes last is read first: a thing that is seen has its record, journal entry and
 * reservation by the time those are read.
 */
function gatherFacts(sources: FactSources, sandboxes: Sandboxes | undefined): SweepFacts {
  const { node, bootId, gracePeriodMs } = sources;
  const elements = readElements(node);
  const hostPorts = node.hostPorts.records().map(({ attachment, pods, netns }) => {
    const targets = pods.map(({ address }) => address);
    return { attachment, targets, isNetnsGone: netns !== undefined && isNetnsGone(netns) };
  });
  const links = withRtnl(node.kernel, undefined, (rtnl) => rtnl.links());
  const listed = node.records.list();
  const dataDirs = [
    ...sources.dataDirs,
    ...configuredDataDirs(sources.confDirectory),
    ...listed.flatMap(({ ipam }) => ipam?.dataDir ?? []),
  ];
  return {
    ...elements,
    hostPorts,
    links,
    records: recordFacts(listed, links),
    reservations: listReservations(dataDirs, sources.store),
    unfinished: readUnfinished(sources),
    ...(sandboxes === undefined ? {} : { sandboxes }),
    bootId,
    bootedAtMs: readBootedAtMs(),
    nowMs: sources.now(),
    gracePeriodMs,
  };
}

/** Where a sweep of this node reads; `gracePeriodMs` is 5 minutes when absent. */
export function sweepSources(options: {
  readonly node: UpkeepNode;
  readonly runDirectory: string;
  readonly ipamDirectory: string;
  readonly confDirectory: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly gracePeriodMs?: number;
}): FactSources {
  const { node, runDirectory, ipamDirectory, confDirectory, now } = options;
  const lock = { flock: wire.flock, timeoutMs: LOCK_TIMEOUT_MS };
  return {
    node,
    journalDirectory: join(runDirectory, 'adding'),
    dataDirs: [ipamDirectory],
    confDirectory,
    store: { ...lock, keepsIndex: false, isDurable: false },
    bootId: readBootId(),
    now,
    gracePeriodMs: options.gracePeriodMs ?? DEFAULT_GRACE_PERIOD_MS,
  };
}

/** The facts of now and what they decide; into every namespace is looked only where that matters. */
export function findLost(
  sources: FactSources,
  sandboxes: Sandboxes | undefined,
  adjust: (facts: SweepFacts) => SweepFacts = (facts) => facts,
): { readonly facts: SweepFacts; readonly decision: SweepDecision } {
  const known = adjust(gatherFacts(sources, sandboxes));
  const first = decideSweep(known);
  if (!first.needsAddresses) return { facts: known, decision: first };
  const facts = withUsedAddresses(known, sources.node);
  return { facts, decision: decideSweep(facts) };
}

/** The same facts with the addresses that are in use anywhere. */
function withUsedAddresses(facts: SweepFacts, node: CniNode): SweepFacts {
  return { ...facts, usedAddresses: readUsedAddresses(node.kernel, findNetnses().values()) };
}

function readElements({ kernel }: CniNode): Pick<SweepFacts, 'masquerades' | 'guardedPorts'> {
  const read = (nft: Nftables) => ({
    masquerades: ([4, 6] as const).flatMap((family) => masqueraded(nft, family)),
    guardedPorts: guardedLabels(nft),
  });
  let elements: ReturnType<typeof read> = { masquerades: [], guardedPorts: [] };
  withNftables(kernel, (nft) => {
    elements = read(nft);
  });
  return elements;
}

function recordFacts(
  records: readonly AttachmentRecord[],
  links: readonly Link[],
): readonly RecordFacts[] {
  const veths = new Set(links.filter(({ kind }) => kind === 'veth').map(({ name }) => name));
  return records.map((record) => {
    const { netns, attachment } = record;
    return {
      record,
      isNetnsAtPath:
        record.plan === undefined ? !isNetnsGone(netns) : netnsIdAt(netns.path) === netns.id,
      hasLink: veths.has(hostVethName(attachment)),
    };
  });
}

/** An entry that vanishes while it is read belonged to an ADD that ended just now. */
function readUnfinished({ node, journalDirectory }: FactSources): readonly UnfinishedAdd[] {
  return node.journal.unfinished().flatMap((attachment) => {
    const file = join(journalDirectory, attachmentKey(attachment));
    const begunAtMs = statSync(file, { throwIfNoEntry: false })?.mtimeMs;
    return begunAtMs === undefined ? [] : [{ attachment, begunAtMs }];
  });
}
