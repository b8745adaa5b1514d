import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import {
  type ApiServerSettings,
  type FoundServers,
  findApiServers,
} from '../../../../src/kube/access/discovery.ts';
import {
  accessOptions,
  directory,
  path,
  useKubeconfigDirectory,
  writeConfig,
} from './kubeconfig-setup.ts';

useKubeconfigDirectory();

const POD = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };
const PEM = (name: string) => `-----BEGIN CERTIFICATE-----\n${name}\n-----END CERTIFICATE-----`;
const KUBELET = '/etc/kubernetes/kubelet.conf';

beforeEach(() => {
  writeFileSync(path('token'), 'of the service account');
  writeFileSync(path('ca.crt'), PEM('service account'));
});

function find(
  change: Partial<ApiServerSettings> = {},
  environment: Record<string, string> = POD,
): Promise<FoundServers> {
  const settings = {
    ...{ servers: [], kubeletKubeconfigs: [KUBELET, '/var/lib/kubelet/kubeconfig'] },
    ...{ hostRoot: path('host'), ...change },
  };
  return findApiServers(settings, accessOptions(environment), directory);
}

function put(file: string, text: string): void {
  mkdirSync(dirname(path(file)), { recursive: true });
  writeFileSync(path(file), text);
}

/** As kubeadm writes it: the kubelet's certificate is in a file, and so may be the authority. */
function kubeletConfig(cluster: object, file = `host${KUBELET}`): void {
  const user = {
    'client-certificate': '/var/lib/kubelet/pki/kubelet-client-current.pem',
    'client-key': '/var/lib/kubelet/pki/kubelet-client-current.pem',
    token: 'of the kubelet',
    exec: { apiVersion: 'nonsense', command: '/bin/false' },
  };
  const config = {
    'current-context': 'main',
    contexts: [{ name: 'main', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { server: 'https://192.168.0.10:6443', ...cluster } }],
    users: [{ name: 'u', user }],
  };
  put(file, stringify(config));
}

const summary = ({ servers }: FoundServers) =>
  servers.map(({ access, foundBy }) => [access.server.href, foundBy]);

const SERVICE = ['https://10.96.0.1/', 'KUBERNETES_SERVICE_HOST'];

describe('where the API server is', () => {
  test('the Service address, where nothing else is known', async () => {
    expect(summary(await find())).toEqual([SERVICE]);
  });

  test("the kubelet's server goes before it", async () => {
    kubeletConfig({});
    expect(summary(await find())).toEqual([
      ['https://192.168.0.10:6443/', `the kubelet's kubeconfig ${path(`host${KUBELET}`)}`],
      SERVICE,
    ]);
  });

  test('the second file counts where there is no first', async () => {
    kubeletConfig({ server: 'https://10.0.0.2' }, 'host/var/lib/kubelet/kubeconfig');
    expect(summary(await find())[0]?.[0]).toBe('https://10.0.0.2/');
  });

  test('configured servers alone, whatever the kubelet has', async () => {
    kubeletConfig({});
    const servers = [new URL('https://a:6443'), new URL('https://b:6443')];
    expect(summary(await find({ servers }))).toEqual([
      ['https://a:6443/', 'the configuration'],
      ['https://b:6443/', 'the configuration'],
    ]);
    expect(summary(await find({ servers }, {}))).toHaveLength(2);
  });

  test('a kubeconfig, and configured servers in the place of its own', async () => {
    kubeletConfig({});
    writeConfig({ user: { token: 'of the kubeconfig' } });
    const kubeconfig = path('config');
    expect(summary(await find({ kubeconfig }))).toEqual([
      ['https://192.168.0.1:6443/', `kubeconfig ${kubeconfig}`],
    ]);
    const { servers } = await find({ kubeconfig, servers: [new URL('https://a')] });
    expect(servers[0]?.access.server.href).toBe('https://a/');
    expect((await servers[0]?.access.credentials.current())?.authorization).toBe(
      'Bearer of the kubeconfig',
    );
  });

  test('none at all is an error', async () => {
    await expect(find({}, {})).rejects.toMatchObject({ code: 'CONFIG' });
  });

  test('configured servers need credentials', async () => {
    rmSync(path('token'));
    const found = find({ servers: [new URL('https://a')] });
    await expect(found).rejects.toThrow(/no credentials for the API servers.*--kubeconfig/);
  });

  test('a broken file is passed over and told, without what it holds', async () => {
    put(`host${KUBELET}`, 'token: s3cret: [');
    const found = await find();
    expect(summary(found)).toEqual([SERVICE]);
    expect(found.notes).toEqual([expect.stringContaining('kubelet.conf')]);
    expect(found.notes.join()).not.toContain('s3cret');
  });
});

describe("the kubelet's own credentials are never used", () => {
  const credential = async () => {
    const { servers, notes } = await find();
    return {
      ...(await servers[0]?.access.credentials.current()),
      notes,
      access: servers[0]?.access,
    };
  };

  test('only its server, authority and server name', async () => {
    const data = Buffer.from(PEM('kubelet')).toString('base64');
    kubeletConfig({ 'certificate-authority-data': data, 'tls-server-name': 'kubernetes' });
    const found = await credential();
    expect(found).toMatchObject({
      authorization: 'Bearer of the service account',
      certificateAuthority: PEM('kubelet'),
      clientCertificate: undefined,
      clientKey: undefined,
      notes: [],
    });
    expect(found.access).toMatchObject({ tlsServerName: 'kubernetes', isTlsVerified: true });
    expect(found.access?.headers).toBeUndefined();
  });

  test('its authority is a file of the host', async () => {
    put('host/etc/kubernetes/pki/ca.crt', PEM('host'));
    kubeletConfig({ 'certificate-authority': '/etc/kubernetes/pki/ca.crt' });
    expect(await credential()).toMatchObject({ certificateAuthority: PEM('host'), notes: [] });
  });

  test.each([
    ['without one', {}, 0],
    ['with one that cannot be read', { 'certificate-authority': '/nowhere' }, 1],
    ['that verifies nobody', { 'insecure-skip-tls-verify': true }, 0],
  ])('%s the service account vouches', async (_name, cluster, noteCount) => {
    kubeletConfig(cluster);
    const found = await credential();
    expect(found.certificateAuthority).toBe(PEM('service account'));
    expect(found.access?.isTlsVerified).toBe(true);
    expect(found.notes).toHaveLength(noteCount);
  });
});
