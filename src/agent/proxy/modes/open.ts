import { sysctls } from '../../../kernel/sysctls.ts';
import type { IPFamily } from '../../../net/ip.ts';
import { ConfigError } from '../../../util/errors.ts';
import type { ProxySettings } from '../../config/proxy-settings.ts';
import type { AgentContext } from '../../context.ts';
import { openKubeProxyChains } from './iptables.ts';
import type { OpenedMode } from './mode.ts';
import { openNftablesMode } from './nftables.ts';

/** Throws ConfigError for a mode that this version does not have. */
export function refuseUnknownMode({ mode }: Pick<ProxySettings, 'mode'>): void {
  if (mode !== 'ipvs') return;
  const cure = 'use nftables, which needs kernel 5.13, or iptables';
  throw new ConfigError('mode', `mode: "${mode}" is not part of this version; ${cure}`);
}

/**
 * Opens the configured mode and changes nothing. Throws IoError, which names what is missing, when
 * the node cannot do it.
 */
export async function openMode(
  context: AgentContext,
  families: readonly IPFamily[],
): Promise<OpenedMode> {
  refuseUnknownMode(context.config.proxy);
  return context.config.proxy.mode === 'iptables'
    ? await openKubeProxyChains(context, families)
    : openNftablesMode(context, families);
}

/** IPv6 only where the kernel has it at all. */
export function supportedFamilies(): readonly IPFamily[] {
  const hasIPv6 = sysctls.read(undefined, 'net/ipv6/conf/all/disable_ipv6') !== undefined;
  return hasIPv6 ? [4, 6] : [4];
}
