import { expect, test } from 'vitest';
import { resolveAgentConfig } from '../../../../src/agent/config/agent-config.ts';
import { readEtcdFlags } from '../../../../src/agent/config/etcd-settings.ts';

const surroundings = { hostname: 'node-a', environment: {} };
const resolve = (flags: Readonly<Record<string, string>>, text = '', others = {}) => {
  const etcd = readEtcdFlags(flags);
  return resolveAgentConfig({ etcd, ...others }, [{ path: 'weft.yaml', text }], surroundings)
    .source;
};

test('flags go before the file, key by key; other sources of the file give way', () => {
  const file = 'etcd: {endpoints: ["https://a:2379"], prefix: /x, user: u, passwordFile: /p}';
  expect(resolve({}, file)).toMatchObject({ kind: 'etcd', prefix: '/x', user: 'u' });
  expect(resolve({ etcd: 'https://b, https://c', 'etcd-user': 'w' }, file)).toMatchObject({
    ...{ endpoints: ['https://b', 'https://c'], user: 'w', passwordFile: '/p' },
  });
  expect(resolve({ etcd: 'http://b' }, 'kubeconfig: /k')).toEqual({
    ...{ kind: 'etcd', endpoints: ['http://b'], prefix: '/weft' },
    ...{ network: '/coreos.com/network', nodeAddresses: [] },
  });
  expect(resolve({}, file, { manifests: '/m' })).toMatchObject({ kind: 'manifests' });
});

test.each([
  [{ etcd: 'ftp://a' }, '', '--etcd: expected a URL such as https://192.168.0.10:2379'],
  [{ etcd: 'https://u:p@a' }, '', '--etcd: the URL must not hold a user name'],
  [
    {},
    'etcd:\n  endpoints:\n    - https://a\n    - b',
    'weft.yaml:4: etcd.endpoints.1: expected a URL',
  ],
  [{}, 'etcd: {user: u}', 'etcd.user is given and no endpoint'],
  [{ etcd: 'https://a', 'etcd-cert': '/c' }, '', '--etcd-cert: etcd.key (--etcd-key) is missing'],
  [{ etcd: 'https://a', 'etcd-key': '/c' }, '', '--etcd-key: etcd.cert (--etcd-cert) is missing'],
  [{ etcd: 'https://a', 'etcd-user': 'u' }, '', '--etcd-user: etcd.passwordFile'],
  [{ etcd: 'https://a', 'etcd-password-file': '/p' }, '', '--etcd-password-file: etcd.user'],
  [{ etcd: 'http://a', 'etcd-ca': '/c' }, '', '--etcd: certificates have no use without TLS'],
  [
    { etcd: 'http://10.0.0.1', 'etcd-user': 'u', 'etcd-password-file': '/p' },
    '',
    '--etcd: a password is not sent without TLS',
  ],
  [{ etcd: 'https://a', 'etcd-prefix': '/a/' }, '', '--etcd-prefix: expected a path such as /weft'],
  [{ etcd: 'https://a', 'etcd-network': 'x' }, '', '--etcd-network: expected nothing, or a path'],
  [
    { etcd: 'https://a', 'etcd-node-address': 'x' },
    '',
    '--etcd-node-address: expected an IP address',
  ],
  [{ etcd: 'https://a', 'etcd-prefix': 'a' }, '', '--etcd-prefix: expected a path such as /weft'],
  [{}, 'etcd: {endpoints: [https://a]}\nmanifests: /m', 'manifests and etcd exclude each other'],
])('%o %j is refused', (flags, text, message) => {
  expect(() => resolve(flags, text)).toThrow(message);
});

test('on the node itself a password needs no TLS', () => {
  const flags = { etcd: 'http://127.0.0.1:2379', 'etcd-user': 'u', 'etcd-password-file': '/p' };
  expect(resolve(flags)).toMatchObject({ user: 'u' });
});
