/** Which ifb belongs to an attachment: names and marks, without any state. */
import type { Link } from '../../kernel/types.ts';
import { localMac, type Mac } from '../../net/mac.ts';
import { sha256 } from '../../util/sha256.ts';
import { sha512 } from '../../util/sha512.ts';
import type { Attachment } from '../attachment.ts';

/** Longest text the kernel keeps as a link's alias, bytes (IFALIASZ, without the NUL). */
const MAX_ALIAS_BYTES = 255;
const MAX_NAME_BYTES = 15;
const NAME_PREFIX = 'bwp';

/**
 * Names the ifb of an attachment may have, the preferred one first. That is the name the reference
 * gives it, so that either can delete what the other made; because it leaves the interface out, a
 * second interface of the container on the same network takes the other name.
 */
export function ifbNames(attachment: Attachment): readonly [string, string] {
  const { network, containerId, ifName } = attachment;
  return [
    // utils.MustFormatHashWithPrefix of the reference
    ifbName(sha512(`${network}${containerId}`)),
    ifbName(sha256(`${network}\0${containerId}\0${ifName}`).toString('hex')),
  ];
}

/** Text that marks an ifb as that of an attachment. */
export function ifbAlias({ network, containerId, ifName }: Attachment): string {
  return `${network}/${containerId}/${ifName}`.slice(0, MAX_ALIAS_BYTES);
}

/** An explicit address keeps udev from choosing another one later. */
export function ifbMac(attachment: Attachment): Mac {
  return localMac(sha256(`ifb\0${ifbAlias(attachment)}`));
}

/** Links without an alias are the reference's, or of an ADD that was killed. */
export function isIfbOf(attachment: Attachment, link: Link): boolean {
  if (link.kind !== 'ifb') return false;
  return hasNoAlias(link) || link.alias === ifbAlias(attachment);
}

/** Whether somebody else's plugin may have made it. */
export function hasNoAlias({ alias }: Link): boolean {
  return alias === undefined || alias === '';
}

/** Whose ifb this is; undefined when it is none of ours or does not say. */
export function ifbOwner({ kind, name, alias }: Link): Attachment | undefined {
  if (kind !== 'ifb' || !name.startsWith(NAME_PREFIX)) return undefined;
  // One that long may have been cut.
  if (alias === undefined || alias.length >= MAX_ALIAS_BYTES) return undefined;
  const [network, containerId, ifName, ...rest] = alias.split('/');
  if (!network || !containerId || !ifName || rest.length > 0) return undefined;
  return { network, containerId, ifName };
}

function ifbName(digest: string): string {
  return `${NAME_PREFIX}${digest}`.slice(0, MAX_NAME_BYTES);
}
