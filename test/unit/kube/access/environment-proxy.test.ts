import { expect, test } from 'vitest';
import { environmentProxy } from '../../../../src/kube/access/environment-proxy.ts';

const proxy = 'http://192.168.0.9:3128';

test.each([
  { server: 'https://192.168.0.1:6443', noProxy: '', want: proxy },
  { server: 'http://192.168.0.1:8080', noProxy: '', want: undefined },
  { server: 'https://192.168.0.1:6443', noProxy: '192.168.0.1', want: undefined },
  { server: 'https://192.168.0.1:6443', noProxy: '10.0.0.0/8, 192.168.0.0/24', want: undefined },
  {
    server: 'https://192.168.0.1:6443',
    noProxy: '10.0.0.0/8,fd00::/8,192.168.0.0/99',
    want: proxy,
  },
  { server: 'https://[fd00::1]:6443', noProxy: 'fd00::/8', want: undefined },
  { server: 'https://[fd00::1]:6443', noProxy: '', want: proxy },
  { server: 'https://192.168.0.1:6443', noProxy: '*', want: undefined },
  { server: 'https://api.example:6443', noProxy: 'example', want: undefined },
  { server: 'https://api.example:6443', noProxy: 'api.example', want: undefined },
  { server: 'https://api.example:6443', noProxy: 'API.example:6443', want: undefined },
  { server: 'https://api.example:6443', noProxy: 'api.example:443', want: proxy },
  { server: 'https://example:6443', noProxy: '.example', want: proxy },
  { server: 'https://notexample:6443', noProxy: 'example', want: proxy },
  { server: 'https://localhost:6443', noProxy: '', want: undefined },
  { server: 'https://127.0.0.2:6443', noProxy: '', want: undefined },
  { server: 'https://[::1]:6443', noProxy: '', want: undefined },
])('$server with NO_PROXY=$noProxy', ({ server, noProxy, want }) => {
  const environment = { HTTPS_PROXY: proxy, NO_PROXY: noProxy };
  expect(environmentProxy(new URL(server), environment)).toBe(want);
});

test('a proxy without a scheme is an http proxy', () => {
  const environment = { https_proxy: '192.168.0.9:3128' };
  expect(environmentProxy(new URL('https://192.168.0.1'), environment)).toBe(proxy);
});
