/** What works with the reference plugins works here: no key of theirs is refused or forgotten. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { configRefusals } from '../../../src/cni/refusals.ts';
import { PLUGIN_NAMES } from '../../../src/cni/registry.ts';
import { referenceKeys } from './reference-keys.ts';

const root = new URL('../../../', import.meta.url).pathname;
const rows = Object.entries(referenceKeys).flatMap(([plugin, keys]) =>
  keys.map((key) => ({ plugin, ...key })),
);
/** What a plugin needs besides the key. */
const base: Readonly<Record<string, object>> = {
  bridge: { ipam: { type: 'host-local', subnet: '10.1.0.0/24' } },
};

test('every name that is served has its keys in the table, or reads none', () => {
  const withoutKeys = ['weft', 'loopback'];
  const named = [...Object.keys(referenceKeys), ...withoutKeys].sort();
  expect(named).toEqual([...PLUGIN_NAMES].sort());
});

describe.each(rows)('$plugin: $key', ({ plugin, key, since, config, test: [file, title] }) => {
  test('is accepted', () => {
    // Whoever executes an IPAM plugin has a type of its own.
    const type = plugin === 'host-local' || plugin === 'static' ? 'macvlan' : plugin;
    const plugins = [{ type, ...base[plugin], ...config }];
    const network = { file: 'x', name: 'net', cniVersion: '1.0.0', plugins };
    expect(configRefusals([network], PLUGIN_NAMES)).toEqual([]);
  });

  test('has its test', () => {
    expect(readFileSync(`${root}${file}`, 'utf8')).toContain(title);
  });

  test('is as old as it says', () => {
    const binary = readFileSync(`/usr/lib/cni/${plugin}`, 'latin1').toLowerCase();
    const name = key.replace(/:.*/, '').split('.').at(-1)!.toLowerCase();
    // Go's field needs no tag where it has the key's name but for case.
    if (since === '1.1.1') expect(binary).toContain(name);
    else if (!key.includes(':')) expect(binary).not.toContain(`json:"${name}`);
  });
});
