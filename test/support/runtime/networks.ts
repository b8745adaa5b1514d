/** Network configurations and plugins of test nodes. */
import { join } from 'node:path';
import { installedTree } from './runtime-node.ts';

const bin = '/usr/lib/cni';

export interface NetworkOptions {
  /** Also the bridge's name; at most 15 characters. */
  readonly name: string;
  readonly cniVersion?: string;
  /** Name of the plugin that does bridge and IPAM. */
  readonly type?: 'weft' | 'bridge';
  readonly subnets: readonly string[];
  readonly usesPortmap?: boolean;
  readonly ipMasq?: boolean;
}

/** A conflist of one bridge plugin, as kubelets and podman have it, with portmap when wanted. */
export function network({
  name,
  cniVersion = '1.0.0',
  type = 'weft',
  subnets,
  usesPortmap = false,
  ipMasq = true,
}: NetworkOptions): Record<string, unknown> {
  const bridge = {
    type,
    bridge: name,
    isDefaultGateway: true,
    hairpinMode: true,
    ipMasq,
    ipam: { type: 'host-local', ranges: subnets.map((subnet) => [{ subnet }]) },
  };
  const portmap = { type: 'portmap', capabilities: { portMappings: true }, snat: true };
  return { cniVersion, name, plugins: usesPortmap ? [bridge, portmap] : [bridge] };
}

/** Debian's plugins by name. */
export const referencePlugins = Object.fromEntries(
  ['bridge', 'host-local', 'loopback', 'portmap', 'firewall', 'tuning'].map((name) => [
    name,
    `${bin}/${name}`,
  ]),
);

/** The installed CNI executable, under its own name or others. */
export function weftAs(...names: string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, join(installedTree, 'opt/cni/bin/weft')]));
}
