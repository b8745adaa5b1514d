/** containerd with runc and its CRI plugin on a RuntimeNode. */
import { existsSync, writeFileSync } from 'node:fs';
import { until } from '../until.ts';
import { CriClient } from './cri.ts';
import type { SandboxConfig } from './cri-messages.ts';
import { writeProgramImage } from './image.ts';
import { buildWorkload, RuntimeNode } from './runtime-node.ts';

export const pauseImage = 'localhost/weft/pause:test';
export const workloadImage = 'localhost/weft/workload:test';

const socket = '/run/containerd/containerd.sock';
const pause = new URL('../../../native/pause/build/pause', import.meta.url).pathname;

const configuration = `
version = 2
# Snapshotters for file systems that are not here.
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  # A process without CAP_SYS_RESOURCE cannot lower the score to what the CRI plugin wants.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
`;

export class Containerd {
  readonly node: RuntimeNode;
  readonly cri: CriClient;

  private constructor(node: RuntimeNode, cri: CriClient) {
    this.node = node;
    this.cri = cri;
  }

  /** Serves the CRI with both images imported; no network is configured yet. */
  static async start(): Promise<Containerd> {
    const node = await RuntimeNode.start();
    try {
      writeFileSync(node.path('/etc/containerd/config.toml'), configuration);
      node.start('containerd', 'containerd', ['--log-level', 'debug']);
      await until('containerd listens', () => existsSync(node.path(socket)));
      const cri = await CriClient.connect(node.path(socket));
      const containerd = new Containerd(node, cri);
      await until('the CRI answers', () => cri.version());
      await containerd.#importImages();
      return containerd;
    } catch (cause) {
      const log = node.log('containerd');
      await node.remove();
      throw new Error(`containerd does not start:\n${log.slice(-4000)}`, { cause });
    }
  }

  /** Makes the node use a network, and waits until the runtime has read it. */
  async useNetwork(conflist: Record<string, unknown>): Promise<void> {
    const text = JSON.stringify(conflist);
    this.node.writeNetwork(conflist);
    await until(`containerd loads ${text}`, async () => {
      const { conditions, info } = await this.cri.status();
      const isLoaded = info['cniconfig']?.includes(JSON.stringify(text).slice(1, -1)) ?? false;
      return isLoaded && conditions['NetworkReady']?.isMet;
    });
  }

  /** Runs `ctr` on a containerd namespace of the node's own name, which also names the cgroup. */
  ctr(...args: string[]): string {
    return this.node.run('ctr', '--namespace', this.node.cgroup, ...args);
  }

  /** A sandbox of its own for every name. */
  sandboxConfig(name: string, more: Partial<SandboxConfig> = {}): SandboxConfig {
    return {
      metadata: { name, uid: `uid-${name}`, namespace: 'test', attempt: 0 },
      hostname: name,
      logDirectory: '/run/logs',
      cgroupParent: `/${this.node.cgroup}`,
      ...more,
    };
  }

  async remove(): Promise<void> {
    this.cri.close();
    await this.node.remove();
  }

  async #importImages(): Promise<void> {
    const { node } = this;
    buildWorkload(node.path('workload'));
    writeProgramImage(node.path('/run/pause.tar'), pauseImage, pause);
    writeProgramImage(node.path('/run/workload.tar'), workloadImage, node.path('workload'));
    node.run('ctr', '--namespace', 'k8s.io', 'images', 'import', '/run/pause.tar');
    this.ctr('images', 'import', '/run/workload.tar');
    // The CRI plugin hears of images by events; before that it would try to pull.
    const isManaged = 'labels."io.cri-containerd.image"==managed';
    await until('the CRI knows the pause image', () =>
      node.run('ctr', '-n', 'k8s.io', 'images', 'ls', '-q', isManaged).includes(pauseImage),
    );
  }
}
