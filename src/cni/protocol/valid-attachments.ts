/** What GC is told: the attachments of the network that stay (CNI specification, "GC"). */
import { CNI_ERROR_CODE, CniError } from './errors.ts';
import { isJsonObject, memberOf } from './json.ts';

export interface ValidAttachment {
  readonly containerId: string;
  readonly ifName: string;
}

/** The second one is what libcni sent before the key was renamed, and still sends. */
const KEYS = ['cni.dev/valid-attachments', 'cni.dev/attachments'] as const;

/**
 * Undefined when the runtime gave no list, which says nothing about what is valid; an empty list says
 * that nothing is. Throws CNI code 7 rather than take a list it cannot read for an empty one.
 */
export function parseValidAttachments(
  config: Readonly<Record<string, unknown>>,
): readonly ValidAttachment[] | undefined {
  const key = KEYS.find((candidate) => memberOf(config, candidate) !== undefined);
  if (key === undefined) return undefined;
  const list = memberOf(config, key);
  if (!Array.isArray(list)) throw malformed(key, 'must be an array');
  return list.map((entry: unknown, index) => {
    if (!isJsonObject(entry)) throw malformed(`${key}[${index}]`, 'must be an object');
    return {
      containerId: textOf(entry, 'containerID', `${key}[${index}]`),
      ifName: textOf(entry, 'ifname', `${key}[${index}]`),
    };
  });
}

function textOf(entry: Readonly<Record<string, unknown>>, member: string, path: string): string {
  const value = memberOf(entry, member);
  if (typeof value === 'string' && value !== '') return value;
  throw malformed(`${path}.${member}`, 'must be a string that is not empty');
}

function malformed(path: string, reason: string): CniError {
  return new CniError(
    CNI_ERROR_CODE.invalidNetworkConfig,
    `invalid network configuration: key "${path}" ${reason}`,
  );
}
