import { describe, expect, test } from 'vitest';
import { type OwnSettings, resolveOwnSettings } from '../../../../src/agent/config/own-settings.ts';
import { parsePageAddress } from '../../../../src/agent/config/page-address.ts';

test.each([
  ['8474', '127.0.0.1 8474'],
  [':8474', '127.0.0.1 8474'],
  ['0.0.0.0:8474', '0.0.0.0 8474'],
  ['[::1]:8474', '::1 8474'],
  ['[2001:db8::7]:80', '2001:db8::7 80'],
  ['70000', undefined],
  ['192.0.2.1', undefined],
  ['localhost:80', undefined],
  ['', undefined],
])('%s is %s', (text, want) => {
  const address = parsePageAddress(text);
  expect(address && `${address.host} ${address.port}`).toBe(want);
});

describe('settings', () => {
  const resolve = (settings: Partial<OwnSettings>) => () =>
    resolveOwnSettings(settings, {}, () => 'weft.yaml line 1');

  test.each([
    { uiBindAddress: '8474' },
    { uiBindAddress: '127.0.0.1:0' },
    { uiBindAddress: '0.0.0.0:8474', uiTokenFile: '/etc/weft/token' },
  ])('%j', (settings) => {
    expect(resolve(settings)()).toMatchObject(settings);
  });

  test.each([
    [{ uiBindAddress: '0.0.0.0:8474' }, '--ui-bind-address: others than this node may reach it'],
    [{ uiBindAddress: '[::]:8474' }, 'name a file with a token (uiTokenFile)'],
    [{ uiBindAddress: 'eth0:8474' }, '--ui-bind-address: expected a port, or an address'],
    [{ uiTokenFile: 'token' }, '--ui-token-file: expected an absolute path'],
  ])('%j is refused', (settings, reason) => {
    expect(resolve(settings)).toThrow(reason);
  });
});
