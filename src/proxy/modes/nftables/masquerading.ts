/** How connections get the node's address: under a source port that nobody guesses. */
import { protocolBytes } from '../../../nftables/bytes.ts';
import type { Rule } from '../../../nftables/model.ts';
import { meta } from '../../../nftables/selectors.ts';
import { masquerade, match, type Statement } from '../../../nftables/statements.ts';
import type { LayoutOptions } from '../../layout-options.ts';
import { rule } from './chain-names.ts';

const isUdp = match(meta.l4proto, '==', protocolBytes('udp'));

/** Masquerades what matches; UDP within its ports, where there are such. */
export function masqueradeRules(
  { masqueradedUdpPorts: ports }: LayoutOptions,
  ...conditions: readonly Statement[]
): readonly Rule[] {
  const all = rule([...conditions, masquerade({ isFullyRandom: true })]);
  if (ports === undefined) return [all];
  return [rule([isUdp, ...conditions, masquerade({ isFullyRandom: true, ports })]), all];
}
