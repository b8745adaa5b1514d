/** What a network configuration asks for and its plugins here would refuse, known before any pod asks. */
import type { NetworkConfig } from './network-configs.ts';
import { toCniError } from './protocol/errors.ts';
import { isJsonObject, memberOf } from './protocol/json.ts';
import type { Request } from './protocol/request.ts';
import { checkVersion } from './protocol/versions.ts';
import { findExecutable } from './registry.ts';

/** A plugin that would fail the ADD of every pod of a network. */
export interface Refusal {
  /** The name it is executed under. */
  readonly plugin: string;
  readonly file: string;
  readonly network: string;
  readonly reason: string;
}

type Members = Readonly<Record<string, unknown>>;

/** Plugins of these names alone: what others are asked is their own matter. */
export function configRefusals(
  configs: readonly NetworkConfig[],
  names: readonly string[],
): readonly Refusal[] {
  return configs.flatMap((network) =>
    network.plugins.flatMap((config) => {
      const refusal = (plugin: string, reason: string): Refusal => {
        return { plugin, file: network.file, network: network.name, reason };
      };
      const { type, source } = partsOf(config);
      const isOurs = (plugin: string) => names.includes(plugin);
      const reasons = [source, type].filter(isOurs).flatMap((plugin) => {
        const reason = refusalOf(plugin, network, config);
        return reason === undefined ? [] : [refusal(plugin, reason)];
      });
      // Ours gives the addresses itself, so it fails with them.
      const [ofSource] = reasons.filter(({ plugin }) => plugin === source);
      const isToldTwice = reasons.some(({ plugin }) => plugin === type);
      if (ofSource === undefined || !isOurs(type) || isToldTwice) return reasons;
      return [...reasons, refusal(type, ofSource.reason)];
    }),
  );
}

/** The plugin, and the one that it asks for addresses; empty when there is none. */
function partsOf(config: Members): { readonly type: string; readonly source: string } {
  const ipam = memberOf(config, 'ipam');
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return {
    type: text(memberOf(config, 'type')),
    source: text(isJsonObject(ipam) ? memberOf(ipam, 'type') : undefined),
  };
}

function refusalOf(plugin: string, network: NetworkConfig, config: Members): string | undefined {
  try {
    const request = requestOf(network, config);
    findExecutable(plugin, plugin)?.plugin.checkConfig?.(request);
    return undefined;
  } catch (thrown) {
    const { message, details } = toCniError(thrown);
    return details === undefined ? message : `${message}: ${details}`;
  }
}

/** As the runtime would write it, for no pod in particular. */
function requestOf({ name, cniVersion }: NetworkConfig, plugin: Members): Request {
  const config = { ...plugin, name, cniVersion };
  return {
    verb: 'ADD',
    containerId: 'container',
    netnsPath: '',
    ifName: 'eth0',
    args: '',
    path: [],
    mayUseOwnNetns: false,
    // Without one it is the first version, as for skel.
    cniVersion: checkVersion(cniVersion === '' ? '0.1.0' : cniVersion),
    network: name,
    config,
    env: {},
    stdin: Buffer.from(JSON.stringify(config)),
  };
}
