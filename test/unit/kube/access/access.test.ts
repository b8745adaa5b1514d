import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { ApiClient } from '../../../../src/kube/api/client.ts';
import { services } from '../../../../src/kube/resources.ts';
import { systemClock } from '../../../../src/util/clock.ts';
import { errorCode } from '../../../../src/util/errors.ts';

import {
  clock,
  count,
  never,
  path,
  read,
  startServer,
  useKubeconfigDirectory,
  writeConfig,
} from './kubeconfig-setup.ts';

useKubeconfigDirectory();

describe('against a server', () => {
  test('a rotated token is read again at once on 401', async () => {
    const api = await startServer({ authorization: 'Bearer one' });
    writeFileSync(path('token'), 'one');
    const access = await read(api.kubeconfig(path('config'), { tokenFile: 'token' }));
    expect(await count(access)).toBe(1);
    writeFileSync(path('token'), 'two');
    api.authorization = 'Bearer two';
    expect(await count(access)).toBe(1);
    expect(api.requests.map(({ authorization }) => authorization)).toEqual([
      'Bearer one',
      'Bearer one',
      'Bearer two',
    ]);
  });

  test('a token that stays refused fails after one more try, unnamed', async () => {
    const api = await startServer({ authorization: 'Bearer right' });
    const access = await read(api.kubeconfig(path('config'), { token: 'wr0ng' }));
    const error = await count(access).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'API', status: 401 });
    expect(JSON.stringify(error) + String(error)).not.toContain('wr0ng');
    expect(api.requests).toHaveLength(2);
  });

  test('a client certificate identifies, and its successor replaces it', async () => {
    const api = await startServer({ requiresClientCertificate: true });
    const install = (name: string) => {
      const { certificate, key } = api.authority.issue(name);
      writeFileSync(path('client.crt'), certificate);
      writeFileSync(path('client.key'), key);
    };
    install('node-1');
    const user = { 'client-certificate': 'client.crt', 'client-key': 'client.key' };
    const access = await read(api.kubeconfig(path('config'), user));
    const client = new ApiClient({ access, version: 'test', clock: systemClock, random: () => 0 });
    const list = () =>
      client.list({ resource: services, usesFieldSelector: true, signal: never }, () => 0);
    await list();
    install('node-1-renewed');
    await list();
    clock.advance(60_000);
    await list();
    client.close();
    expect(api.requests.map(({ clientName }) => clientName)).toEqual([
      'node-1',
      'node-1',
      'node-1-renewed',
    ]);
  });

  test('an unknown authority is not trusted unless verification is off', async () => {
    const api = await startServer();
    writeConfig({ cluster: { server: api.url } });
    await expect(count(await read())).rejects.toThrow(/certificate/);
    writeConfig({ cluster: { server: api.url, 'insecure-skip-tls-verify': true } });
    expect(await count(await read())).toBe(1);
  });

  test('tls-server-name is what the certificate must carry', async () => {
    const api = await startServer({ names: ['DNS:api.example'] });
    const cluster = { server: api.url, 'certificate-authority-data': api.caData };
    writeConfig({ cluster: { ...cluster, 'tls-server-name': 'api.example' } });
    expect(await count(await read())).toBe(1);
    writeConfig({ cluster: { ...cluster, 'tls-server-name': 'other.example' } });
    await expect(count(await read())).rejects.toThrow(/other\.example/);
  });

  test('a path prefix of the server is kept', async () => {
    const api = await startServer();
    const cluster = { server: `${api.url}/k8s/c-1/`, 'certificate-authority-data': api.caData };
    writeConfig({ cluster });
    await count(await read()).catch(() => {});
    expect(api.requests[0]?.path).toBe('/k8s/c-1/api/v1/services');
  });

  test('plain http works, for a proxy on the loopback', async () => {
    const plain = createServer((_, response) => {
      response.end('{"metadata":{"resourceVersion":"1"},"items":[{},{}]}');
    });
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    // A TCP server has an address object once it listens.
    const { port } = plain.address() as AddressInfo;
    writeConfig({ cluster: { server: `http://127.0.0.1:${port}` } });
    expect(await count(await read())).toBe(2);
    plain.close();
  });

  test.each([{ token: 's3cret' }, { username: 'jane', password: 's3cret' }])(
    'a server without TLS is not told who asks: %j',
    async (user) => {
      const seen: unknown[] = [];
      const plain = createServer(({ headers }, response) => {
        seen.push(headers);
        response.end('{"metadata":{"resourceVersion":"1"},"items":[]}');
      });
      await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
      // A TCP server has an address object once it listens.
      const { port } = plain.address() as AddressInfo;
      writeConfig({
        cluster: { server: `http://127.0.0.1:${port}` },
        user: { ...user, as: 'joe' },
      });
      expect(await count(await read())).toBe(0);
      plain.close();
      expect(seen).toHaveLength(1);
      expect(seen[0]).not.toHaveProperty('authorization');
      expect(seen[0]).not.toHaveProperty('impersonate-user');
    },
  );

  test.each(['', '{}', '[]', '{"metadata":{"resourceVersion":"1"},"items":{}}'])(
    'an answer that is no list is an error: %s',
    async (body) => {
      const plain = createServer((_, response) => void response.end(body));
      await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
      // A TCP server has an address object once it listens.
      const { port } = plain.address() as AddressInfo;
      writeConfig({ cluster: { server: `http://127.0.0.1:${port}` } });
      const error = await count(await read()).catch((thrown: unknown) => thrown);
      expect(errorCode(error)).toBe('DECODE');
      plain.close();
    },
  );

  test('proxy-url leads through a CONNECT tunnel', async () => {
    const api = await startServer();
    const { proxy, url, targets } = await startProxy();
    const cluster = {
      server: api.url,
      'certificate-authority-data': api.caData,
      'proxy-url': url,
    };
    writeConfig({ cluster });
    expect(await count(await read())).toBe(1);
    expect(targets).toEqual([new URL(api.url).host]);
    proxy.close();
  });
});

async function startProxy(): Promise<{ proxy: Server; url: string; targets: string[] }> {
  const targets: string[] = [];
  const proxy = createServer().on('connect', ({ url: target = '' }, downstream) => {
    targets.push(target);
    const upstream = connect(Number(target.split(':')[1]), '127.0.0.1', () => {
      downstream.write('HTTP/1.1 200 OK\r\n\r\n');
      downstream.pipe(upstream).pipe(downstream);
    });
    upstream.on('error', () => {});
    downstream.on('error', () => {});
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  // A TCP server has an address object once it listens.
  const { port } = proxy.address() as AddressInfo;
  return { proxy, url: `http://127.0.0.1:${port}`, targets };
}
