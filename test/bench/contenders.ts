/** Who is measured, on what configurations, and one exec of a plugin with its cost. */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CNI_BINARY, INSTALL_ROOT, WEFT_BINARY } from '../support/cluster.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';
import { compile } from './compile.ts';

export const referenceDirectory = '/usr/lib/cni';

export interface Contender {
  readonly name: string;
  readonly isReference: boolean;
  readonly runDir: string;
  readonly node: TestNetns;
  /** The agent behind the shim, for its share of the CPU. */
  agent?: RunningProgram;
}

/** Cost of one call: all its execs, plus what the agent did meanwhile. */
export interface Sample {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly peakMiB: number;
}

export type Verb = 'ADD' | 'DEL';

/** Programs built for one run, in a directory that goes with it. */
export interface Tools {
  readonly directory: string;
  readonly measure: string;
  readonly burst: string;
  readonly floor: string;
}

export function buildTools(directory: string): Tools {
  return {
    directory,
    measure: compile(directory, 'measure'),
    burst: compile(directory, 'burst'),
    floor: compile(directory, 'floor'),
  };
}

export function createContenders(directory: string): readonly Contender[] {
  return ['weft, agent', 'weft, standalone', 'reference 1.1.1'].map((name, index) => {
    const runDir = join(directory, `run${index}`);
    mkdirSync(runDir, { mode: 0o700 });
    const isReference = name.startsWith('reference');
    return { name, isReference, runDir, node: createNetns(`bench${index}`) };
  });
}

/** Starts the agent of the installed tree in the contender's namespace. */
export async function startAgent(
  { node, runDir }: Contender,
  flags: readonly string[] = ['--components', 'cni'],
  ready: string | undefined = 'agent started',
): Promise<RunningProgram> {
  const command = [WEFT_BINARY, 'agent', ...flags, '--run-dir', runDir, '--node-name', 'bench'];
  return startIn(node.path, command, ready);
}

/** A configuration list of one network: its plugins with what the runtime adds to each. */
export interface Configuration {
  readonly title: string;
  readonly subnets: readonly string[];
  readonly isMasquerading: boolean;
  readonly portMappings?: readonly object[];
}

export const configurations: readonly Configuration[] = [
  { title: 'plain', subnets: ['10.22.0.0/16'], isMasquerading: false },
  { title: 'ipMasq', subnets: ['10.23.0.0/16'], isMasquerading: true },
  {
    title: 'dual stack + ipMasq',
    subnets: ['10.24.0.0/16', 'fd00:24::/64'],
    isMasquerading: true,
  },
  {
    title: 'ipMasq, then portmap',
    subnets: ['10.25.0.0/16'],
    isMasquerading: true,
    portMappings: [{ hostPort: 18_080, containerPort: 80, protocol: 'tcp' }],
  },
];

export interface Call {
  readonly verb: Verb;
  readonly containerId: string;
  readonly netns: TestNetns;
}

