import { hasCapability } from '../../kernel/capabilities.ts';
import { sysctls } from '../../kernel/sysctls.ts';
import type { IPFamily } from '../../net/ip.ts';
import { type ChosenMode, chooseMode, type ModeChoice } from '../../proxy/modes/auto.ts';
import type { ModeNode, OpenedMode } from '../../proxy/modes/mode.ts';
import { PROXY_MODES } from '../../proxy/modes/modes.ts';
import type { ModeName } from '../../proxy/modes/names.ts';
import { IoError, toError } from '../../util/errors.ts';
import type { AgentContext } from '../context.ts';
import { ListenFailures, openForwarders } from './forwarders.ts';
import { readRulesRecord } from './rules-record.ts';

/** In which way the proxy works, and for which families. */
export interface OpenedProxy {
  readonly mode: OpenedMode;
  readonly choice: ModeChoice;
  readonly families: readonly IPFamily[];
  readonly failures: ListenFailures;
}

/**
 * Opens the configured mode, or with `auto` the first that works, and changes nothing. Throws
 * IoError, which names what is missing, when the node cannot do it.
 */
export async function openProxy(context: AgentContext): Promise<OpenedProxy> {
  const { mode } = context.config.proxy;
  if (!hasCapability('CAP_NET_ADMIN')) {
    const cure = "run it as root, with that capability in the container's securityContext";
    throw new IoError(`proxy mode ${mode}: this process has no CAP_NET_ADMIN; ${cure}`);
  }
  const families = supportedFamilies();
  const failures = new ListenFailures(context);
  const node = modeNode(context, families, failures);
  const open = async (name: ModeName) => PROXY_MODES[name].open(node);
  const { opened, choice } = await (mode === 'auto'
    ? openFirst(context, node, open)
    : openConfigured(context, mode, open));
  return { mode: opened, choice, families, failures };
}

function modeNode(
  context: AgentContext,
  families: readonly IPFamily[],
  failures: ListenFailures,
): ModeNode {
  const { config, clock, log, lifecycle, nodeEvents, metrics } = context;
  return {
    ...{ families, clock, log, nodeEvents, metrics },
    settings: { ...config.proxy, ...config.own },
    recorded: readRulesRecord(config.runDir),
    openForwarders: (options) => openForwarders(context, failures, options),
    onShutdown: (what, close) => lifecycle.onShutdown(what, close),
  };
}

async function openConfigured(
  { config }: AgentContext,
  mode: ModeName,
  open: (mode: ModeName) => Promise<OpenedMode>,
): Promise<ChosenMode> {
  const reason = config.proxy.configuredMode === '' ? 'the default' : 'configured';
  try {
    return { opened: await open(mode), choice: { mode, reason, passedOver: [] } };
  } catch (cause) {
    const cure = '--proxy-mode auto takes one that works';
    throw new IoError(`proxy mode ${mode}: ${toError(cause).message}; ${cure}`, { cause });
  }
}

async function openFirst(
  { log }: AgentContext,
  { recorded }: ModeNode,
  open: (mode: ModeName) => Promise<OpenedMode>,
): Promise<ChosenMode> {
  const chosen = await chooseMode({ open, recorded });
  const { mode, reason, passedOver: others } = chosen.choice;
  const passedOver = others.map((other) => `${other.mode}: ${other.reason}`);
  log.info({ mode, reason, passedOver }, 'proxy mode chosen');
  return chosen;
}

/** IPv6 only where the kernel has it at all. */
export function supportedFamilies(): readonly IPFamily[] {
  const hasIPv6 = sysctls.read(undefined, 'net/ipv6/conf/all/disable_ipv6') !== undefined;
  return hasIPv6 ? [4, 6] : [4];
}
