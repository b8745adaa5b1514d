/** Who an attachment is and the names that follow from it, without any state. */
import { localMac, type Mac } from '../net/mac.ts';
import { sha256 } from '../util/sha256.ts';
import { isJsonObject } from './protocol/json.ts';

/** One interface of one container on one network: the key of everything the plugin creates. */
export interface Attachment {
  readonly network: string;
  readonly containerId: string;
  readonly ifName: string;
}

/** A namespace as somebody saw it: the path, and `<device>:<inode>` of what was there. */
export interface NetnsPlace {
  readonly path: string;
  readonly id: string;
}

/** Reads one back from JSON; undefined for anything else. */
export function decodeNetnsPlace(value: unknown): NetnsPlace | undefined {
  if (!isJsonObject(value)) return undefined;
  const { path, id } = value;
  return typeof path === 'string' && typeof id === 'string' ? { path, id } : undefined;
}

/**
 * Name of the node's end of the veth pair: `veth` and 8 hex digits. It depends on nothing but the
 * attachment, so DEL finds the link when the pod's namespace is gone or was not told.
 */
export function hostVethName(attachment: Attachment): string {
  return `veth${sha256(keyOf(attachment)).toString('hex').slice(0, 8)}`;
}

/** Hardware addresses of both ends, set explicitly so that udev does not rewrite them later. */
export function vethMacs(attachment: Attachment): { readonly host: Mac; readonly pod: Mac } {
  const key = keyOf(attachment);
  return { host: localMac(sha256(`${key}\0host`)), pod: localMac(sha256(`${key}\0pod`)) };
}

/** A bridge keeps this address from its creation on, whatever ports come and go. */
export function bridgeMac(nodeId: string, bridge: string): Mac {
  return localMac(sha256(`${nodeId}\0${bridge}`));
}

/** File-name safe key of an attachment, 32 hex digits. */
export function attachmentKey(attachment: Attachment): string {
  return sha256(keyOf(attachment)).toString('hex').slice(0, 32);
}

/** For `ip link` and comments of nft elements; cut to 120 bytes, which both can hold. */
export function attachmentLabel({ network, containerId, ifName }: Attachment): string {
  return `${network}/${containerId}/${ifName}`.slice(0, 120);
}

function keyOf({ network, containerId, ifName }: Attachment): string {
  return `${network}\0${containerId}\0${ifName}`;
}
