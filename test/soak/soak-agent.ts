/** An installed agent with both components whose descriptors and memory are looked at. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { churnNode } from '../faults/proxy-churn.ts';
import type { ClusterChange } from '../faults/random-cluster.ts';
import { WEFT_BINARY } from '../support/cluster.ts';
import { createNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';

const API_SERVER = new URL('../support/workloads/api-server.ts', import.meta.url).pathname;
const COLLECT = new URL('../support/workloads/collect-on-signal.cjs', import.meta.url).pathname;
const KINDS = {
  services: { apiVersion: 'v1', kind: 'Service' },
  endpointslices: { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' },
  nodes: { apiVersion: 'v1', kind: 'Node' },
};
const KIB = 1024;

/** What the process holds after everything that can be freed was freed. */
export interface Holdings {
  /** By kind: `socket`, `/dev/null`, `anon_inode:[eventpoll]`… */
  readonly descriptors: Readonly<Record<string, number>>;
  /** Anonymous resident bytes: pages of the program itself come and go as they are used. */
  readonly bytes: number;
}

export class SoakAgent {
  readonly node = createNetns('soak');
  readonly runDir: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'weft-soak-'));
  #api: ReturnType<SoakAgent['node']['start']> | undefined;
  #agent: RunningProgram | undefined;
  #commands = 0;
  /** Lines of the API server: one when it is ready, then one for each command. */
  #answers = -1;

  private constructor() {
    this.runDir = join(this.#directory, 'run');
  }

  static async start(objects: Iterable<ClusterChange>): Promise<SoakAgent> {
    const agent = new SoakAgent();
    try {
      await agent.#startServer();
      agent.#command({ put: ['nodes', { ...KINDS.nodes, ...churnNode }] });
      await agent.change(objects);
      await agent.#startAgent();
      return agent;
    } catch (thrown) {
      await agent.remove();
      throw thrown;
    }
  }

  get dataDir(): string {
    return join(this.#directory, 'networks');
  }

  get log(): string {
    return this.#agent?.output() ?? '';
  }

  /** Has the objects changed, and waits until the API server has done so. */
  async change(changes: Iterable<ClusterChange>): Promise<void> {
    for (const { kind, verb, object } of changes) {
      if (verb === 'put') this.#command({ put: [kind, { ...KINDS[kind], ...object }] });
      else this.#command({ delete: [kind, `ns/${object.metadata.name}`] });
    }
    await until('the API server has done it', () => this.#answers >= this.#commands);
  }

  async holdings(): Promise<Holdings> {
    const { pid = 0 } = this.#agent ?? {};
    const before = collections(this.log);
    process.kill(pid, 'SIGUSR2');
    await until('the agent has collected', () => collections(this.log) > before);
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kib = Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]);
    return { descriptors: descriptorsOf(pid), bytes: kib * KIB };
  }

  async remove(): Promise<void> {
    await this.#agent?.end();
    this.node.remove();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #startServer(): Promise<void> {
    const kubeconfig = join(this.#directory, 'kubeconfig');
    mkdirSync(this.runDir, { mode: 0o700 });
    this.#api = this.node.start(process.execPath, [API_SERVER, kubeconfig]);
    this.#api.stdout?.on('data', (bytes: Buffer) => {
      this.#answers += bytes.toString().split('\n').length - 1;
    });
    await until('the API server listens', () => existsSync(kubeconfig));
  }

  async #startAgent(): Promise<void> {
    const config = join(this.#directory, 'weft.json');
    writeFileSync(
      config,
      JSON.stringify({
        components: ['cni', 'proxy'],
        nodeName: churnNode.metadata.name,
        kubeconfig: join(this.#directory, 'kubeconfig'),
        runDir: this.runDir,
        stateDir: join(this.#directory, 'state'),
        logLevel: 'warn',
        proxy: { mode: 'nftables', clusterCIDR: '10.0.0.0/8,fd00:10::/32' },
      }),
    );
    const environment = { ...process.env, NODE_OPTIONS: `--require=${COLLECT}` };
    const command = [WEFT_BINARY, 'agent', '--config', config];
    this.#agent = await startIn(this.node.path, command, undefined, environment);
    const isHealthy =
      'exec 3<>/dev/tcp/127.0.0.1/10256 && printf "GET /healthz HTTP/1.0\\r\\n\\r\\n" >&3 && grep -q "200 OK" <&3';
    await until('the agent is healthy', () => {
      return this.node.attempt('bash', ['-c', isHealthy], 5_000).status === 0;
    });
  }

  #command(command: object): void {
    this.#commands++;
    this.#api?.stdin?.write(`${JSON.stringify(command)}\n`);
  }
}

function collections(log: string): number {
  return log.split('collected\n').length;
}

function descriptorsOf(pid: number): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const kind = kindOf(`/proc/${pid}/fd/${fd}`);
    if (kind !== undefined) counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** Undefined for one that was closed meanwhile. */
function kindOf(link: string): string | undefined {
  try {
    return readlinkSync(link).replace(/:\[\d+\]$/, '');
  } catch {
    return undefined;
  }
}
