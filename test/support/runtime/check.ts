/** CHECK as libcni does it, for runtimes that never call it. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { CommandOutcome, RuntimeNode } from './runtime-node.ts';

/** What libcni keeps of an attachment below /var/lib/cni/results (libcni/api.go, cachedInfo). */
interface CachedAttachment {
  readonly containerId: string;
  /** The conflist, in base64. */
  readonly config: string;
  readonly ifName: string;
  readonly result: object;
}

/**
 * Runs CHECK of the first plugin of a conflist on an attachment that a runtime has made, in a
 * namespace below /var/run/netns, the name containerd uses.
 */
export function check(
  node: RuntimeNode,
  network: string,
  { id, netns }: { readonly id: string; readonly netns: string },
): CommandOutcome {
  const cache = node.path(`/var/lib/cni/results/${network}-${id}-eth0`);
  // Written by libcni in this shape; a missing member fails the plugin's own validation.
  const cached = JSON.parse(readFileSync(cache, 'utf8')) as CachedAttachment;
  const { cniVersion, name, plugins } = JSON.parse(
    Buffer.from(cached.config, 'base64').toString(),
  ) as { cniVersion: string; name: string; plugins: { type: string }[] };
  const plugin = plugins[0];
  if (plugin === undefined) throw new Error(`network ${network} has no plugins`);
  const stdin = node.path('/run/check.json');
  writeFileSync(stdin, JSON.stringify({ ...plugin, cniVersion, name, prevResult: cached.result }));
  return node.attempt('env', [
    ...['CNI_COMMAND=CHECK', `CNI_CONTAINERID=${cached.containerId}`],
    ...[
      `CNI_NETNS=/var/run/netns/${netns}`,
      `CNI_IFNAME=${cached.ifName}`,
      'CNI_PATH=/opt/cni/bin',
    ],
    ...['sh', '-c', `exec /opt/cni/bin/${plugin.type} </run/check.json`],
  ]);
}
