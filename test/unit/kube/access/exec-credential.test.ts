import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readKubeconfig } from '../../../../src/kube/access/kubeconfig.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { until } from '../../../support/until.ts';
import {
  accessOptions,
  callCount,
  clock,
  count,
  directory,
  EXEC_V1,
  path,
  read,
  startServer,
  useKubeconfigDirectory,
  writeConfig,
  writePlugin,
  writeScript,
} from './kubeconfig-setup.ts';

useKubeconfigDirectory();

describe('exec plugin', () => {
  const withPlugin = async (exec: Record<string, unknown> = {}, cluster = {}) => {
    writeConfig({ user: { exec: { apiVersion: EXEC_V1, command: './plugin', ...exec } }, cluster });
    return (await read()).credentials;
  };

  test('is asked once while its token has no end', async () => {
    writePlugin({ token: 'one' });
    const credentials = await withPlugin();
    const [first, second] = await Promise.all([credentials.current(), credentials.current()]);
    clock.advance(1e9);
    expect(await credentials.current()).toMatchObject({ authorization: 'Bearer one' });
    expect(second).toEqual(first);
    expect(callCount()).toBe(1);
  });

  test('is asked again shortly before its token expires', async () => {
    const expirationTimestamp = new Date(clock.now() + 100_000).toISOString();
    writePlugin({ token: 'one', expirationTimestamp });
    const credentials = await withPlugin();
    await credentials.current();
    clock.advance(89_999);
    await credentials.current();
    expect(callCount()).toBe(1);
    clock.advance(1);
    await credentials.current();
    expect(callCount()).toBe(2);
  });

  test('is asked again when the server refused the token', async () => {
    const api = await startServer({ authorization: 'Bearer two' });
    writePlugin({ token: 'one' });
    const exec = { apiVersion: EXEC_V1, command: './plugin' };
    const access = await read(api.kubeconfig(path('config'), { exec }));
    await access.credentials.current();
    writePlugin({ token: 'two' });
    expect(await count(access)).toBe(1);
    expect(callCount()).toBe(2);
  });

  test('may give a client certificate, and speak v1beta1', async () => {
    const apiVersion = 'client.authentication.k8s.io/v1beta1';
    writePlugin({ clientCertificateData: 'C', clientKeyData: 'K' }, apiVersion);
    const credentials = await withPlugin({ apiVersion });
    const current = await credentials.current();
    expect(current).toMatchObject({ clientCertificate: 'C', clientKey: 'K' });
    expect(current.authorization).toBeUndefined();
  });

  test('gets its arguments, its environment and, if it asks, the cluster', async () => {
    writePlugin({ token: 'one' });
    writeScript(
      'asked',
      `cd ${directory}; echo "$1 $GREETING" > seen; echo "$KUBERNETES_EXEC_INFO" > info; cat answer`,
    );
    const credentials = await withPlugin(
      {
        command: path('asked'),
        args: ['--hello'],
        env: [{ name: 'GREETING', value: 'hi' }],
        provideClusterInfo: true,
      },
      {
        'tls-server-name': 'api.example',
        extensions: [{ name: 'client.authentication.k8s.io/exec', extension: { audience: 'x' } }],
      },
    );
    await credentials.current();
    expect(readFileSync(path('seen'), 'utf8')).toBe('--hello hi\n');
    expect(JSON.parse(readFileSync(path('info'), 'utf8'))).toEqual({
      apiVersion: EXEC_V1,
      kind: 'ExecCredential',
      spec: {
        interactive: false,
        cluster: {
          server: 'https://192.168.0.1:6443',
          'tls-server-name': 'api.example',
          config: { audience: 'x' },
        },
      },
    });
  });

  test.each([
    { name: 'no JSON', body: 'echo s3cret', reason: 'is not JSON' },
    { name: 'another kind', body: 'echo \'{"kind":"X","t":"s3cret"}\'', reason: 'kind' },
    {
      name: 'another version',
      body: 'echo \'{"kind":"ExecCredential","apiVersion":"s3cret"}\'',
      reason: 'apiVersion is not',
    },
    {
      name: 'no credential',
      body: `echo '{"kind":"ExecCredential","apiVersion":"${EXEC_V1}","status":{}}'`,
      reason: 'neither',
    },
    { name: 'failure', body: 'echo no luck >&2; exit 3', reason: 'exit 3: no luck (install it)' },
  ])('$name is an error that keeps secrets', async ({ body, reason }) => {
    writeScript('plugin', body);
    const credentials = await withPlugin({ installHint: 'install it', args: ['--token=s3cret'] });
    const error = String(await credentials.current().catch((thrown: unknown) => thrown));
    expect(error).toContain(reason);
    expect(error).not.toContain('s3cret');
  });

  test.each(['sleep 30', 'sleep 30; true', 'sleep 30 & sleep 30'])(
    'that hangs (%s) is killed',
    async (body) => {
      writeScript('plugin', body);
      writeConfig({ user: { exec: { apiVersion: EXEC_V1, command: './plugin' } } });
      const options = { ...accessOptions(), execTimeoutMs: 50 };
      const { credentials } = await readKubeconfig(path('config'), options);
      await expect(credentials.current()).rejects.toThrow(/killed/);
    },
  );

  test('that takes its time is named while it is waited for', async () => {
    writeScript('plugin', 'sleep 30');
    writeConfig({ user: { exec: { apiVersion: EXEC_V1, command: './plugin' } } });
    const clock = new FakeClock();
    const slow: unknown[] = [];
    const onSlowPlugin = (...what: unknown[]) => slow.push(what);
    const options = { ...accessOptions(), clock, execTimeoutMs: 500, onSlowPlugin };
    const { credentials } = await readKubeconfig(path('config'), options);
    const answer = credentials.current().catch(() => undefined);
    await until('it runs', () => {
      clock.advance(5_000);
      return slow.length > 0;
    });
    await answer;
    expect(slow).toEqual([[expect.stringMatching(/plugin$/), 5_000]]);
  });

  test('that is not installed is an error with the hint', async () => {
    const credentials = await withPlugin({ command: 'weft-no-such-plugin', installHint: 'get it' });
    await expect(credentials.current()).rejects.toThrow(/ENOENT.*get it/);
  });
});
