/** Many questions to the agent's two sockets, and many calls of the CNI executable. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { inParallel } from '../faults/in-parallel.ts';
import { CNI_BINARY } from '../support/cluster.ts';
import { fullNetwork } from '../support/leftovers.ts';
import type { TestNetns } from '../support/netns.ts';

/** As large as a conflist in use. */
const STATUS = JSON.stringify({
  cniVersion: '1.1.0',
  name: 'soak',
  type: 'bridge',
  comment: 'x'.repeat(1_200),
});

/** STATUS calls to cni.sock. */
export function askCni(path: string, count: number): Promise<void> {
  const frame = frameOf({
    'env.CNI_COMMAND': 'STATUS',
    'env.CNI_PATH': '/opt/cni/bin',
    stdin: STATUS,
  });
  return inParallel(count, 16, async () => {
    const answer = await exchange(path, frame);
    if (answer.toString('latin1', 0, 4) !== 'WFT1' || answer.readUInt32BE(8) !== 0) {
      throw new Error(`STATUS: ${answer.toString('latin1')}`);
    }
  });
}

/** Questions to agent.sock: mostly where a packet goes, now and then how the agent is. */
export function askAgent(path: string, count: number): Promise<void> {
  const explain = {
    command: 'explain',
    packet: { source: '10.1.0.5', destination: '172.30.0.1', protocol: 'tcp', port: 80 },
  };
  return inParallel(count, 4, async (n) => {
    const question = n % 200 === 0 ? { command: 'status' } : explain;
    const answer = await exchange(path, Buffer.from(`${JSON.stringify(question)}\n`));
    if (!answer.toString().startsWith('{"result":')) throw new Error(answer.toString());
  });
}

/** An ADD and its DEL for each of `count`, in turn in the pods. */
export async function addAndDelete(
  {
    node,
    pods,
    runDir,
    dataDir,
  }: {
    readonly node: TestNetns;
    readonly pods: readonly TestNetns[];
    readonly runDir: string;
    readonly dataDir: string;
  },
  count: number,
): Promise<void> {
  const free = [...pods.keys()];
  await inParallel(count, pods.length, async (n) => {
    const index = free.pop() ?? 0;
    for (const command of ['ADD', 'DEL']) {
      const child = spawn('nsenter', [`--net=${node.path}`, CNI_BINARY], {
        stdio: ['pipe', 'pipe', 'ignore'],
        env: {
          PATH: process.env['PATH'],
          WEFT_RUN_DIR: runDir,
          CNI_COMMAND: command,
          CNI_CONTAINERID: `soak-${n}`,
          CNI_NETNS: pods[index]?.path,
          CNI_IFNAME: 'eth0',
          CNI_PATH: '/nowhere',
        },
      });
      let output = '';
      child.stdout.on('data', (bytes: Buffer) => {
        output += bytes.toString();
      });
      child.stdin.end(JSON.stringify(fullNetwork(dataDir, 30_000 + index)));
      await once(child, 'close');
      if (child.exitCode !== 0) throw new Error(`${command} ${n}: ${output}`);
    }
    free.push(index);
  });
}

function exchange(path: string, question: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const chunks: Buffer[] = [];
    socket.on('error', reject).on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('close', () => resolve(Buffer.concat(chunks)));
    socket.write(question);
  });
}

/** As the shim sends it; see cni/protocol/frame.ts. */
function frameOf(records: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(records).flatMap(([key, value]) => {
    const lengths = Buffer.alloc(8);
    lengths.writeUInt32BE(Buffer.byteLength(key));
    lengths.writeUInt32BE(Buffer.byteLength(value), 4);
    return [lengths, Buffer.from(key), Buffer.from(value)];
  });
  const payload = Buffer.concat(parts);
  const header = Buffer.from('WFT1\0\0\0\0', 'latin1');
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}
