import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { handOverKubeletServer } from '../../../../src/agent/objects/kubelet-server.ts';
import { readKubeconfigCluster } from '../../../../src/kube/access/kubeconfig.ts';
import { systemClock } from '../../../../src/util/clock.ts';
import { createLogger } from '../../../../src/util/log.ts';

const AUTHORITY = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
const PATHS = ['/etc/kubernetes/kubelet.conf', '/var/lib/kubelet/kubeconfig'];

function roots() {
  const directory = mkdtempSync(join(tmpdir(), 'weft-kubelet-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return { root: join(directory, 'host'), hostRoot: join(directory, 'run/host') };
}

async function handOver(root: string, hostRoot: string): Promise<readonly string[]> {
  const lines: string[] = [];
  const log = createLogger('info', { write: (line: string) => void lines.push(line) });
  await handOverKubeletServer({ clock: systemClock, log }, { kubeconfigs: PATHS, hostRoot }, root);
  return lines;
}

const options = { clock: systemClock, environment: {} };

test('server, name and authority are handed over, and nothing of the user', async () => {
  const { root, hostRoot } = roots();
  const [, second = ''] = PATHS;
  mkdirSync(join(root, 'var/lib/kubelet'), { recursive: true });
  writeFileSync(join(root, 'var/lib/kubelet/ca.crt'), AUTHORITY);
  const text = `current-context: c
contexts: [{name: c, context: {cluster: a, user: u}}]
clusters:
  - name: a
    cluster: {server: "https://10.0.0.1:6443", tls-server-name: api, certificate-authority: ca.crt}
users: [{name: u, user: {token: the-secret}}]
`;
  writeFileSync(join(root, second), text);
  await handOver(root, hostRoot);
  const written = join(hostRoot, second);
  expect(readFileSync(written, 'utf8')).not.toContain('the-secret');
  const cluster = await readKubeconfigCluster(written, '/', options);
  expect(cluster).toMatchObject({ tlsServerName: 'api', server: new URL('https://10.0.0.1:6443') });
  expect(await cluster.authority?.read()).toBe(AUTHORITY.trim());

  // A kubelet that has moved, or a file that cannot be read, leaves nothing of before.
  writeFileSync(join(root, second), 'current-context: nowhere\n');
  expect((await handOver(root, hostRoot)).join('')).toMatch(
    /read kubeconfig .*kubelet\/kubeconfig/,
  );
  expect(existsSync(written)).toBe(false);
});
