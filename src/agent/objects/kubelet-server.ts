/**
 * What an init container hands over to the agent beside it: which API server the kubelet of this node
 * uses, and who vouches for it. The kubelet's files hold its credentials, and the directory that they
 * are in may hold an administrator's: the agent's container gets neither.
 */

import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { KubeconfigCluster } from '../../kube/access/kubeconfig.ts';
import { readKubeconfigCluster } from '../../kube/access/kubeconfig.ts';
import { toError } from '../../util/errors.ts';
import { replaceFile } from '../../util/files.ts';
import { prettyJson } from '../../util/json.ts';
import type { KubeletSettings } from '../config/source-settings.ts';
import type { AgentContext } from '../context.ts';

/**
 * Writes the first of the kubelet's kubeconfigs that is below `root` to the same place below the
 * configured root of the host, as a kubeconfig without a user. What an earlier start wrote goes.
 */
export async function handOverKubeletServer(
  { clock, log }: Pick<AgentContext, 'clock' | 'log'>,
  { kubeconfigs, hostRoot }: KubeletSettings,
  root: string,
): Promise<void> {
  for (const path of kubeconfigs) rmSync(join(hostRoot, path), { force: true });
  for (const path of kubeconfigs) {
    const file = join(root, path);
    const target = join(hostRoot, path);
    try {
      const cluster = await readKubeconfigCluster(file, root, { clock, environment: {} });
      mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
      replaceFile(target, await withoutUser(cluster));
      log.info({ server: cluster.server.origin, file: target }, "the kubelet's API server");
      return;
    } catch (thrown) {
      log.info({ reason: toError(thrown).message }, 'no API server from the kubelet');
    }
  }
}

async function withoutUser({ server, tlsServerName, authority }: KubeconfigCluster) {
  const text = await authority?.read();
  const cluster = {
    server: server.href,
    ...(tlsServerName === undefined ? {} : { 'tls-server-name': tlsServerName }),
    ...(text === undefined
      ? {}
      : { 'certificate-authority-data': Buffer.from(text).toString('base64') }),
  };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'node',
    contexts: [{ name: 'node', context: { cluster: 'node', user: 'nobody' } }],
    clusters: [{ name: 'node', cluster }],
  };
  return prettyJson(config);
}
