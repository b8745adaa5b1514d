/** What network configurations say and hardly anybody means. */
import type { NetworkConfig } from './network-configs.ts';
import { isJsonObject, memberOf } from './protocol/json.ts';

/** Plugins that make host ports. */
const PUBLISHERS: readonly unknown[] = ['weft', 'portmap'];

/**
 * One sentence per doubt. A runtime passes host ports on only to a plugin that declares the
 * capability; without it a pod's host ports are left out and nobody is told, the plugin neither.
 */
export function configDoubts(configs: readonly NetworkConfig[]): readonly string[] {
  return configs.flatMap(({ file, name, plugins }) => {
    const makers = plugins.filter((plugin) => PUBLISHERS.includes(memberOf(plugin, 'type')));
    if (makers.length === 0 || makers.some(declaresHostPorts)) return [];
    const missing = '"capabilities": {"portMappings": true}';
    return [`network ${name} serves no host ports: ${file} lacks ${missing}`];
  });
}

function declaresHostPorts(plugin: Readonly<Record<string, unknown>>): boolean {
  const capabilities = memberOf(plugin, 'capabilities');
  return isJsonObject(capabilities) && memberOf(capabilities, 'portMappings') === true;
}
