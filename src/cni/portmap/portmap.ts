import { isDeepStrictEqual } from 'node:util';
import type { Iptables } from '../../iptables/programs-sync.ts';
import { IoError, runAll } from '../../util/errors.ts';
import { type Attachment, attachmentKey, attachmentLabel } from '../attachment.ts';
import type { HostPortConflict, HostPortLedger, HostPortRecord } from '../host-ports.ts';
import { hostPortChains } from '../iptables/chains.ts';
import { hostPortRules } from '../iptables/reference.ts';
import { type ForeignRules, hasForeignRules, removeForeignRules } from '../iptables/remove.ts';
import { type CniNode, withNftables } from '../node.ts';
import type { ChainMember, DelCall, GcCall, NetnsCall, StatusCall } from '../plugin.ts';
import { CNI_ERROR_CODE, CniError } from '../protocol/errors.ts';
import type { Result } from '../protocol/result.ts';
import { requiringNftables } from '../requires-nftables.ts';
import type { UndoList } from '../undo.ts';
import { parsePortmapConfig } from './config.ts';
import { endLedFlows, endStaleFlows } from './flows.ts';
import { isOwnerGone } from './former-owner.ts';
import { publishByIptables, requireByIptables, usesIptables } from './iptables.ts';
import { publish, replaceTable, withdraw } from './kernel-table.ts';
import { HOST_PORT_TABLE, recordElements } from './layout.ts';
import { enableRouteLocalnet, findLoopbackLink } from './loopback.ts';
import { buildRecord, ownerText, portText, usesLoopback } from './record.ts';
import { ownedRecords } from './store.ts';

const TABLE_NAME = `${HOST_PORT_TABLE.table.family} ${HOST_PORT_TABLE.table.name}`;

/**
 * Host ports: what runtimeConfig.portMappings asks for. Behaves as the reference's portmap, but
 * refuses a port that another attachment has (code 100), and finds what an attachment publishes by
 * its key alone.
 */
export const portmap: ChainMember = {
  name: 'portmap',
  capability: 'portMappings',
  isWanted: ({ config }) => parsePortmapConfig(config).mappings.length > 0,
  add: addHostPorts,
  del: deleteHostPorts,
  check: checkHostPorts,
  status: requireNftables,
  gc: removeInvalid,
};

/** Removes everything an attachment publishes; usable for one that nobody sends a DEL for. */
export function removeHostPorts(node: CniNode, attachment: Attachment): void {
  const { hostPorts } = node;
  if (hostPorts.isSpoilt(attachment)) discardSpoilt(node, attachment);
  if (hostPorts.record(attachment) === undefined && !hostPorts.isUnfinished()) return;
  hostPorts.locked((ledger) => removeLocked(node, attachment, ledger));
}

/** Without a record of ours the reference's portmap may have made them. */
function deleteHostPorts({ node, attachment }: DelCall): void {
  const isRecorded = node.hostPorts.record(attachment) !== undefined;
  removeHostPorts(node, attachment);
  if (isRecorded) return;
  const left = {
    ...rulesOfIptables(attachment),
    tables: hostPortRules(attachment),
    // A pod of ours without host ports is the usual one.
    mayBeLegacy: node.records?.read(attachment) === undefined,
  };
  withNftables(node.kernel, (nft) => removeForeignRules(node.kernel, nft, left));
}

function addHostPorts(call: NetnsCall, previous: Result, undo: UndoList): Result {
  const { node, attachment } = call;
  const record = recordOf(call, previous);
  undo.push(() => removeHostPorts(node, attachment));
  node.hostPorts.locked((ledger) => {
    removeLocked(node, attachment, ledger);
    if (record.ports.length === 0) return;
    for (;;) {
      const conflict = ledger.conflict(record);
      if (conflict === undefined) break;
      if (!isOwnerGone(node, conflict.owner)) throw taken(conflict);
      // Its DEL was lost: what it left is removed as that would have.
      removeLocked(node, conflict.owner.attachment, ledger);
    }
    ledger.add(record);
    const all = () => ownedRecords(node.hostPorts.records(), ledger);
    requiringNftables('host ports', () =>
      withNftables(node.kernel, (nft) => publish(nft, record, all)),
    );
    if (usesIptables(record)) publishByIptables(requireIptables(node), record);
  });
  if (record.loopbackLink !== undefined) {
    enableRouteLocalnet(node.kernel.sysctls, record.loopbackLink);
  }
  endStaleFlows(node.kernel, record);
  return previous;
}

