import { describe, expect, test } from 'vitest';
import { findExecutable, nameOf, PLUGIN_NAMES } from '../../../src/cni/registry.ts';

describe('which plugin a call is for', () => {
  test.each([
    [undefined, 'weft'],
    ['', 'weft'],
    ['weft', 'weft'],
    ['weft-cni', 'weft'],
    ['/opt/cni/bin/bridge', 'bridge'],
    ['host-local', 'host-local'],
    ['../../host-local', 'host-local'],
    ['constructor', 'weft'],
    ['__proto__', 'weft'],
  ])('executed as %j it answers as %s', (argv0, want) => {
    expect(nameOf(argv0)).toBe(want);
  });

  test.each([
    ['weft', undefined, 'weft', 'main'],
    ['weft', '', 'weft', 'main'],
    ['weft', 'weft', 'weft', 'main'],
    ['weft', 'bridge', 'bridge', 'main'],
    ['weft', 'loopback', 'loopback', 'link'],
    ['weft', 'portmap', 'portmap', 'link'],
    ['bandwidth', undefined, 'bandwidth', 'link'],
    ['weft', 'static', 'static', 'ipam'],
    ['bridge', 'weft', 'bridge', 'main'],
    ['host-local', 'bridge', 'host-local', 'ipam'],
    ['loopback', undefined, 'loopback', 'link'],
  ])('executed as %s with type %j it is %s', (name, type, plugin, kind) => {
    const found = findExecutable(name, type);
    expect([found?.plugin.name, found?.kind]).toEqual([plugin, kind]);
  });

  test.each(['macvlan', 5, {}, 'constructor', 'Bridge'])('type %j is nobody’s', (type) => {
    expect(findExecutable('weft', type)).toBeUndefined();
  });

  test('the names are those of the reference plugins', () => {
    expect(PLUGIN_NAMES.toSorted()).toEqual([
      'bandwidth',
      'bridge',
      'firewall',
      'host-local',
      'loopback',
      'portmap',
      'static',
      'tuning',
      'weft',
    ]);
  });
});