/** A call failed; `code` is the one of the CNI specification. */
export class CallError extends Error {
  readonly code: number;
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

/** The bridge's configuration: of the whole chain when `type` is weft. */
export function bridgeConfiguration(
  configuration: Configuration,
  { runDir, isReference }: Contender,
): Record<string, unknown> {
  const { title, subnets, isMasquerading, portMappings } = configuration;
  const isChain = portMappings !== undefined && !isReference;
  return {
    cniVersion: '1.0.0',
    name: title.replaceAll(/\W+/g, '-'),
    type: isChain ? 'weft' : 'bridge',
    bridge: `br${configurations.indexOf(configuration)}`,
    isGateway: true,
    ipMasq: isMasquerading,
    ...(isChain ? { runtimeConfig: { portMappings } } : {}),
    ipam: {
      type: 'host-local',
      dataDir: join(runDir, 'networks'),
      ranges: subnets.map((subnet) => [{ subnet }]),
      routes: subnets.map((subnet) => ({ dst: subnet.includes(':') ? '::/0' : '0.0.0.0/0' })),
    },
  };
}

/**
 * One ADD or DEL as libcni does it: the reference's chain is an exec per plugin, in reverse for DEL,
 * whose times are added; what libcni does in between is not counted.
 */
export async function callPlugins(
  tools: Tools,
  contender: Contender,
  configuration: Configuration,
  call: Call,
): Promise<Sample> {
  const bridge = bridgeConfiguration(configuration, contender);
  const { portMappings } = configuration;
  const run = (binary: string, stdin: object) => execute(tools, contender, { binary, stdin, call });
  if (!contender.isReference) return (await run(CNI_BINARY, bridge)).sample;
  const bridgeBinary = join(referenceDirectory, 'bridge');
  if (portMappings === undefined) return (await run(bridgeBinary, bridge)).sample;
  const { cniVersion, name } = bridge;
  const portmap = { cniVersion, name, type: 'portmap', runtimeConfig: { portMappings } };
  const portmapBinary = join(referenceDirectory, 'portmap');
  if (call.verb === 'DEL') {
    const first = await run(portmapBinary, portmap);
    return sum(first.sample, (await run(bridgeBinary, bridge)).sample);
  }
  const first = await run(bridgeBinary, bridge);
  const chained = { ...portmap, prevResult: JSON.parse(first.output) };
  return sum(first.sample, (await run(portmapBinary, chained)).sample);
}

function sum(a: Sample, b: Sample): Sample {
  return {
    wallMs: a.wallMs + b.wallMs,
    cpuMs: a.cpuMs + b.cpuMs,
    peakMiB: Math.max(a.peakMiB, b.peakMiB),
  };
}

/** The environment of a call, without container and namespace. */
export function environmentOf({ runDir }: Contender, verb: Verb): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    WEFT_RUN_DIR: runDir,
    CNI_COMMAND: verb,
    CNI_IFNAME: 'eth0',
    CNI_PATH: `${join(INSTALL_ROOT, 'opt/cni/bin')}:${referenceDirectory}`,
  };
}

/** Like execFileSync, while what the agent logs is read: it would stop at a full pipe. */
export async function runTool(
  { node }: Contender,
  command: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<readonly number[]> {
  const { stdout } = await promisify(execFile)('nsenter', [`--net=${node.path}`, ...command], {
    env,
  });
  return stdout.trim().split(' ').map(Number);
}

interface Execution {
  readonly binary: string;
  readonly stdin: object;
  readonly call: Call;
}

async function execute(
  tools: Tools,
  contender: Contender,
  { binary, stdin, call: { verb, containerId, netns } }: Execution,
): Promise<{ readonly sample: Sample; readonly output: string }> {
  const input = join(tools.directory, 'stdin');
  const output = join(tools.directory, 'stdout');
  writeFileSync(input, JSON.stringify(stdin));
  const command = [tools.measure, input, output, binary];
  const identity = { CNI_CONTAINERID: containerId, CNI_NETNS: netns.path };
  const env = { ...environmentOf(contender, verb), ...identity };
  const agentBefore = cpuMsOf(contender.agent?.pid);
  const [status, wallNs = 0, cpuUs = 0, rssKiB = 0] = await runTool(contender, command, env);
  const agentMs = cpuMsOf(contender.agent?.pid) - agentBefore;
  const printed = readFileSync(output, 'utf8');
  if (status !== 0) throw callError(`${contender.name}: ${verb}: ${printed}`, printed);
  const sample = { wallMs: wallNs / 1e6, cpuMs: cpuUs / 1e3 + agentMs, peakMiB: rssKiB / 1024 };
  return { sample, output: printed };
}

function callError(message: string, printed: string): CallError {
  const code = /"code": (\d+)/.exec(printed)?.[1];
  return new CallError(message, Number(code ?? 0));
}

/** CPU time of all threads of a process so far. */
export function cpuMsOf(pid: number | undefined): number {
  if (pid === undefined) return 0;
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
  );
  return nanoseconds.reduce((total, time) => total + time, 0) / 1e6;
}
