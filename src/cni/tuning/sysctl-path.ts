/** Names of sysctls as configurations spell them. */
import { ConfigError } from '../../util/errors.ts';

const PLACEHOLDER = 'IFNAME';

/**
 * Path below /proc/sys of `net.ipv4.conf.IFNAME.arp_filter` or `net/ipv4/conf/IFNAME/arp_filter`.
 * The first separator decides which one it is, as for sysctl(8): with dots, a slash stands for a
 * dot in a name. Throws ConfigError outside of net/.
 */
export function sysctlPath(key: string, ifName: string): string {
  const usesDots = /[./]/.exec(key)?.[0] === '.';
  const plain = usesDots ? key.replace(/[./]/g, (c) => (c === '.' ? '/' : '.')) : key;
  // The name goes in last: a dot in it separates nothing.
  const segments = plain.split('/').map((segment) => (segment === PLACEHOLDER ? ifName : segment));
  const isPlain = segments.every((segment) => !['', '.', '..'].includes(segment));
  if (segments[0] !== 'net' || segments.length < 2 || !isPlain || key.includes('\0')) {
    throw new ConfigError('sysctl', `invalid net sysctl key: ${JSON.stringify(key)}`);
  }
  return segments.join('/');
}

/**
 * A key that an object `sysctl` of the text has twice: parsed JSON has forgotten the first one.
 * Its values are texts, so it ends with the first brace outside of one.
 */
export function repeatedSysctl(json: string): string | undefined {
  const objects = json.matchAll(/"sysctl"\s*:\s*\{((?:[^"{}]|"(?:[^"\\]|\\.)*")*)\}/gi);
  for (const [, body = ''] of objects) {
    const keys = [...body.matchAll(/"((?:[^"\\]|\\.)*)"\s*:/g)].map(([, key = '']) => key);
    const repeated = keys.find((key, position) => keys.indexOf(key) < position);
    if (repeated !== undefined) return repeated;
  }
  return undefined;
}
