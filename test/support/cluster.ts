/**
 * A small cluster without Kubernetes: node namespaces behind a router, an installed weft on each,
 * pods held by pause processes and wired by executing the CNI binary. Tests and the demo share it.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Backend } from '../../src/fabric/plan.ts';
import { parseSubnetKey } from '../../src/fabric/subnets/lease.ts';
import { TestEtcd } from './etcd.ts';
import { connect, createNetns, type TestNetns } from './netns.ts';
import { type RunningProgram, startIn } from './workloads.ts';

export const INSTALL_ROOT = new URL('../../dist/root', import.meta.url).pathname;
export const CNI_BINARY = join(INSTALL_ROOT, 'opt/cni/bin/weft');
export const WEFT_BINARY = join(INSTALL_ROOT, 'opt/weft/bin/weft');
const PAUSE = new URL('../../native/pause/build/pause', import.meta.url).pathname;

/** How nodes are joined, and who makes the routes between their pods. */
export interface ClusterOptions {
  /** weft's own back end; undefined: static routes, made here. */
  readonly fabric?: Backend;
  /** Numbers of the nodes on another link, behind the router. */
  readonly farNodes?: readonly number[];
  /** Where objects come from; etcd is on the router then, and nodes lease their subnets. */
  readonly source?: 'manifests' | 'etcd';
  /** The agents' section `routing`; each has a directory of its own for BIRD. */
  readonly routing?: object;
}

/** Address plan: node n is 192.168.0.n, its pods are 10.244.n.0/24; IPv6 twins. */
export const plan = {
  clusterCIDR: '10.244.0.0/16,fd00:10:244::/48',
  podCIDRs: (n: number) => [`10.244.${n}.0/24`, `fd00:10:244:${n}::/64`] as const,
  nodeAddresses: (n: number) => [`192.168.0.${n}`, `fd00:192:168::${n}`] as const,
  routerOnNodes: ['192.168.0.254', 'fd00:192:168::fe'] as const,
  /** Of nodes that have a link of their own. */
  farNodeAddresses: (n: number) => [`192.168.9.${n}`, `fd00:192:169::${n}`] as const,
  routerOnFarNodes: ['192.168.9.254', 'fd00:192:169::fe'] as const,
  routerOutside: ['203.0.113.1', '2001:db8:113::1'] as const,
  client: ['203.0.113.10', '2001:db8:113::10'] as const,
};

export interface CniAnswer {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly elapsedMs: number;
}

export interface Pod {
  readonly name: string;
  readonly node: ClusterNode;
  /** `/proc/<pid of pause>/ns/net`: also what CNI_NETNS says. */
  readonly netnsPath: string;
  readonly pausePid: number;
  /** What ADD gave: IPv4 first. */
  readonly addresses: readonly string[];
  /** Name of the veth's end on the node. */
  readonly hostLink: string;
}

export class Cluster {
  readonly directory = mkdtempSync(join(tmpdir(), 'weft-cluster-'));
  readonly manifests = join(this.directory, 'manifests');
  readonly router: TestNetns;
  readonly client: TestNetns;
  readonly nodes: readonly ClusterNode[];
  readonly etcd: TestEtcd | undefined;

  /** Builds namespaces, links and the static routes between nodes; starts no agent. */
  constructor(nodeCount: number, label = 'c', options: ClusterOptions = {}) {
    mkdirSync(this.manifests);
    this.router = createNetns(`${label}-router`);
    const [host] = plan.routerOnNodes;
    this.etcd = options.source === 'etcd' ? new TestEtcd(this.router, { host }) : undefined;
    this.client = createNetns(`${label}-client`);
    this.nodes = Array.from(
      { length: nodeCount },
      (_, i) => new ClusterNode(this, i + 1, createNetns(`${label}-node${i + 1}`), options),
    );
    wireRouter(this.router, this.client);
    for (const node of this.nodes) {
      wireNode(this.router, node);
      if (options.fabric === undefined) routeToPods(node, this.nodes);
    }
  }

