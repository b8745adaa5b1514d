import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { until } from '../until.ts';
import type { RuntimeNode } from './runtime-node.ts';

const socket = '/run/weft/cni.sock';
const servedLine = /"verb":"(\w+)".*"msg":"cni request served"/g;

/** The installed agent, serving CNI calls of a node. */
export interface RunningAgent {
  /** The CNI calls answered so far, by verb. */
  served(): string[];
  /** SIGKILL leaves the socket behind, as a crash does. */
  end(signal?: NodeJS.Signals): Promise<void>;
}

/**
 * Starts the agent as a DaemonSet would have it: in a mount namespace of its own, which gets none of
 * the mounts made later, so none of the namespaces that the runtime binds below /run/netns.
 */
export async function startAgent(node: RuntimeNode): Promise<RunningAgent> {
  rmSync(node.path(socket), { force: true });
  const before = node.log('agent');
  const agent = node.start('agent', 'unshare', [
    ...['--mount', '--propagation=private', '/opt/weft/bin/weft', 'agent'],
    ...['--components', 'cni', '--run-dir', '/run/weft', '--log-level', 'info'],
  ]);
  await until('the agent listens', () => {
    if (agent.exitCode !== null) throw new Error(`agent ended: ${node.log('agent')}`);
    return existsSync(node.path(socket));
  });
  return {
    served: () => {
      const lines = node.log('agent').slice(before.length).matchAll(servedLine);
      return [...lines].map(([, verb]) => verb ?? '');
    },
    end: (signal = 'SIGTERM') => end(node, agent, signal),
  };
}

/** Signals the agent itself: nsenter, which waits for it, does not pass signals on. */
async function end(node: RuntimeNode, agent: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (agent.exitCode !== null || agent.signalCode !== null) return;
  const isGone = once(agent, 'exit');
  node.run('kill', `-${signal}`, node.run('cat', '/run/weft/agent.lock').trim());
  await isGone;
}
