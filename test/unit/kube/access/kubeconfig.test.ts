import { rmSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  serviceAccountAccess,
  serviceAddress,
} from '../../../../src/kube/access/service-account.ts';
import { errorCode } from '../../../../src/util/errors.ts';

import {
  accessOptions,
  clock,
  directory,
  EXEC_V1,
  type Parts,
  path,
  read,
  useKubeconfigDirectory,
  writeConfig,
} from './kubeconfig-setup.ts';

useKubeconfigDirectory();

describe('what a kubeconfig says', () => {
  test('the current context decides', async () => {
    writeConfig({
      cluster: { 'tls-server-name': 'api.example', 'proxy-url': 'http://192.168.0.9:3128' },
      user: { token: 't0ken' },
    });
    const access = await read();
    expect(access).toMatchObject({
      tlsServerName: 'api.example',
      isTlsVerified: true,
      proxyUrl: 'http://192.168.0.9:3128',
    });
    expect(access.server.href).toBe('https://192.168.0.1:6443/');
    expect(await access.credentials.current()).toMatchObject({ authorization: 'Bearer t0ken' });
  });

  test('a user with a password', async () => {
    writeConfig({ user: { username: 'u', password: 'pässword' } });
    const { authorization } = await (await read()).credentials.current();
    const encoded = Buffer.from('u:pässword').toString('base64');
    expect(authorization).toBe(`Basic ${encoded}`);
  });

  test('no user at all', async () => {
    writeConfig({ root: { contexts: [{ name: 'main', context: { cluster: 'c' } }] } });
    const credential = await (await read()).credentials.current();
    expect(credential.authorization).toBeUndefined();
  });

  test('impersonation', async () => {
    writeConfig({ user: { as: 'jane', 'as-uid': '7', 'as-groups': ['dev', 'ops'] } });
    expect((await read()).headers).toEqual({
      'Impersonate-User': 'jane',
      'Impersonate-Uid': '7',
      'Impersonate-Group': ['dev', 'ops'],
    });
  });

  const wrong: { name: string; parts: Parts; key: string }[] = [
    {
      name: 'no current context',
      parts: { root: { 'current-context': '' } },
      key: 'current-context',
    },
    { name: 'unknown context', parts: { root: { 'current-context': 'x' } }, key: 'contexts' },
    { name: 'unknown cluster', parts: { root: { clusters: [] } }, key: 'clusters' },
    { name: 'unknown user', parts: { root: { users: [] } }, key: 'users' },
    { name: 'users is a map', parts: { root: { users: {} } }, key: 'users' },
    { name: 'no server', parts: { cluster: { server: '' } }, key: 'clusters[0].cluster.server' },
    {
      name: 'odd server',
      parts: { cluster: { server: 'x:1' } },
      key: 'clusters[0].cluster.server',
    },
    {
      name: 'socks proxy',
      parts: { cluster: { 'proxy-url': 'socks5://192.168.0.9' } },
      key: 'clusters[0].cluster.proxy-url',
    },
    {
      name: 'CA that is not PEM',
      parts: { cluster: { 'certificate-authority-data': 'c2VjcmV0' } },
      key: 'clusters[0].cluster.certificate-authority-data',
    },
    { name: 'token is a number', parts: { user: { token: 123456 } }, key: 'users[0].user.token' },
    {
      name: 'certificate without key',
      parts: { user: { 'client-certificate': 'x' } },
      key: 'users[0].user',
    },
    {
      name: 'auth provider',
      parts: { user: { 'auth-provider': { name: 'gcp' } } },
      key: 'users[0].user.auth-provider',
    },
    {
      name: 'old exec API',
      parts: {
        user: { exec: { apiVersion: 'client.authentication.k8s.io/v1alpha1', command: 'x' } },
      },
      key: 'users[0].user.exec.apiVersion',
    },
    {
      name: 'exec without command',
      parts: { user: { exec: { apiVersion: EXEC_V1 } } },
      key: 'users[0].user.exec.command',
    },
  ];
  test.each(wrong)('$name is reported with file and key', async ({ parts, key }) => {
    writeConfig(parts);
    const error: unknown = await read().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'CONFIG', key });
    expect(String(error)).toContain(path('config'));
    expect(String(error)).not.toContain('123456');
  });

  test('broken YAML is reported with its place and without its text', async () => {
    writeFileSync(path('config'), 'users:\n- user: {token: s3cret\nclusters: []\n');
    const error = await read().catch((thrown: unknown) => String(thrown));
    expect(error).toMatch(/config:\d+:\d+/);
    expect(error).not.toContain('s3cret');
  });

  test('a missing file is an I/O error', async () => {
    const error = await read(path('absent')).catch((thrown: unknown) => thrown);
    expect(errorCode(error)).toBe('IO');
  });
});

