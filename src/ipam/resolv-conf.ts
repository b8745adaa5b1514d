import { readFileSync } from 'node:fs';
import { IoError, toError } from '../util/errors.ts';

/** The `dns` of a CNI result. */
export interface DnsSettings {
  readonly nameservers: readonly string[];
  readonly domain: string | undefined;
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/**
 * Reads resolv.conf text as host-local does: `#` and `;` start comment lines, keywords without a
 * value are skipped, repeated `search` and `options` lines add up, the last `domain` wins.
 */
export function parseResolvConf(text: string): DnsSettings {
  const nameservers: string[] = [];
  const search: string[] = [];
  const options: string[] = [];
  let domain: string | undefined;
  for (const line of text.split('\n')) {
    const [keyword = '', ...values] = line.trim().split(/\s+/);
    const [first] = values;
    if (first === undefined || keyword.startsWith('#') || keyword.startsWith(';')) continue;
    if (keyword === 'nameserver') nameservers.push(first);
    else if (keyword === 'domain') domain = first;
    else if (keyword === 'search') search.push(...values);
    else if (keyword === 'options') options.push(...values);
  }
  return { nameservers, domain, search, options };
}

/** parseResolvConf of a file; throws IoError when it cannot be read, also when it is missing. */
export function readResolvConf(path: string): DnsSettings {
  try {
    return parseResolvConf(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new IoError(`read resolvConf ${path}: ${toError(cause).message}`, { cause });
  }
}
