/** Conditions as rules: they lead to the ports that are published under them. */
import { createHash } from 'node:crypto';
import type { IPFamily } from '../../net/ip.ts';
import { numgenRandom } from '../../nftables/generators.ts';
import type { Chain, Rule } from '../../nftables/model.ts';
import { dnatToMap } from '../../nftables/statements.ts';
import type { HostPortRecord } from '../host-ports.ts';
import { parseCondition } from './conditions.ts';
import { FAMILIES, isFamily, MAPS, type PortMapName, rule, SUFFIX } from './maps.ts';

/**
 * One chain per family; its rules are as many as there are different conditions. Where several hold for
 * a packet, the first in the order of their texts wins that has its port, and each may have a
 * port of one address before any has it of all addresses.
 */
export function conditionChains(
  records: readonly Pick<HostPortRecord, 'ports' | 'iptables'>[],
): readonly Chain[] {
  const ports = records.flatMap((record) => (record.iptables === undefined ? record.ports : []));
  return FAMILIES.map((family) => {
    const own = ports.filter((port) => port.family === family);
    const texts = new Set(own.flatMap(({ condition }) => condition ?? []));
    const sorted = [...texts].sort();
    const names = ['conditional-address-ports', 'conditional-ports'] as const;
    return {
      name: conditionChainName(family),
      rules: names.flatMap((name) => sorted.flatMap((text) => conditionRules(family, text, name))),
    };
  });
}

export function conditionChainName(family: IPFamily): string {
  return `conditions-${SUFFIX[family]}`;
}

/** The kernel has no constant for a key; a random number of one possible value is one. */
function conditionRules(family: IPFamily, text: string, name: PortMapName): readonly Rule[] {
  const { name: map, key } = MAPS[family][name];
  const selectors = [...key.slice(0, -1), numgenRandom(1, conditionNumber(text))];
  return parseCondition(text, { key: 'condition', family }).map((statements) =>
    rule([isFamily(family), ...statements, dnatToMap(SUFFIX[family], selectors, map)]),
  );
}

/** 31 bits, the same on every node and after a restart. */
export function conditionNumber(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE() >>> 1;
}