function recordOf(call: NetnsCall, previous: Result): HostPortRecord {
  const { request, node, attachment } = call;
  const netns = { path: request.netnsPath, id: call.netns.id };
  const config = parsePortmapConfig(request.config);
  const record = buildRecord({ attachment, netns, config, previous, args: request.args });
  if (!usesLoopback(record)) return record;
  const pod = record.ports.find(({ family }) => family === 4)?.target;
  const loopbackLink = findLoopbackLink(node.kernel, previous, pod);
  return loopbackLink === undefined ? record : { ...record, loopbackLink };
}

/** Nobody knows any more what it published: the table is made anew of what the others do. */
function discardSpoilt(node: CniNode, attachment: Attachment): void {
  node.hostPorts.locked((ledger) => {
    ledger.discard(attachment);
    const others = ownedRecords(node.hostPorts.records(), ledger);
    withNftables(node.kernel, (nft) => replaceTable(nft, others));
  });
}

/** The record goes last: until then the next DEL or GC finds what is left. */
function removeLocked(node: CniNode, attachment: Attachment, ledger: HostPortLedger): void {
  const record = node.hostPorts.record(attachment);
  if (record === undefined) return;
  const key = attachmentKey(attachment);
  const others = () => {
    const all = node.hostPorts.records();
    return ownedRecords(
      all.filter((other) => attachmentKey(other.attachment) !== key),
      ledger,
    );
  };
  const owned = ledger.owned(record);
  withNftables(node.kernel, (nft) => {
    withdraw(nft, owned, others);
    if (usesIptables(record)) removeForeignRules(node.kernel, nft, rulesOfIptables(attachment));
  });
  endLedFlows(node.kernel, owned);
  ledger.remove(record);
}

function rulesOfIptables(attachment: Attachment): ForeignRules {
  return { chains: hostPortChains(attachment), tables: [], mayBeLegacy: true };
}

function requireIptables({ kernel }: CniNode): Iptables {
  if (kernel.iptables !== undefined) return kernel.iptables;
  throw new IoError('backend "iptables": its programs cannot be executed here');
}

function taken({ port, owner }: HostPortConflict): CniError {
  const message = `host port ${portText(port)} is taken by ${ownerText(owner)}`;
  return new CniError(CNI_ERROR_CODE.hostPortTaken, message);
}

function checkHostPorts(call: NetnsCall, previous: Result): void {
  const { node, attachment } = call;
  const expected = recordOf(call, previous);
  const record = node.hostPorts.record(attachment);
  if (record === undefined && isMadeByReference(node, attachment)) return;
  for (const port of expected.ports) {
    if (!record?.ports.some((known) => isDeepStrictEqual(known, port))) {
      throw new Error(
        `host port ${portText(port)} of ${attachmentLabel(attachment)}: not published`,
      );
    }
  }
  if (usesIptables(expected)) requireByIptables(requireIptables(node), expected);
  withNftables(node.kernel, (nft) => {
    for (const { map, elements } of recordElements(expected)) {
      const observed = nft.elements(HOST_PORT_TABLE.table, map);
      const present = new Map(observed.map(({ key, data }) => [key, data]));
      if (elements.every(({ key, data }) => present.get(key) === data)) continue;
      const label = attachmentLabel(attachment);
      throw new Error(`host ports of ${label}: missing in map ${map.name} of ${TABLE_NAME}`);
    }
  });
}

/** What its rules say is the reference's own: its CHECK looks for the chains, too. */
function isMadeByReference(node: CniNode, attachment: Attachment): boolean {
  let isThere = false;
  withNftables(node.kernel, (nft) => {
    const rules = { chains: hostPortChains(attachment), tables: hostPortRules(attachment) };
    isThere = hasForeignRules(node.kernel, nft, rules);
  });
  return isThere;
}

function requireNftables({ node }: StatusCall): void {
  requiringNftables('host ports', () =>
    withNftables(node.kernel, (nft) => void nft.tables(HOST_PORT_TABLE.table.family)),
  );
}

function removeInvalid({ request, node, isValid }: GcCall): void {
  const attachments = node.hostPorts.records().map(({ attachment }) => attachment);
  const stale = attachments.filter((each) => each.network === request.network && !isValid(each));
  runAll(
    stale.map((attachment) => () => removeHostPorts(node, attachment)),
    'garbage collection of host ports was not complete',
  );
}
