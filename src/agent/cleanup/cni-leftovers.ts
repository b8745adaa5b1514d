import { attachmentLabel } from '../../cni/attachment.ts';
import type { AttachmentRecord } from '../../cni/attachment-records.ts';
import { GATE_FILES } from '../../cni/boot-gate.ts';
import { openExecPlugin } from '../../cni/exec-plugin.ts';
import { openForeignIpam } from '../../cni/foreign-ipam.ts';
import { openLocalNode } from '../../cni/local-node.ts';
import type { UpkeepNode } from '../../cni/node.ts';
import { CNI_TABLES } from '../../cni/own-tables.ts';
import { removeHostPorts } from '../../cni/portmap/portmap.ts';
import { FALLBACK } from '../../cni/registry.ts';
import { sweepSources } from '../../cni/upkeep/facts.ts';
import { handOverMasquerade } from '../../cni/upkeep/hand-over.ts';
import { type RemovalTools, remove } from '../../cni/upkeep/removal.ts';
import { storesOf } from '../../cni/upkeep/stores.ts';
import { surveyNode } from '../../cni/upkeep/survey.ts';
import type { Removal } from '../../cni/upkeep/sweep-model.ts';
import type { Table } from '../../nftables/model.ts';
import { ownNamespaceTables, removeTable } from '../../nftables/own-namespace.ts';
import { tableText } from '../../nftables/text.ts';
import { systemClock } from '../../util/clock.ts';
import { ADDRESS_LOG_FILES } from '../addresses/log-file.ts';
import { DEFAULT_CNI } from '../config/default-directories.ts';
import { WEFT_VERSION } from '../version.ts';
import { conflistLeftovers } from './conflist-leftovers.ts';
import { type CleanupOptions, filesIn, type Leftover } from './leftover.ts';

/** What the CNI side keeps in the run directory. */
export const CNI_ENTRIES: readonly string[] = [
  'attachments',
  'adding',
  'hostports',
  'released',
  'cni.sock',
  ...GATE_FILES,
  ...ADDRESS_LOG_FILES,
];

/** How long an IPAM plugin may take for an address that nobody asks for any more. */
const EXEC_TIMEOUT_MS = 5_000;

export function isCniTable(table: Table): boolean {
  return CNI_TABLES.some((own) => tableText(own) === tableText(table));
}

/**
 * What attachments left that are proven dead, what living ones need, and, once nobody needs anything,
 * the tables and files themselves.
 */
export function leftoversOfCni(options: CleanupOptions): readonly Leftover[] {
  const { components, runDir, confDirectory, isForced } = options;
  if (!components.includes('cni')) return [];
  const node = openLocalNode({
    runDirectory: runDir,
    isLongLived: false,
    version: WEFT_VERSION,
  });
  const sources = sweepSources({
    ...DEFAULT_CNI,
    confDirectory,
    node,
    runDirectory: runDir,
    now: systemClock.now,
  });
  const { facts, lost, needed, masqueraded } = surveyNode(sources);
  const tools: RemovalTools = {
    node,
    plugin: FALLBACK.plugin,
    foreignIpam: openForeignIpam(
      openExecPlugin({ timeoutMs: EXEC_TIMEOUT_MS, pause: node.kernel.pause }),
    ),
    store: sources.store,
    dataDirsOf: (attachment) => storesOf(attachment, facts),
  };
  const items = [
    ...conflistLeftovers(confDirectory),
    ...lost.map((removal) => {
      return { text: textOf(removal), isNeeded: false, remove: () => remove(removal, tools) };
    }),
    ...masqueraded.map((record) => masqueradeOf(record, node, isForced)),
    // Gone with the tables below.
    ...needed.map((text) => ({ text, isNeeded: true, remove: () => true })),
    ...(isForced ? hostPortRules(node) : []),
  ];
  if (items.some(({ isNeeded }) => isNeeded) && !isForced) return items;
  const tables = ownNamespaceTables().filter(isCniTable);
  return [
    ...items,
    ...tables.map((table) => {
      return {
        text: `table ${tableText(table)}`,
        isNeeded: false,
        remove: () => removeTable(table),
      };
    }),
    ...filesIn(runDir, (entry) => CNI_ENTRIES.includes(entry)),
  ];
}

/** Host ports that are rules of iptables, of living pods too: they do not go with our tables. */
function hostPortRules(node: UpkeepNode): readonly Leftover[] {
  return node.hostPorts.records().flatMap(({ attachment, iptables }) => {
    if (iptables === undefined) return [];
    const remove = () => {
      removeHostPorts(node, attachment);
      return true;
    };
    const text = `rules of iptables for host ports of ${attachmentLabel(attachment)}`;
    return [{ text, isNeeded: false, remove }];
  });
}

/** Of a living pod: where there is iptables, its rules take the place. */
function masqueradeOf(record: AttachmentRecord, node: UpkeepNode, isForced: boolean): Leftover {
  const addresses = record.plan?.masquerade.map(({ address }) => address) ?? [];
  const text = `masquerade of ${addresses.join(', ')} of ${attachmentLabel(record.attachment)}`;
  const hasIptables = node.kernel.iptables?.save({ family: 4 }, 'nat') !== undefined;
  if (isForced || !hasIptables) return { text, isNeeded: true, remove: () => true };
  const remove = () => {
    handOverMasquerade(node, record);
    return true;
  };
  return { text: `${text}: rules of iptables are in its place`, isNeeded: false, remove };
}

function textOf(removal: Removal): string {
  switch (removal.kind) {
    case 'attachment':
      return `what ${attachmentLabel(removal.attachment)} left, which lives no more`;
    case 'hostPorts':
      return `host ports of ${attachmentLabel(removal.attachment)}, which lives no more`;
    case 'masquerade':
      return `masquerade of ${removal.address}, which is nobody's`;
    case 'guardedPort':
      return `check of senders at ${removal.port}, which is not there`;
    case 'reservation':
      return `reservation of ${removal.reservation.address}`;
  }
}
