import { type IP, ipFamily, parseSloppyIP } from './ip.ts';

/** A listening address. */
export interface HostPort {
  readonly host: IP;
  readonly port: number;
}

/**
 * Parses `192.0.2.1:80`, `[::1]:80`, or an address alone, which gets `defaultPort`; undefined when
 * the text is neither (kube-proxy AppendPortIfNeeded and validateHostPort).
 */
export function parseHostPort(text: string, defaultPort: number): HostPort | undefined {
  const bare = parseSloppyIP(text);
  if (bare !== undefined) return { host: bare, port: defaultPort };
  const colon = text.lastIndexOf(':');
  if (colon < 0) return undefined;
  const port = parsePort(text.slice(colon + 1));
  const hostText = text.slice(0, colon);
  const isBracketed = hostText.startsWith('[') && hostText.endsWith(']');
  const host = parseSloppyIP(isBracketed ? hostText.slice(1, -1) : hostText);
  if (host === undefined || port === undefined) return undefined;
  if (ipFamily(host) === 6 && !isBracketed) return undefined;
  return { host, port };
}

/** `192.0.2.1:80`, `[::1]:80` or `node-a:80`. */
export function formatHostPort(host: string, port: number | string): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function parsePort(text: string): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65535 ? port : undefined;
}
