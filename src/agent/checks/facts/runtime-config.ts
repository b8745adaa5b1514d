import { existsSync, readdirSync } from 'node:fs';
import { type NetworkConfig, readNetworkConfigs } from '../../../cni/network-configs.ts';
import { isJsonObject, memberOf } from '../../../cni/protocol/json.ts';
import { PLUGIN_NAMES } from '../../../cni/registry.ts';
import { ifThere } from '../../../util/files.ts';
import { isText } from '../../../util/json.ts';
import { factOf } from '../check.ts';
import type { CheckedNode } from '../checked-node.ts';
import type { CheckedConfig, RuntimeFacts } from '../runtime-config.ts';

export function readRuntimeFacts({ directories, agent }: CheckedNode): RuntimeFacts {
  const { conf: confDirectory, bin: binDirectory } = directories;
  return {
    // Without an agent somebody else may connect the pods.
    hasCni: agent?.components.has('cni') ?? false,
    confDirectory,
    configs: factOf(() =>
      existsSync(confDirectory) ? readNetworkConfigs(confDirectory).map(checked) : undefined,
    ),
    binDirectory,
    plugins: factOf(() => ifThere(() => readdirSync(binDirectory))),
    ownNames: ['weft', ...PLUGIN_NAMES],
  };
}

function checked({ file, plugins }: NetworkConfig): CheckedConfig {
  const ipam = plugins.map((plugin) => memberOf(plugin, 'ipam')).filter(isJsonObject);
  return {
    file,
    types: typesOf(plugins),
    // weft does without the program what it can do itself.
    foreignIpam: typesOf(ipam).filter((type) => !PLUGIN_NAMES.includes(type)),
  };
}

function typesOf(members: readonly Readonly<Record<string, unknown>>[]): readonly string[] {
  return members.map((member) => memberOf(member, 'type')).filter(isText);
}
