/**
 * A cluster in namespaces that a page's commands are run against: an API server, nodes with files of their own,
 * DaemonSets that run where their selectors say. What kubectl does there is done here, to what the manifests hold.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { Cluster, type ClusterNode } from '../cluster.ts';
import { nodeManifest } from '../manifests.ts';
import { until } from '../until.ts';
import { type PodTemplate, prepareNode, type RunningPod, startAgentPod } from './agent-pod.ts';
import { type KubectlWords, type Program, parseKubectl, StandIns } from './kubectl.ts';
import { NodeFiles } from './node-files.ts';

const ROOT = join(import.meta.dirname, '../../..');
const API_SERVER = new URL('../workloads/api-server.ts', import.meta.url).pathname;
/** What `make manifests` needs of the sources. */
const SOURCES = ['Makefile', 'scripts', 'src', 'cni-conf', 'node_modules', 'native'];
const PACKAGES = ['package.json', 'package-lock.json'];
const COMMAND_TIMEOUT_MS = 120_000;
/** Lines of a pod that kubectl prints where pods are chosen by a selector. */
const TAIL = '10';

export interface StoryNode {
  readonly node: ClusterNode;
  readonly files: NodeFiles;
  labels: Readonly<Record<string, string>>;
}

/** Runs on each node whose labels are those of the selector. */
export interface DaemonSet {
  selector: Readonly<Record<string, string>>;
  start(on: StoryNode): Promise<RunningPod> | RunningPod;
}

export interface StoryOptions {
  readonly nodeCount: number;
  /** What stands in for other programs that a page names. */
  readonly programs?: Readonly<Record<string, Program>>;
  /** No Node is known yet. */
  readonly isEmpty?: boolean;
  /** Pods of a node end, and others may start there: what `kubectl drain` and `uncordon` are for. */
  readonly onDrain?: (on: StoryNode) => void | Promise<void>;
  readonly onUncordon?: (on: StoryNode) => void | Promise<void>;
}

interface ManifestObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly template: PodTemplate };
}

export class StoryCluster {
  readonly cluster: Cluster;
  readonly nodes: readonly StoryNode[];
  /** By `namespace/name`. */
  readonly daemonSets = new Map<string, DaemonSet>();
  readonly #running = new Map<string, RunningPod>();
  /** What was replaced last, of each. */
  readonly #former = new Map<string, DaemonSet>();
  readonly #settings = new Map<string, Readonly<Record<string, string>>>();
  readonly #api: ChildProcess;
  readonly #options: StoryOptions;
  #standIns: StandIns | undefined;

  private constructor(
    cluster: Cluster,
    api: ChildProcess,
    nodes: readonly StoryNode[],
    options: StoryOptions,
  ) {
    this.cluster = cluster;
    this.nodes = nodes;
    this.#api = api;
    this.#options = options;
  }

