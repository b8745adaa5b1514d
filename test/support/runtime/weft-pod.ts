/** The pod of a manifest on a node with containerd, run as the kubelet would, and its API server. */
import type { ChildProcess } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { until } from '../until.ts';
import type { Containerd } from './containerd.ts';
import type { ContainerStatus } from './cri-container-messages.ts';
import {
  containerConfig,
  missingPaths,
  type PodContainer,
  type PodSpec,
  type PodSurroundings,
} from './pod-spec.ts';

const API_SERVER = new URL('../workloads/api-server.ts', import.meta.url).pathname;
const SECRETS = '/run/secrets';
/** Directory on the node with the files of the Secret `weft-bgp`. */
export const BGP_PASSWORDS = '/run/bgp-passwords';
const CONFIG = '/run/config';
/** The machine's own is not for tests. */
const KUBERNETES = { of: '/etc/kubernetes', here: '/run/etc-kubernetes' } as const;

export interface ManifestObject {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly template?: { readonly spec: PodSpec } };
}

export class WeftPod {
  readonly #containerd: Containerd;
  readonly #spec: PodSpec;
  readonly #surroundings: PodSurroundings;
  readonly #sandbox: ReturnType<Containerd['sandboxConfig']>;
  #sandboxId = '';

  /** Of the first DaemonSet, or the one of that name, and the ConfigMap in `manifest`. */
  constructor(containerd: Containerd, manifest: string, name?: string) {
    const objects = parseAllDocuments(manifest).map((each) => each.toJS() as ManifestObject);
    const template = objects.find(
      ({ kind, metadata }) => kind === 'DaemonSet' && (name ?? metadata.name) === metadata.name,
    )?.spec?.template;
    if (template === undefined) throw new Error(`no DaemonSet ${name ?? ''}`);
    const spec = moved(template.spec);
    this.#containerd = containerd;
    this.#spec = spec;
    const { node } = containerd;
    for (const path of [CONFIG, BGP_PASSWORDS]) mkdirSync(node.path(path), { recursive: true });
    const files = objects.find(({ kind }) => kind === 'ConfigMap')?.data ?? {};
    for (const [key, text] of Object.entries(files))
      writeFileSync(node.path(`${CONFIG}/${key}`), text);
    for (const command of missingPaths(spec)) node.run('sh', '-c', command);
    this.#surroundings = {
      nodeName: 'node-a',
      configMaps: { weft: CONFIG },
      secrets: { 'weft-bgp': BGP_PASSWORDS },
      serviceAccount: SECRETS,
      // Nobody serves it yet.
      environment: { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' },
    };
    this.#sandbox = containerd.sandboxConfig(name ?? 'weft', {
      // The node's own name goes with its network.
      ...(spec.hostNetwork === true ? { hostname: '' } : {}),
      usesNodeNetwork: spec.hostNetwork === true,
      isPrivileged: spec.initContainers.some((each) => each.securityContext.privileged),
    });
  }

  /** Runs the init containers to their ends, and starts the agent. Gives its container's id. */
  async start(change: (container: PodContainer) => PodContainer = (same) => same): Promise<string> {
    const { cri } = this.#containerd;
    this.#sandboxId = await cri.runPodSandbox(this.#sandbox);
    for (const container of this.#spec.initContainers) {
      const id = await this.#run(container);
      const { exitCode } = await until(`${container.name} ends`, async () => {
        const status = await cri.containerStatus(id);
        return status.state === 'exited' ? status : undefined;
      });
      if (exitCode !== 0) throw new Error(`${container.name}: ${this.log(container.name)}`);
    }
    const [main] = this.#spec.containers;
    if (main === undefined) throw new Error('no container');
    return this.#run(change(main));
  }

  /** As the kubelet ends a pod: SIGTERM, and SIGKILL when the grace period is over. */
  async stop(containerId: string): Promise<ContainerStatus> {
    const { cri } = this.#containerd;
    await cri.stopContainer(containerId, this.#spec.terminationGracePeriodSeconds);
    return cri.containerStatus(containerId);
  }

  async remove(): Promise<void> {
    const { cri } = this.#containerd;
    await cri.stopPodSandbox(this.#sandboxId);
    await cri.removePodSandbox(this.#sandboxId);
  }

  /** What a container has printed, each line with the runtime's time and stream before it. */
  log(name: string): string {
    return readFileSync(this.#containerd.node.path(`/run/logs/${name}.log`), 'utf8');
  }

  async #run(container: PodContainer): Promise<string> {
    const { cri } = this.#containerd;
    const config = containerConfig(container, this.#spec, this.#surroundings);
    const id = await cri.createContainer(this.#sandboxId, config, this.#sandbox);
    await cri.startContainer(id);
    return id;
  }
}

function moved(spec: PodSpec): PodSpec {
  const volumes = spec.volumes.map((volume) => {
    const isElsewhere = volume.hostPath?.path === KUBERNETES.of;
    return isElsewhere
      ? { ...volume, hostPath: { ...volume.hostPath, path: KUBERNETES.here } }
      : volume;
  });
  // A manifest may leave them out.
  const { initContainers = [] } = spec as Partial<PodSpec>;
  return { ...spec, initContainers, volumes };
}

/** A fake API server on the node's loopback, which the kubelet's kubeconfig names. */
export class NodeApiServer {
  readonly url: string;
  readonly #process: ChildProcess;
  #output = '';

  private constructor(process: ChildProcess, url: string) {
    this.#process = process;
    this.url = url;
    process.stdout?.on('data', (chunk) => {
      this.#output += chunk;
    });
  }

  static async start({ node }: Containerd): Promise<NodeApiServer> {
    const kubeconfig = join(node.directory, 'kubeconfig');
    const child = node.netns.start(process.execPath, [API_SERVER, kubeconfig]);
    let output = '';
    child.stdout?.on('data', (chunk) => {
      output += chunk;
    });
    await until('the API server listens', () => output.includes('ready'));
    const { clusters } = JSON.parse(readFileSync(kubeconfig, 'utf8'));
    const { server, 'certificate-authority-data': authority } = clusters[0].cluster;
    mkdirSync(node.path(SECRETS), { recursive: true });
    writeFileSync(node.path(`${SECRETS}/ca.crt`), Buffer.from(authority, 'base64'));
    writeFileSync(node.path(`${SECRETS}/token`), 'token');
    // What kubeadm leaves on a node.
    mkdirSync(node.path(KUBERNETES.here), { recursive: true });
    copyFileSync(kubeconfig, node.path(`${KUBERNETES.here}/kubelet.conf`));
    return new NodeApiServer(child, server);
  }

  put(plural: string, object: object): void {
    this.#process.stdin?.write(`${JSON.stringify({ put: [plural, object] })}\n`);
  }

  /** The object as clients have left it. */
  async show(plural: string, key: string): Promise<unknown> {
    this.#output = '';
    this.#process.stdin?.write(`${JSON.stringify({ show: [plural, key] })}\n`);
    const line = await until('the API server answers', () => {
      return this.#output.split('\n').find((text) => text.startsWith('{'));
    });
    return JSON.parse(line);
  }
}
