/** A pod of weft's DaemonSet as processes of a node: without an image, and without what of it is the machine's. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ClusterNode, INSTALL_ROOT } from '../cluster.ts';
import type { PodContainer, PodSpec } from '../runtime/pod-spec.ts';
import type { NodeFiles } from './node-files.ts';

/** What runs on a node for a DaemonSet. */
export interface RunningPod {
  readonly labels: Readonly<Record<string, string>>;
  isReady(): boolean;
  log(): string;
  /** As the kubelet ends it. */
  end(): Promise<void>;
}

export interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: PodSpec & { readonly nodeSelector?: Readonly<Record<string, string>> };
}

const ACCOUNT = '/run/secrets/kubernetes.io/serviceaccount';
const END_TIMEOUT_MS = 15_000;
/** A process sees none but its own, as in a pod; its namespaces of files and network are the node's. */
const ALONE = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation=slave'];

/** What a cluster and its machine give to the pod: the tree of the image, an account, the kubelet's file. */
export function prepareNode(files: NodeFiles, kubeconfig: string): void {
  const { clusters } = JSON.parse(readFileSync(kubeconfig, 'utf8'));
  const authority = Buffer.from(clusters[0].cluster['certificate-authority-data'], 'base64');
  files.run(`mkdir -p /opt/weft && mount --bind ${join(INSTALL_ROOT, 'opt/weft')} /opt/weft`);
  files.run(`mkdir -p ${ACCOUNT} /etc/kubernetes /mnt/host/etc /etc/weft /run/weft /var/lib/weft`);
  files.run(`cat >${ACCOUNT}/ca.crt`, { input: authority.toString() });
  files.run(`printf token >${ACCOUNT}/token; ln -s /etc/kubernetes /mnt/host/etc/kubernetes`);
  files.run('cat >/etc/kubernetes/kubelet.conf', { input: readFileSync(kubeconfig, 'utf8') });
}

/** Starts it; `data` is the ConfigMap's. */
export function startAgentPod(
  { node, files }: { readonly node: ClusterNode; readonly files: NodeFiles },
  { metadata, spec }: PodTemplate,
  data: Readonly<Record<string, string>>,
): RunningPod {
  files.run('rm -f /etc/weft/*');
  for (const [name, text] of Object.entries(data))
    files.run(`cat >/etc/weft/${name}`, { input: text });
  putPlugins(files);
  const [main, server] = [spec.containers[0], spec.initContainers.find(isOfAgent)];
  if (main === undefined || server === undefined) throw new Error('no containers');
  const environment = environmentOf(server, node);
  files.run(quoted(server), { environment });
  const [program = '', ...args] = files.enter(...ALONE, ...words(main));
  const child = spawn(program, args, {
    ...{
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], ...environmentOf(main, node) },
    },
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (bytes: Buffer) => {
      log += bytes.toString();
    });
  }
  const isReady = () => answers(node, '/readyz');
  return { labels: metadata.labels, isReady, log: () => log, end: () => end(child) };

  function words(container: PodContainer): readonly string[] {
    const all = [...(container.command ?? []), ...(container.args ?? [])];
    return all.map((word) => word.replace('$(NODE_NAME)', node.name));
  }

  function quoted(container: PodContainer): string {
    return words(container)
      .map((word) => `'${word}'`)
      .join(' ');
  }
}

/** The other one loads modules and writes sysctls of the machine. */
const isOfAgent = ({ securityContext }: PodContainer) => securityContext.privileged !== true;

/** Of what that one does only what is the node's own. */
function putPlugins(files: NodeFiles): void {
  const from = join(INSTALL_ROOT, 'opt/cni/bin/weft');
  files.run(`cp -f ${from} /opt/cni/bin/.weft && mv /opt/cni/bin/.weft /opt/cni/bin/weft`);
  files.run('test -e /opt/cni/bin/loopback || ln -s weft /opt/cni/bin/loopback');
}

/** The machine's directories are the node's here. */
function environmentOf({ env = [] }: PodContainer, node: ClusterNode): Record<string, string> {
  const own = env.map(({ name, value = node.name }) => [
    name,
    value === '/host' ? '/mnt/host' : value.replace('/host/proc', '/proc'),
  ]);
  const service = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };
  return { ...service, ...Object.fromEntries(own) };
}

export function answers({ netns }: ClusterNode, path: string): boolean {
  const url = `http://127.0.0.1:10256${path}`;
  const { stdout } = netns.attempt('curl', ['-s', '-m2', '-o/dev/null', '-w%{http_code}', url]);
  return stdout === '200';
}

/** The process of the pid namespace is the child of `unshare`. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
  process.kill(Number(children.trim().split(' ')[0]), 'SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), END_TIMEOUT_MS);
  await ended;
  clearTimeout(force);
}
