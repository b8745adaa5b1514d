import { BlockList, isIP } from 'node:net';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy the environment names for `server`, undefined for none. Follows Go's
 * http.ProxyFromEnvironment: HTTPS_PROXY or HTTP_PROXY by scheme, NO_PROXY with hosts, domains,
 * addresses and CIDRs, never for localhost or loopback addresses.
 */
export function environmentProxy(server: URL, environment: Environment): string | undefined {
  const name = server.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const proxy = environment[name] || environment[name.toLowerCase()];
  if (!proxy) return undefined;
  const host = server.hostname.replace(/^\[|\]$/g, '');
  const exceptions = (environment['NO_PROXY'] || environment['no_proxy'] || '').split(',');
  const rules = [...exceptions, 'localhost', '127.0.0.0/8', '::1'].map((rule) => rule.trim());
  if (rules.some((rule) => isException(rule, host, server.port))) return undefined;
  return proxy.includes('://') ? proxy : `http://${proxy}`;
}

function isException(rule: string, host: string, port: string): boolean {
  if (rule === '') return false;
  if (rule === '*') return true;
  if (rule.includes('/')) return isInCidr(rule, host);
  const bare = rule.replace(/^\[|\]$/g, '');
  if (isIP(bare) !== 0) return bare === host;
  const [, name = rule, rulePort] = /^(.*?)(?::(\d+))?$/.exec(rule) ?? [];
  if (rulePort !== undefined && rulePort !== port) return false;
  const domain = name.toLowerCase().replace(/^\*?\./, '');
  const isSubdomain = host.endsWith(`.${domain}`);
  return name.startsWith('.') || name.startsWith('*.')
    ? isSubdomain
    : isSubdomain || host === domain;
}

function isInCidr(rule: string, host: string): boolean {
  const [network = '', prefix = ''] = rule.split('/');
  const family = isIP(host);
  const length = Number(prefix);
  if (family === 0 || isIP(network) !== family || !/^\d+$/.test(prefix)) return false;
  if (length > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(network, length, type);
  return list.check(host, type);
}
