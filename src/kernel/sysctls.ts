import { wire } from '../netlink/wire.ts';
import { IoError, toError } from '../util/errors.ts';
import { isMissing } from '../util/files.ts';
import type { Sysctls } from './types.ts';

/** Sysctls of any namespace; the addon enters it for the one read or write and comes back. */
export const sysctls: Sysctls = {
  read(netns, path) {
    requireRelative(path);
    try {
      return wire.readSysctl(netns?.fd ?? -1, path).trimEnd();
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw new IoError(`read sysctl ${path}: ${toError(error).message}`, { cause: error });
    }
  },

  write(netns, path, value) {
    if (sysctls.read(netns, path) === value) return;
    try {
      wire.writeSysctl(netns?.fd ?? -1, path, value);
    } catch (error) {
      throw new IoError(`write sysctl ${path}=${value}: ${toError(error).message}`, {
        cause: error,
      });
    }
  },
};

/** The sysctl of one interface; slashes as separators, so a dot in the name needs no escape. */
export function linkSysctl(family: 'ipv4' | 'ipv6', link: string, key: string): string {
  return `net/${family}/conf/${link}/${key}`;
}

function requireRelative(path: string): void {
  const isPlain = path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
  if (!isPlain || path.includes('\0')) throw new IoError(`sysctl path "${path}" is not plain`);
}