  /** Nodes that reach each other's pods by routes made by hand, an API server that knows them, and no DaemonSet. */
  static async create(label: string, options: StoryOptions): Promise<StoryCluster> {
    const cluster = new Cluster(options.nodeCount, label);
    const kubeconfig = join(cluster.directory, 'kubeconfig');
    const api = cluster.router.start(process.execPath, [API_SERVER, kubeconfig, '192.168.0.254']);
    if (api.stdout) await once(api.stdout, 'data');
    const nodes: StoryNode[] = [];
    for (const node of cluster.nodes) {
      const files = await NodeFiles.open(node.netns);
      prepareNode(files, kubeconfig);
      nodes.push({ node, files, labels: {} });
    }
    for (const name of [...SOURCES, ...PACKAGES]) {
      symlinkSync(join(ROOT, name), join(cluster.directory, name));
    }
    const story = new StoryCluster(cluster, api, nodes, options);
    if (options.isEmpty !== true) story.putNodes();
    story.#standIns = await StandIns.open(join(cluster.directory, 'bin'), {
      kubectl: (words) => story.#kubectl(parseKubectl(words)),
      ...options.programs,
    });
    return story;
  }

  putNodes(): void {
    for (const { node } of this.nodes) this.put('nodes', nodeManifest(node.number));
  }

  put(plural: string, object: object): void {
    this.#api.stdin?.write(`${JSON.stringify({ put: [plural, object] })}\n`);
  }

  /** Runs a command of a page where the sources are, and gives what it prints; throws when it fails. */
  async run(command: string): Promise<string> {
    const child = spawn('bash', ['-o', 'pipefail', '-c', command], {
      cwd: this.cluster.directory,
      timeout: COMMAND_TIMEOUT_MS,
      env: this.#standIns?.environment,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (bytes: Buffer) => {
        output += bytes.toString();
      });
    }
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`${command}: ${code}: ${output}`);
    return output;
  }

  /** Starts and ends pods so that they run where selectors say. */
  async place(): Promise<void> {
    for (const on of this.nodes) {
      for (const [name, { selector, start }] of this.daemonSets) {
        const key = `${on.node.name}/${name}`;
        const isWanted = Object.entries(selector).every(
          ([label, value]) => on.labels[label] === value,
        );
        if (isWanted && !this.#running.has(key)) this.#running.set(key, await start(on));
        if (!isWanted) await this.#end(key);
      }
    }
  }

  /** The pod of a DaemonSet on a node. */
  pod(name: string, { node }: StoryNode): RunningPod | undefined {
    return this.#running.get(`${node.name}/${name}`);
  }

  async remove(): Promise<void> {
    for (const key of [...this.#running.keys()]) await this.#end(key);
    this.#standIns?.close();
    for (const { files } of this.nodes) files.remove();
    await this.cluster.remove();
  }

  async #kubectl(words: KubectlWords): Promise<string> {
    const verbs: Readonly<Record<string, (words: KubectlWords) => Promise<string>>> = {
      apply: ({ flags }) => this.#apply(flags['f'] ?? ''),
      delete: (given) => this.#delete(given),
      drain: ({ rest }) => this.#tell('onDrain', rest[0] ?? ''),
      label: (given) => this.#label(given),
      logs: async ({ flags }) => this.#logs(flags['l'] ?? '', flags['tail'] ?? TAIL),
      patch: (given) => this.#patch(given),
      rollout: (given) => this.#rollout(given),
      uncordon: ({ rest }) => this.#tell('onUncordon', rest[0] ?? ''),
    };
    const verb = verbs[words.verb];
    if (verb === undefined) throw new Error(`unknown command "${words.verb}"`);
    return verb(words);
  }

  async #apply(file: string): Promise<string> {
    const text = readFileSync(join(this.cluster.directory, file), 'utf8');
    const objects = parseAllDocuments(text).map((each) => each.toJS() as ManifestObject);
    for (const { kind, metadata, data } of objects) {
      if (kind === 'ConfigMap') this.#settings.set(nameOf(metadata), data ?? {});
    }
    for (const { kind, metadata, spec } of objects) {
      if (kind !== 'DaemonSet' || spec === undefined) continue;
      const data = this.#settings.get(nameOf(metadata)) ?? {};
      const former = this.daemonSets.get(nameOf(metadata));
      if (former !== undefined) this.#former.set(nameOf(metadata), former);
      this.daemonSets.set(nameOf(metadata), {
        selector: withoutSystem(spec.template.spec.nodeSelector),
        start: (on) => startAgentPod(on, spec.template, data),
      });
      await this.#replace(nameOf(metadata));
    }
    await this.place();
    return objects.map(({ kind, metadata }) => `${kind} ${metadata.name} applied\n`).join('');
  }

  /** A rolling update: the next node when the one before is ready. */
  async #replace(name: string): Promise<void> {
    for (const on of this.nodes) {
      const former = this.pod(name, on);
      if (former === undefined) continue;
      await this.#end(`${on.node.name}/${name}`);
      await this.place();
      if (this.pod(name, on) !== undefined) await this.#untilReady(name, on);
    }
  }

  async #delete({ rest: [kind, name = ''], flags }: KubectlWords): Promise<string> {
    const [, ofNode] = /^spec\.nodeName=(.+)$/.exec(flags['field-selector'] ?? '') ?? [];
    if (kind === 'pods' && ofNode !== undefined) return this.#deletePods(this.#node(ofNode));
    const full = `${flags['n']}/${name}`;
    if (kind !== 'daemonset' || !this.daemonSets.delete(full))
      throw new Error(`no ${kind} ${full}`);
    for (const { node } of this.nodes) await this.#end(`${node.name}/${full}`);
    return `${kind} ${name} deleted\n`;
  }

  /** Those of DaemonSets; they start again. */
  async #deletePods({ node }: StoryNode): Promise<string> {
    for (const name of this.daemonSets.keys()) await this.#end(`${node.name}/${name}`);
    await this.place();
    return `pods of ${node.name} deleted\n`;
  }

  async #tell(what: 'onDrain' | 'onUncordon', name: string): Promise<string> {
    await this.#options[what]?.(this.#node(name));
    return `node/${name}\n`;
  }

  async #label({ rest: [kind = '', ...names], flags }: KubectlWords): Promise<string> {
    const [label = '', value = ''] = names.pop()?.split('=') ?? [];
    const chosen = flags['all'] ? this.nodes : names.map((name) => this.#node(name));
    for (const on of chosen) {
      if (on.labels[label] !== undefined && !flags['overwrite'])
        throw new Error(`${label} is there`);
      on.labels = { ...on.labels, [label]: value };
    }
    await this.place();
    return chosen.map(({ node }) => `${kind} ${node.name} labeled\n`).join('');
  }

  async #patch({ rest: [kind, name], flags }: KubectlWords): Promise<string> {
    const daemonSet = this.daemonSets.get(`${flags['n']}/${name}`);
    const { nodeSelector } = JSON.parse(flags['p'] ?? '').spec.template.spec;
    if (kind !== 'daemonset' || daemonSet === undefined) throw new Error(`no ${kind} ${name}`);
    daemonSet.selector = { ...daemonSet.selector, ...nodeSelector };
    await this.place();
    return `${kind} ${name} patched\n`;
  }

  async #rollout({ rest: [what, target = ''], flags }: KubectlWords): Promise<string> {
    const name = `${flags['n']}/${target.replace('daemonset/', '')}`;
    if (!this.daemonSets.has(name)) throw new Error(`no ${name}`);
    const former = this.#former.get(name);
    if (what === 'undo' && former !== undefined) this.daemonSets.set(name, former);
    if (what === 'restart' || what === 'undo') await this.#replace(name);
    else if (what !== 'status') throw new Error(`rollout ${what}`);
    for (const on of this.nodes) if (this.pod(name, on)) await this.#untilReady(name, on);
    return `${target} rolled out\n`;
  }

  #logs(selector: string, tail: string): string {
    const [label = '', value] = selector.split('=');
    const chosen = [...this.#running.values()].filter(({ labels }) => labels[label] === value);
    const from = tail === '-1' ? 0 : -1 - Number(tail);
    return chosen.map((pod) => pod.log().split('\n').slice(from).join('\n')).join('');
  }

  async #untilReady(name: string, on: StoryNode): Promise<void> {
    try {
      await until(`${name} is ready on ${on.node.name}`, () => this.pod(name, on)?.isReady());
    } catch (cause) {
      throw new Error(`not ready: ${this.pod(name, on)?.log()}`, { cause });
    }
  }

  #node(name: string): StoryNode {
    const found = this.nodes.find(({ node }) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  async #end(key: string): Promise<void> {
    const pod = this.#running.get(key);
    this.#running.delete(key);
    await pod?.end();
  }
}

const nameOf = ({ namespace = 'default', name }: ManifestObject['metadata']) =>
  `${namespace}/${name}`;

/** What each node has without anybody's doing. */
function withoutSystem(selector: Readonly<Record<string, string>> = {}) {
  const own = Object.entries(selector).filter(([label]) => label !== 'kubernetes.io/os');
  return Object.fromEntries(own);
}