  /** Starts etcd, with the configuration that nodes lease their subnets by. */
  async startEtcd(backend: object): Promise<void> {
    const [Network, IPv6Network] = plan.clusterCIDR.split(',');
    await this.etcd?.start();
    const config = { Network, EnableIPv6: true, IPv6Network, Backend: backend };
    this.etcd?.put('/coreos.com/network/config', config);
  }

  /** Puts objects where the agents read them: into a manifest file, or with etcdctl. */
  publish(file: string, objects: readonly ManifestObject[]): void {
    if (this.etcd === undefined) this.writeManifest(file, objects);
    else for (const object of objects) this.etcd.put(etcdKey(object), object);
  }

  /** Writes one manifest file atomically, as `kubectl` or a ConfigMap would appear. */
  writeManifest(file: string, objects: readonly object[]): void {
    const text = objects.map((object) => JSON.stringify(object, undefined, 2)).join('\n---\n');
    const temporary = join(this.directory, `${file}.tmp`);
    writeFileSync(temporary, text);
    spawnSync('mv', [temporary, join(this.manifests, file)]);
  }

  /** Ends every process and removes every namespace and file of the cluster. */
  async remove(): Promise<void> {
    for (const node of this.nodes) await node.end();
    await this.etcd?.remove();
    for (const netns of [this.router, this.client, ...this.nodes.map((node) => node.netns)]) {
      netns.remove();
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export class ClusterNode {
  readonly name: string;
  readonly number: number;
  readonly netns: TestNetns;
  /** On a link of its own, behind the router. */
  readonly isFar: boolean;
  readonly addresses: readonly [string, string];
  readonly runDir: string;
  readonly dataDir: string;
  readonly stateDir: string;
  readonly birdDirectory: string;
  readonly configFile: string;
  agent: RunningProgram | undefined;
  /** Leased ones are known once the agent has started. */
  podCIDRs: readonly [string, string];
  readonly #etcd: TestEtcd | undefined;
  readonly #pauses = new Map<string, number>();

  constructor(
    cluster: Cluster,
    number: number,
    netns: TestNetns,
    { fabric, farNodes = [], routing }: ClusterOptions,
  ) {
    this.number = number;
    this.podCIDRs = plan.podCIDRs(number);
    this.#etcd = cluster.etcd;
    this.isFar = farNodes.includes(number);
    this.addresses = this.isFar ? plan.farNodeAddresses(number) : plan.nodeAddresses(number);
    this.netns = netns;
    this.name = `node${number}`;
    const home = join(cluster.directory, this.name);
    mkdirSync(home);
    this.runDir = join(home, 'run');
    this.dataDir = join(home, 'networks');
    this.stateDir = join(home, 'state');
    this.birdDirectory = join(home, 'bird');
    this.configFile = join(home, 'weft.json');
    writeFileSync(
      this.configFile,
      JSON.stringify({
        components: [
          ...['cni', 'proxy', ...(fabric === undefined ? [] : ['fabric'])],
          ...(routing === undefined ? [] : ['routing']),
        ],
        nodeName: this.name,
        ...(cluster.etcd === undefined
          ? { manifests: cluster.manifests }
          : { etcd: { endpoints: cluster.etcd.endpoints } }),
        runDir: this.runDir,
        stateDir: this.stateDir,
        proxy: { clusterCIDR: plan.clusterCIDR, nftables: { minSyncPeriod: '0s' } },
        cni: { ipamDirectory: this.dataDir },
        ...(fabric === undefined ? {} : { fabric: { backend: fabric, manageConflist: false } }),
        ...(routing === undefined
          ? {}
          : { routing: { directory: this.birdDirectory, ...routing } }),
      }),
    );
  }

  /** Starts the agent and waits until /healthz says that the first sync is in the kernel. */
  async startAgent(flags: readonly string[] = []): Promise<void> {
    const command = [WEFT_BINARY, 'agent', '--config', this.configFile, ...flags];
    this.agent = await startIn(this.netns.path, command, undefined);
    for (let attempt = 0; attempt < 100; attempt++) {
      const url = 'http://127.0.0.1:10256/healthz';
      if (this.fetchStatus(url) === 200 && this.#readSubnets()) return;
      await sleep(50);
    }
    throw new Error(`${this.name}: the agent did not become healthy: ${this.agent.output()}`);
  }

  /** False while the node has no lease. */
  #readSubnets(): boolean {
    if (this.#etcd === undefined) return true;
    const lines = this.#etcd.ctl('get', '--prefix', '/coreos.com/network/subnets/').split('\n');
    const at = lines.findIndex((line) => line.includes(`"NodeName":"${this.name}"`));
    const subnets = parseSubnetKey(lines[at - 1]?.split('/').at(-1) ?? '');
    if (subnets?.[1] === undefined) return false;
    this.podCIDRs = [subnets[0], subnets[1]];
    return true;
  }

  async stopAgent(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.agent?.end(signal);
    this.agent = undefined;
  }

  /** Status code of a GET from inside the node, 0 when nobody answers. */
  fetchStatus(url: string): number {
    const script = `fetch(${JSON.stringify(url)}).then((r) => process.stdout.write(String(r.status)), () => {})`;
    const { stdout } = this.netns.attempt(process.execPath, ['-e', script], 5000);
    return Number(stdout);
  }

  /** The network configuration of this node's pods. */
  networkConfiguration(overrides: object = {}): object {
    return {
      cniVersion: '1.0.0',
      name: 'pods',
      type: 'weft',
      bridge: 'cni0',
      isDefaultGateway: true,
      hairpinMode: true,
      ipam: {
        type: 'host-local',
        dataDir: this.dataDir,
        ranges: this.podCIDRs.map((subnet) => [{ subnet }]),
      },
      ...overrides,
    };
  }

  /** Executes the CNI binary as a runtime on this node would. */
  cni(
    verb: string,
    pod: { readonly name: string; readonly netnsPath: string; readonly args?: string },
    conf = this.networkConfiguration(),
  ): CniAnswer {
    const startedAt = performance.now();
    const result = spawnSync('nsenter', [`--net=${this.netns.path}`, CNI_BINARY], {
      input: JSON.stringify(conf),
      encoding: 'utf8',
      timeout: 30_000,
      env: {
        PATH: process.env['PATH'],
        WEFT_RUN_DIR: this.runDir,
        CNI_COMMAND: verb,
        CNI_CONTAINERID: `${pod.name}-sandbox`,
        CNI_NETNS: pod.netnsPath,
        CNI_IFNAME: 'eth0',
        CNI_PATH: join(INSTALL_ROOT, 'opt/cni/bin'),
        ...(pod.args !== undefined && { CNI_ARGS: pod.args }),
      },
    });
    const elapsedMs = performance.now() - startedAt;
    return {
      status: result.status ?? -1,
      stdout: result.stdout,
      stderr: result.stderr,
      elapsedMs,
    };
  }

  /** Starts a pause process in a namespace of its own and wires it with an ADD. */
  async createPod(name: string): Promise<Pod> {
    const { netnsPath, pausePid } = await this.createSandbox(name);
    const answer = this.cni('ADD', { name, netnsPath });
    if (answer.status !== 0) throw new Error(`ADD ${name}: ${answer.stdout}${answer.stderr}`);
    // The result's shape is the CNI specification's; a wrong one fails on the next line.
    const result = JSON.parse(answer.stdout) as {
      ips: readonly { address: string }[];
      interfaces: readonly { name: string; sandbox?: string }[];
    };
    const addresses = result.ips.map(({ address }) => address.split('/')[0] ?? '');
    const hostLink = result.interfaces.find(({ name: link }) => link.startsWith('veth'))?.name;
    return { name, node: this, netnsPath, pausePid, addresses, hostLink: hostLink ?? '' };
  }

  /** A pause process in an own network namespace, not wired yet. */
  async createSandbox(name: string): Promise<{ netnsPath: string; pausePid: number }> {
    const child = spawn('unshare', ['--net', PAUSE], { stdio: 'ignore' });
    const pausePid = child.pid ?? 0;
    this.#pauses.set(name, pausePid);
    const netnsPath = `/proc/${pausePid}/ns/net`;
    for (let attempt = 0; attempt < 200; attempt++) {
      if (executableOf(pausePid) === PAUSE) return { netnsPath, pausePid };
      await sleep(10);
    }
    throw new Error(`pause of ${name} did not start`);
  }

  /** DEL, then the end of the sandbox, as a runtime does it. */
  deletePod(pod: Pod): CniAnswer {
    const answer = this.cni('DEL', pod);
    this.endSandbox(pod.name);
    return answer;
  }

  endSandbox(name: string): void {
    const pid = this.#pauses.get(name);
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    this.#pauses.delete(name);
  }

  async end(): Promise<void> {
    await this.stopAgent();
    for (const name of [...this.#pauses.keys()]) this.endSandbox(name);
  }
}

/** What a key is made of. */
export interface ManifestObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

function etcdKey({ kind, metadata }: ManifestObject): string {
  const { namespace = 'default', name } = metadata;
  return `/weft/${kind.toLowerCase()}s/${namespace}/${name}`;
}

function executableOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return '';
  }
}

function wireRouter(router: TestNetns, client: TestNetns): void {
  forward(router);
  for (const [link, [address4, address6]] of [
    ['nodes', plan.routerOnNodes],
    ['far-nodes', plan.routerOnFarNodes],
  ] as const) {
    router.run('ip', 'link', 'add', link, 'type', 'bridge');
    router.run('ip', 'link', 'set', link, 'up');
    router.run('ip', 'addr', 'add', `${address4}/24`, 'dev', link);
    router.run('ip', 'addr', 'add', `${address6}/64`, 'dev', link, 'nodad');
  }
  const [outside4, outside6] = plan.routerOutside;
  const [client4, client6] = plan.client;
  connect(
    { netns: router, link: 'outside', addresses: [`${outside4}/24`, `${outside6}/64`] },
    { netns: client, link: 'eth0', addresses: [`${client4}/24`, `${client6}/64`] },
  );
  client.run('ip', 'route', 'add', 'default', 'via', outside4);
  client.run('ip', '-6', 'route', 'add', 'default', 'via', outside6);
}

function wireNode(router: TestNetns, node: ClusterNode): void {
  const { netns, isFar } = node;
  const port = `to-${node.name}`;
  const [address4, address6] = node.addresses;
  connect(
    { netns: router, link: port },
    { netns, link: 'eth0', addresses: [`${address4}/24`, `${address6}/64`] },
  );
  router.run('ip', 'link', 'set', port, 'master', isFar ? 'far-nodes' : 'nodes');
  const [gateway4, gateway6] = isFar ? plan.routerOnFarNodes : plan.routerOnNodes;
  netns.run('ip', 'route', 'add', 'default', 'via', gateway4);
  netns.run('ip', '-6', 'route', 'add', 'default', 'via', gateway6);
  forward(netns);
}

function routeToPods(node: ClusterNode, nodes: readonly ClusterNode[]): void {
  const { netns } = node;
  for (const other of nodes.filter((candidate) => candidate !== node)) {
    const [podCIDR4, podCIDR6] = plan.podCIDRs(other.number);
    const [via4, via6] = other.addresses;
    netns.run('ip', 'route', 'add', podCIDR4, 'via', via4);
    netns.run('ip', '-6', 'route', 'add', podCIDR6, 'via', via6);
  }
}

function forward(netns: TestNetns): void {
  for (const key of ['ipv4.ip_forward', 'ipv6.conf.all.forwarding']) {
    netns.run('sysctl', '-qw', `net.${key}=1`);
  }
}
