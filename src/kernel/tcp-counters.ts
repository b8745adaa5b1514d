import { IoError } from '../util/errors.ts';
import { readIfThere } from '../util/files.ts';

const FILE = '/proc/net/netstat';

/**
 * Counters of the kernel's TCP in this network namespace, by their names in the line `TcpExt` of
 * /proc/net/netstat (linux/snmp.h). Throws IoError where the kernel does not count one of them.
 */
export function readTcpCounters<Name extends string>(
  names: readonly Name[],
): Readonly<Record<Name, number>> {
  // Names and values are on two lines that begin alike.
  const lines = (readIfThere(FILE) ?? '').split('\n').filter((line) => line.startsWith('TcpExt:'));
  const [known = [], values = []] = lines.map((line) => line.split(' '));
  const counters = names.map((name) => {
    const at = known.indexOf(name);
    if (at < 0) throw new IoError(`${FILE} does not count ${name}`);
    return [name, Number(values[at])] as const;
  });
  // Every name has its value now.
  return Object.fromEntries(counters) as Record<Name, number>;
}
