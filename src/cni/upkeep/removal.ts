import type { StoreOptions } from '../../ipam/store.ts';
import type { IP } from '../../net/ip.ts';
import { assertNever } from '../../util/errors.ts';
import type { Attachment } from '../attachment.ts';
import type { AttachmentRecord } from '../attachment-records.ts';
import { removeMasquerade } from '../bridge/masquerade.ts';
import { unguardNames } from '../bridge/spoof.ts';
import { type ForeignIpam, type UpkeepNode, withNftables } from '../node.ts';
import type { Plugin } from '../plugin.ts';
import { removeHostPorts } from '../portmap/portmap.ts';
import type { Request } from '../protocol/request.ts';
import { endFlowsOf } from './flows.ts';
import { releaseReservation } from './stores.ts';
import type { Removal } from './sweep-model.ts';

/** What removals work with. */
export interface RemovalTools {
  readonly node: UpkeepNode;
  /** Whose DEL removes an attachment, with everything any chain member made. */
  readonly plugin: Plugin;
  /** For addresses of plugins that are executed. */
  readonly foreignIpam: ForeignIpam;
  readonly store: StoreOptions;
  /** Stores in which an attachment without a record may hold addresses. */
  readonly dataDirsOf: (attachment: Attachment) => readonly string[];
}

/**
 * Removes one thing; false when it was not there any more, or has become somebody's since it was
 * looked at. Throws what a DEL would throw.
 */
export function remove(removal: Removal, tools: RemovalTools): boolean {
  const { node, store } = tools;
  switch (removal.kind) {
    case 'attachment':
      return removeAttachment(removal.attachment, removal.record, tools);
    case 'reservation': {
      if (!releaseReservation(removal.reservation, store)) return false;
      // No connection outlives the boot.
      if (removal.reason !== 'boot') endFlows(node, [removal.reservation.address]);
      return true;
    }
    case 'masquerade':
      withNftables(node.kernel, (nft) => removeMasquerade(nft, [removal.address], true));
      return true;
    case 'guardedPort':
      withNftables(node.kernel, (nft) => unguardNames(nft, [removal.port]));
      return true;
    case 'hostPorts':
      removeHostPorts(node, removal.attachment);
      return true;
    default:
      return assertNever(removal, 'removal');
  }
}

function endFlows(node: UpkeepNode, addresses: readonly IP[]): void {
  if (node.endFlowsSoon !== undefined) node.endFlowsSoon(addresses);
  else endFlowsOf(node.kernel, addresses);
}

/** A DEL, unless an ADD of the same attachment has come meanwhile. */
function removeAttachment(
  attachment: Attachment,
  record: AttachmentRecord | undefined,
  { node, plugin, foreignIpam, dataDirsOf }: RemovalTools,
): boolean {
  if (node.records.read(attachment)?.createdAtMs !== record?.createdAtMs) return false;
  // First, because the record goes with the DEL: when it fails, the next sweep tries again.
  if (record?.ipam?.execution !== undefined) {
    const { type, execution } = record.ipam;
    const stdin = Buffer.from(execution.stdin);
    const request = { ...deletionOf(attachment, record, undefined), ...execution, stdin };
    foreignIpam.del(request, type);
  }
  const dataDirs = record?.ipam === undefined ? dataDirsOf(attachment) : [record.ipam.dataDir];
  // Once more without a store of its own: links and elements are to go in any case.
  for (const dataDir of dataDirs.length === 0 ? [undefined] : dataDirs) {
    const request = deletionOf(attachment, record, dataDir);
    plugin.del({ request, node, attachment, netns: undefined });
  }
  node.records.remove(attachment);
  return true;
}

/** The DEL a runtime would send, as far as it concerns this process. */
function deletionOf(
  { network, containerId, ifName }: Attachment,
  record: AttachmentRecord | undefined,
  dataDir: string | undefined,
): Request {
  const ipam = { type: 'host-local', ...(dataDir === undefined ? {} : { dataDir }) };
  const { bridge, vlanGateway, masquerade, iptablesMasquerade } = record?.plan ?? {};
  const config = {
    cniVersion: '1.1.0',
    name: network,
    type: 'weft',
    ...(bridge === undefined ? {} : { bridge: bridge.name }),
    ...(vlanGateway === undefined ? {} : { vlan: vlanGateway.vlan }),
    ipMasq: masquerade !== undefined && masquerade.length > 0,
    ...(iptablesMasquerade === undefined ? {} : { ipMasqBackend: 'iptables' }),
    ipam,
  };
  return {
    verb: 'DEL',
    containerId,
    netnsPath: '',
    ifName,
    args: '',
    path: [],
    mayUseOwnNetns: false,
    cniVersion: '1.1.0',
    network,
    config,
    env: {},
    stdin: Buffer.from(JSON.stringify(config)),
  };
}

/** One line of log per removal tells what it was and why. */
export function fieldsOf(removal: Removal): object {
  const { kind, reason } = removal;
  switch (removal.kind) {
    case 'attachment': {
      const { pod, addresses } = removal.record ?? {};
      return { kind, reason, ...removal.attachment, ...pod, addresses };
    }
    case 'hostPorts':
      return { kind, reason, ...removal.attachment };
    case 'reservation': {
      const { network, address, containerId, ifName } = removal.reservation;
      return { kind, reason, network, address, containerId, ifName };
    }
    case 'masquerade':
      return { kind, reason, address: removal.address };
    case 'guardedPort':
      return { kind, reason, port: removal.port };
  }
}
