import { hasCapability } from '../../../kernel/capabilities.ts';
import { sysctls } from '../../../kernel/sysctls.ts';
import type { IPFamily } from '../../../net/ip.ts';
import type { ModeName } from '../../../proxy/mode-name.ts';
import { IoError, toError } from '../../../util/errors.ts';
import type { AgentContext } from '../../context.ts';
import { readRulesRecord } from '../rules-record.ts';
import { type ChosenMode, chooseMode } from './auto.ts';
import { openKubeProxyChains } from './iptables.ts';
import { openVirtualServers } from './ipvs.ts';
import type { OpenedMode } from './mode.ts';
import { openNftablesMode } from './nftables.ts';
import { openUserspaceMode } from './userspace.ts';

/** Opens a mode and changes nothing. Throws what is missing and the cure, without its own name. */
type Open = (
  context: AgentContext,
  families: readonly IPFamily[],
) => OpenedMode | Promise<OpenedMode>;

const OPENERS: Readonly<Record<ModeName, Open>> = {
  nftables: openNftablesMode,
  iptables: openKubeProxyChains,
  ipvs: openVirtualServers,
  userspace: openUserspaceMode,
};

/**
 * Opens the configured mode, or with `auto` the first that works, and changes nothing. Throws
 * IoError, which names what is missing, when the node cannot do it.
 */
export async function openMode(
  context: AgentContext,
  families: readonly IPFamily[],
): Promise<ChosenMode> {
  const { config, log } = context;
  const { mode, configuredMode } = config.proxy;
  if (!hasCapability('CAP_NET_ADMIN')) {
    const cure = "run it as root, with that capability in the container's securityContext";
    throw new IoError(`proxy mode ${mode}: this process has no CAP_NET_ADMIN; ${cure}`);
  }
  const open = async (name: ModeName) => OPENERS[name](context, families);
  if (mode !== 'auto') {
    const reason = configuredMode === '' ? 'the default' : 'configured';
    try {
      return { opened: await open(mode), choice: { mode, reason, passedOver: [] } };
    } catch (cause) {
      const cure = '--proxy-mode auto takes one that works';
      throw new IoError(`proxy mode ${mode}: ${toError(cause).message}; ${cure}`, { cause });
    }
  }
  const chosen = await chooseMode({ open, recorded: readRulesRecord(config.runDir) });
  const { choice } = chosen;
  const passedOver = choice.passedOver.map((other) => `${other.mode}: ${other.reason}`);
  log.info({ mode: choice.mode, reason: choice.reason, passedOver }, 'proxy mode chosen');
  return chosen;
}

/** IPv6 only where the kernel has it at all. */
export function supportedFamilies(): readonly IPFamily[] {
  const hasIPv6 = sysctls.read(undefined, 'net/ipv6/conf/all/disable_ipv6') !== undefined;
  return hasIPv6 ? [4, 6] : [4];
}
