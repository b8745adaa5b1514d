/** podman 4 with its CNI backend on a RuntimeNode. It has no daemon: every call is a process. */
import { writeFileSync } from 'node:fs';
import { writeProgramImage } from './image.ts';
import { buildWorkload, RuntimeNode } from './runtime-node.ts';

const image = 'localhost/weft/workload:test';

const configuration = `
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
log_driver = "k8s-file"
# The machine may allow less than podman's defaults.
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
network_config_dir = "/etc/cni/net.d"
`;

const storage = `
[storage]
driver = "vfs"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
`;

export interface PodmanContainer {
  readonly id: string;
  readonly ip: string;
}

export class Podman {
  readonly node: RuntimeNode;

  private constructor(node: RuntimeNode) {
    this.node = node;
  }

  /** With the workload's image loaded; networks are read from /etc/cni/net.d at each call. */
  static async start(): Promise<Podman> {
    const node = await RuntimeNode.start();
    const podman = new Podman(node);
    try {
      const anyImage = { default: [{ type: 'insecureAcceptAnything' }] };
      writeFileSync(node.path('/etc/containers/policy.json'), JSON.stringify(anyImage));
      writeFileSync(node.path('/etc/containers/containers.conf'), configuration);
      writeFileSync(node.path('/etc/containers/storage.conf'), storage);
      buildWorkload(node.path('workload'));
      writeProgramImage(node.path('/run/workload.tar'), image, node.path('workload'));
      podman.call('load', '--input', '/run/workload.tar');
    } catch (cause) {
      await node.remove();
      throw cause;
    }
    return podman;
  }

  call(...args: string[]): string {
    return this.node.run('podman', ...args);
  }

  /** Runs the workload in the background, listening on `port`, published on the node's `hostPort`. */
  runDetached(network: string, ports: { port: number; hostPort: number }): PodmanContainer {
    const id = this.call(
      ...(['run', '--detach', '--network', network, '--cgroup-parent', this.node.cgroup] as const),
      ...['--publish', `${ports.hostPort}:${ports.port}`, image, String(ports.port)],
    ).trim();
    const address = `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`;
    return { id, ip: this.call('inspect', '--format', address, id).trim() };
  }

  async remove(): Promise<void> {
    await this.node.remove();
  }
}
