/** An installed agent on a node with pods, fed by an API server whose objects change at random. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EndpointSlice, Service } from '../../src/kube/types.ts';
import { WEFT_BINARY } from '../support/cluster.ts';
import { createProxyLab, type ProxyLab, SERVER_PORT } from '../support/proxy-lab.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';
import { churnNode, settle } from './proxy-churn.ts';
import type { ClusterChange, RandomCluster } from './random-cluster.ts';

const API_SERVER = new URL('../support/workloads/api-server.ts', import.meta.url).pathname;
const KINDS = {
  services: { apiVersion: 'v1', kind: 'Service' },
  endpointslices: { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' },
  nodes: { apiVersion: 'v1', kind: 'Node' },
};
const PODS = ['10.1.0.3', '10.1.0.4', '10.2.0.2'];

/** Services with real pods behind them: clients use these while the others change. */
export const anchors = [
  { name: 'anchor-still', ip: '172.30.255.1' },
  { name: 'anchor-moving', ip: '172.30.255.2' },
];
const STILL = 0;
const MOVING = 1;

export class AgentLab {
  readonly cluster: RandomCluster;
  readonly #lab: ProxyLab;
  readonly #random: () => number;
  readonly #directory = mkdtempSync(join(tmpdir(), 'weft-churn-'));
  readonly #config = join(this.#directory, 'weft.json');
  #api: ReturnType<ProxyLab['node']['start']> | undefined;
  #agent: RunningProgram | undefined;
  #commands = 0;
  /** Lines from the API server: one when it is ready, then one per command. */
  #answers = -1;

  static async create(cluster: RandomCluster, random: () => number): Promise<AgentLab> {
    const lab = new AgentLab(await createProxyLab(), cluster, random);
    try {
      await lab.#fill();
      await lab.startAgent();
      await lab.#becomeHealthy();
      return lab;
    } catch (thrown) {
      await lab.remove();
      throw thrown;
    }
  }

  private constructor(lab: ProxyLab, cluster: RandomCluster, random: () => number) {
    this.#lab = lab;
    this.#random = random;
    this.cluster = cluster;
  }

  get node() {
    return this.#lab.node;
  }

  /** Runs a Node.js program where clients are. */
  startClient(script: string, args: readonly string[]): Promise<RunningProgram> {
    return startIn(this.#lab.client.path, [process.execPath, script, ...args], 'ready\n');
  }

  async startAgent(): Promise<void> {
    const command = [WEFT_BINARY, 'agent', '--config', this.#config];
    this.#agent = await startIn(this.node.path, command, undefined);
  }

  async killAgent(): Promise<void> {
    await this.#agent?.end('SIGKILL');
  }

  /** What the agent wrote since it was last started. */
  get agentLog(): string {
    return this.#agent?.output() ?? '';
  }

  changeOne(): void {
    this.#send(this.cluster.next());
  }

  /** Has one or two other pods behind the moving anchor. */
  moveAnchor(): void {
    const first = Math.floor(this.#random() * PODS.length);
    const count = 1 + Math.floor(this.#random() * 2);
    this.#putAnchor(
      MOVING,
      Array.from({ length: count }, (_, i) => PODS[(first + i) % 3] ?? ''),
    );
  }

  async remove(): Promise<void> {
    await this.killAgent();
    await this.#lab.remove();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #fill(): Promise<void> {
    const kubeconfig = join(this.#directory, 'kubeconfig');
    writeFileSync(this.#config, JSON.stringify(this.#agentConfig(kubeconfig)));
    this.#api = this.node.start(process.execPath, [API_SERVER, kubeconfig]);
    this.#api.stdout?.on('data', (bytes: Buffer) => {
      this.#answers += bytes.toString().split('\n').length - 1;
    });
    const left = await settle(async () => (existsSync(kubeconfig) ? [] : ['no kubeconfig yet']));
    if (left.length > 0) throw new Error(`the API server does not start: ${left}`);
    this.#put('nodes', churnNode);
    for (const change of this.cluster.fill()) this.#send(change);
    this.#putAnchor(STILL, PODS);
    this.#putAnchor(MOVING, PODS);
    const unanswered = await settle(async () =>
      this.#answers < this.#commands ? [`${this.#answers} of ${this.#commands}`] : [],
    );
    if (unanswered.length > 0) throw new Error(`the API server does not answer: ${unanswered}`);
  }

  #agentConfig(kubeconfig: string): object {
    return {
      components: ['proxy'],
      nodeName: churnNode.metadata.name,
      kubeconfig,
      runDir: join(this.#directory, 'run'),
      stateDir: join(this.#directory, 'state'),
      logLevel: 'warn',
      proxy: { clusterCIDR: '10.0.0.0/8,fd00:10::/32', nodePortAddresses: ['primary'] },
    };
  }

  async #becomeHealthy(): Promise<void> {
    const script = `fetch('http://127.0.0.1:10256/healthz').then((r) => process.stdout.write(String(r.status)), () => {})`;
    const left = await settle(async () => {
      const { stdout } = this.node.attempt(process.execPath, ['-e', script], 5000);
      return stdout === '200' ? [] : [`/healthz: ${stdout}`];
    });
    if (left.length > 0) throw new Error(`the agent does not start: ${this.agentLog}`);
  }

  #putAnchor(index: number, addresses: readonly string[]): void {
    const anchor = anchors[index];
    if (anchor === undefined) throw new RangeError(`no anchor ${index}`);
    const { service, slice } = anchorObjects(anchor, addresses);
    this.cluster.services.set(`ns/${anchor.name}`, service);
    this.cluster.slices.set(`ns/${anchor.name}-ipv4`, slice);
    this.#send({ kind: 'services', verb: 'put', object: service });
    this.#send({ kind: 'endpointslices', verb: 'put', object: slice });
  }

  #send({ kind, verb, object }: ClusterChange): void {
    if (verb === 'put') this.#put(kind, object);
    else this.#command({ delete: [kind, `ns/${object.metadata.name}`] });
  }

  #put(kind: keyof typeof KINDS, object: object): void {
    this.#command({ put: [kind, { ...KINDS[kind], ...object }] });
  }

  #command(command: object): void {
    this.#commands++;
    this.#api?.stdin?.write(`${JSON.stringify(command)}\n`);
  }
}

function anchorObjects(
  { name, ip }: (typeof anchors)[number],
  addresses: readonly string[],
): { readonly service: Service; readonly slice: EndpointSlice } {
  return {
    service: {
      metadata: { name, namespace: 'ns' },
      spec: {
        clusterIP: ip,
        clusterIPs: [ip],
        ipFamilies: ['IPv4'],
        ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
      },
    },
    slice: {
      metadata: {
        name: `${name}-ipv4`,
        namespace: 'ns',
        labels: { 'kubernetes.io/service-name': name },
      },
      addressType: 'IPv4',
      ports: [{ name: 'http', protocol: 'TCP', port: SERVER_PORT }],
      endpoints: addresses.map((address) => ({
        addresses: [address],
        conditions: { ready: true },
        nodeName: address.startsWith('10.1.') ? 'node-a' : 'node-b',
      })),
    },
  };
}
