import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** Text of test/golden/cni/<name>; with UPDATE_GOLDEN=1 it is written first. */
export function golden(name: string, text: string): string {
  const url = new URL(`../../golden/cni/${name}`, import.meta.url);
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(url, text);
  return existsSync(url) ? readFileSync(url, 'utf8') : `${name} is missing`;
}