describe('files', () => {
  test('a token file is relative to the kubeconfig and read again after a minute', async () => {
    writeConfig({ user: { tokenFile: './token' } });
    writeFileSync(path('token'), 'one\n');
    const { credentials } = await read();
    const seen = [await credentials.current()];
    writeFileSync(path('token'), 'two\n');
    clock.advance(59_999);
    seen.push(await credentials.current());
    clock.advance(1);
    seen.push(await credentials.current());
    expect(seen.map(({ authorization }) => authorization)).toEqual([
      'Bearer one',
      'Bearer one',
      'Bearer two',
    ]);
  });

  test('a token file that vanishes leaves the last token', async () => {
    writeConfig({ user: { tokenFile: 'token' } });
    writeFileSync(path('token'), 'one');
    const { credentials } = await read();
    await credentials.current();
    rmSync(path('token'));
    clock.advance(60_000);
    expect(await credentials.current()).toMatchObject({ authorization: 'Bearer one' });
  });

  test('a token file that never was there is an error that names it', async () => {
    writeConfig({ user: { tokenFile: 'token' } });
    const { credentials } = await read();
    await expect(credentials.current()).rejects.toThrow(path('token'));
  });

  test('a token stands in until its file is readable', async () => {
    writeConfig({ user: { token: 'fixed', tokenFile: 'token' } });
    const { credentials } = await read();
    expect(await credentials.current()).toMatchObject({ authorization: 'Bearer fixed' });
    writeFileSync(path('token'), 'filed');
    expect(await credentials.current()).toMatchObject({ authorization: 'Bearer filed' });
  });

  test('data wins over the file', async () => {
    const data = Buffer.from('-----BEGIN CERTIFICATE-----data').toString('base64');
    writeConfig({
      cluster: { 'certificate-authority': 'absent', 'certificate-authority-data': data },
    });
    const credential = await (await read()).credentials.current();
    expect(credential.certificateAuthority).toContain('data');
  });
});

describe('in a pod', () => {
  const environment = { KUBERNETES_SERVICE_HOST: 'fd00:10:96::1', KUBERNETES_SERVICE_PORT: '443' };

  test('takes the service account', async () => {
    writeFileSync(path('token'), 'one');
    writeFileSync(path('ca.crt'), '-----BEGIN CERTIFICATE-----');
    const server = serviceAddress(environment);
    const access = serviceAccountAccess(server, accessOptions(environment), directory);
    expect(access.server.href).toBe('https://[fd00:10:96::1]/');
    expect(await access.credentials.current()).toMatchObject({
      authorization: 'Bearer one',
      certificateAuthority: '-----BEGIN CERTIFICATE-----',
    });
  });

  test.each(['KUBERNETES_SERVICE_HOST', 'KUBERNETES_SERVICE_PORT'])('%s is required', (key) => {
    const options = accessOptions({ ...environment, [key]: undefined });
    expect(() => serviceAddress(options.environment)).toThrow(
      expect.objectContaining({ code: 'CONFIG', key }),
    );
  });
});
