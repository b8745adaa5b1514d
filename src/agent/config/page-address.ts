import { type HostPort, parseHostPort } from '../../net/host-port.ts';
import { parseIP } from '../../net/ip.ts';

const LOOPBACK = parseIP('127.0.0.1');

/** `8474` or `:8474` of loopback, `192.0.2.1:8474`, `[::1]:8474`; undefined for anything else. */
export function parsePageAddress(text: string): HostPort | undefined {
  const [, digits] = /^:?(\d{1,5})$/.exec(text) ?? [];
  if (digits === undefined) return /:\d+$/.test(text) ? parseHostPort(text, 0) : undefined;
  const port = Number(digits);
  return port <= 65_535 ? { host: LOOPBACK, port } : undefined;
}
