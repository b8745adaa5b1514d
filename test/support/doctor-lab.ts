/**
 * A node with an agent, an API server, two pods, another node and a client, as namespaces: for what
 * `weft doctor` finds when one of them is broken.
 */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { askAgent } from '../../src/agent/debug/client.ts';
import type { Finding, Findings } from '../../src/agent/status/finding.ts';
import { expiredPair } from './certificates.ts';
import { CniTestNode } from './cni-node.ts';
import { connect, createNetns, type TestNetns } from './netns.ts';
import { service, slice } from './proxy-objects.ts';
import { until } from './until.ts';

const WEFT = join(import.meta.dirname, '../../src/cli/weft.ts');
const API_SERVER = join(import.meta.dirname, 'workloads/api-server.ts');

export const ADDRESSES = { node: '192.0.2.1', peer: '192.0.2.2', client: '198.51.100.10' } as const;

export class DoctorLab {
  readonly #cni = new CniTestNode();
  readonly node = this.#cni.host;
  readonly peer = createNetns('dr-peer');
  readonly client = createNetns('dr-client');
  readonly directory = mkdtempSync(join(tmpdir(), 'weft-doctor-'));
  readonly runDir = join(this.directory, 'run');
  /** A disk of its own. */
  readonly stateDir = join(this.directory, 'state');
  readonly stateBytes = 24 * 1024 * 1024;
  readonly kubeconfig = join(this.directory, 'kubeconfig');
  readonly pods: readonly TestNetns[] = [this.#cni.pod(), this.#cni.pod()];
  #api: ChildProcess | undefined;
  #agent: ChildProcess | undefined;
  #answers = '';
  #log = '';

  /** Links, the API server with its objects, and the agent. */
  async start(): Promise<void> {
    const { node, peer, client } = this;
    connect(
      { netns: node, link: 'eth0', addresses: [`${ADDRESSES.node}/24`] },
      { netns: peer, link: 'eth0', addresses: [`${ADDRESSES.peer}/24`] },
    );
    connect(
      { netns: node, link: 'eth1', addresses: ['198.51.100.1/24'] },
      { netns: client, link: 'eth0', addresses: [`${ADDRESSES.client}/24`] },
    );
    node.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    node.run('ip', 'route', 'add', 'default', 'via', ADDRESSES.peer);
    node.run('ip', 'route', 'add', '10.244.1.0/24', 'via', ADDRESSES.peer);
    mkdirSync(this.stateDir, { mode: 0o700 });
    const size = `size=${this.stateBytes}`;
    execFileSync('mount', ['-t', 'tmpfs', '-o', `${size},mode=700`, 'weft-doctor', this.stateDir]);
    await this.#startApi();
    await this.startAgent();
  }

  /** Two pods of one bridge. */
  addPods(): void {
    for (const [i, pod] of this.pods.entries()) this.#add(pod, `pod-${i + 1}`);
  }

  async startAgent(more: object = {}): Promise<void> {
    const file = join(this.directory, 'weft.json');
    const config = {
      ...{ components: ['cni', 'proxy'], nodeName: 'node-a', kubeconfig: this.kubeconfig },
      ...{
        runDir: this.runDir,
        stateDir: this.stateDir,
        cni: { ipamDirectory: this.#cni.dataDir },
      },
      proxy: { clusterCIDR: '10.244.0.0/16' },
      ...more,
    };
    writeFileSync(file, JSON.stringify(config));
    const agent = this.node.start(process.execPath, [WEFT, 'agent', '--config', file], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#log = '';
    agent.stderr?.on('data', (chunk) => {
      this.#log += chunk;
    });
    this.#agent = agent;
    await until('the agent serves', () => this.#log.includes('services and endpoints read'));
  }

  async restartAgent(more: object): Promise<void> {
    await this.stopAgent();
    await this.startAgent(more);
  }

  async stopAgent(): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (agent === undefined || agent.exitCode !== null) return;
    const ended = new Promise((resolve) => agent.once('exit', resolve));
    agent.kill('SIGTERM');
    await ended;
  }

  get log(): string {
    return this.#log;
  }

  /** What `weft doctor` asks the agent for. */
  async doctor(): Promise<Findings> {
    // The agent of this tree answers with this shape.
    return (await askAgent(this.runDir, { command: 'doctor' })) as Findings;
  }

  /** Asks until a check says this; a look that was just taken is not taken again. */
  async finding(check: string, level: Finding['level']): Promise<Finding> {
    return until(`${check} is ${level}`, async () => {
      const { findings } = await this.doctor();
      const found = findings.find((each) => each.check === check);
      return found?.level === level ? found : undefined;
    });
  }

  weft(command: string, ...flags: readonly string[]) {
    const words = [WEFT, command, '--run-dir', this.runDir, ...flags];
    return this.node.attempt(process.execPath, words);
  }

  /** The command where no agent answers. */
  doctorWithoutAgent(...flags: readonly string[]): readonly string[] {
    return [WEFT, 'doctor', '--run-dir', join(this.directory, 'nobody'), ...flags];
  }

  /** As many connections as there is room for, none of them answered. */
  fillConntrack(): void {
    const most = this.node.run('sysctl', '-n', 'net.netfilter.nf_conntrack_max').trim();
    this.node.run('ip', 'route', 'add', '198.18.0.0/15', 'dev', 'lo', 'src', '198.51.100.1');
    const script =
      'use Socket; socket(S, AF_INET, SOCK_DGRAM, 0); for $n (0 .. $ARGV[0]) { send(S, "x", 0, ' +
      'pack_sockaddr_in(1 + $n % 64, pack("N", 0xc6120000 + ($n >> 6)))) }';
    this.node.run('perl', '-e', script, most);
  }

  /** The agent's next start takes it from the kubeconfig; gives when it expired. */
  useExpiredCertificate(): string {
    const { certificate, key } = expiredPair('weft');
    const files = { 'client-certificate': 'client.crt', 'client-key': 'client.key' };
    writeFileSync(join(this.directory, files['client-certificate']), certificate);
    writeFileSync(join(this.directory, files['client-key']), key);
    const config = JSON.parse(readFileSync(this.kubeconfig, 'utf8'));
    config.users[0].user = files;
    writeFileSync(this.kubeconfig, JSON.stringify(config));
    const until = new X509Certificate(certificate).validTo;
    return new Date(until).toISOString().slice(0, 16).replace('T', ' ');
  }

  /** A Service `ns/NAME` of port 80, and its endpoints at port 8080. */
  putService(name: string, clusterIP: string, spec: object, endpoints: readonly string[]): void {
    const ports = [{ name: 'http', protocol: 'TCP' as const, port: 80 }];
    const made = service(name, clusterIP, { ports });
    const object = { ...made, spec: { ...made.spec, ...spec } };
    this.#put('services', { apiVersion: 'v1', kind: 'Service', ...object });
    if (endpoints.length === 0) return;
    const found = endpoints.map((ip) => ({ ip, nodeName: 'node-a' }));
    const apiVersion = 'discovery.k8s.io/v1';
    const told = slice({ service: name, endpoints: found });
    this.#put('endpointslices', { apiVersion, kind: 'EndpointSlice', ...told });
  }

  metrics(): string {
    return this.node.run('curl', '-s', 'http://127.0.0.1:10249/metrics');
  }

  /** One command of the API server (workloads/api-server.ts). */
  api(command: object): void {
    this.#api?.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  /** Events that the agent has sent so far. */
  async events(): Promise<string> {
    this.#answers = '';
    this.api({ created: true });
    await until('the API server has answered', () => this.#answers.includes('done'));
    return this.#answers;
  }

  async remove(): Promise<void> {
    await this.stopAgent();
    for (const netns of [this.peer, this.client]) netns.remove();
    this.#cni.remove();
    execFileSync('umount', [this.stateDir]);
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #startApi(): Promise<void> {
    const api = this.node.start(process.execPath, [API_SERVER, this.kubeconfig]);
    this.#api = api;
    api.stdout?.on('data', (chunk) => {
      this.#answers += chunk;
    });
    await until('the API server runs', () => this.#answers.startsWith('ready'));
    for (const [name, podCIDR, address] of [
      ['node-a', '10.244.0.0/24', ADDRESSES.node],
      ['node-b', '10.244.1.0/24', ADDRESSES.peer],
    ]) {
      this.#put('nodes', {
        ...{ apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: { podCIDRs: [podCIDR] } },
        status: { addresses: [{ type: 'InternalIP', address }] },
      });
    }
    const ports = [{ name: 'http', protocol: 'TCP' as const, port: 80, nodePort: 30_080 }];
    const web = service('web', '172.30.0.10', { type: 'NodePort', ports });
    this.#put('services', { apiVersion: 'v1', kind: 'Service', ...web });
    const endpoints = slice({
      service: 'web',
      endpoints: [{ ip: '10.244.1.3', nodeName: 'node-b' }],
    });
    const apiVersion = 'discovery.k8s.io/v1';
    this.#put('endpointslices', { apiVersion, kind: 'EndpointSlice', ...endpoints });
  }

  #put(plural: string, object: object): void {
    this.api({ put: [plural, object] });
  }

  #add(pod: TestNetns, id: string): void {
    const env = {
      WEFT_RUN_DIR: this.runDir,
      CNI_ARGS: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${id};IgnoreUnknown=1`,
    };
    const ipam = {
      type: 'host-local',
      dataDir: this.#cni.dataDir,
      ranges: [[{ subnet: '10.244.0.0/24' }]],
    };
    const stdin = {
      ...{ cniVersion: '1.0.0', name: 'pods', type: 'bridge', bridge: 'cni0', isGateway: true },
      ...{ isDefaultGateway: true, hairpinMode: true, ipam },
    };
    this.#cni.result({ command: 'ADD', id, netns: pod, stdin, env });
  }
}
