import type { IptablesVariant } from '../../../iptables/command.ts';
import type { IPFamily } from '../../../net/ip.ts';
import { openTriedVariant } from '../../../proxy/modes/iptables/tried-variant.ts';
import { watchIpvs } from '../../../proxy/modes/ipvs/drift.ts';
import { type IpvsMode, openIpvsMode } from '../../../proxy/modes/ipvs/mode.ts';
import { FirstFew } from '../../../util/complaints.ts';
import type { IpvsSettings } from '../../config/proxy-settings.ts';
import type { AgentContext } from '../../context.ts';
import { readLocalAddresses } from '../local-addresses.ts';
import { watchRules } from './iptables.ts';
import { serveLocalhostNodePorts } from './localhost-node-ports.ts';
import type { DriftListener, OpenedMode } from './mode.ts';

/**
 * Services as virtual servers. Throws IoError, which names the module, when the kernel has no IPVS,
 * no such scheduler or no sets, or when iptables is not installed.
 */
export async function openVirtualServers(
  context: AgentContext,
  families: readonly IPFamily[],
): Promise<OpenedMode> {
  const { config, log, lifecycle } = context;
  const { scheduler, excludeCIDRs, isStrictARP } = config.proxy.ipvs;
  const variant = await findVariant(context, families);
  const addresses = readLocalAddresses(context.nodeEvents);
  const few = new FirstFew();
  const mode = await openIpvsMode({
    ...{ families, variant },
    masqueradeBit: config.proxy.masqueradeBit,
    ...{ scheduler, excludeCIDRs, isStrictARP },
    otherAddresses: () => addresses.read(),
    timeouts: timeoutsOf(config.proxy.ipvs),
    onMissingScheduler: (missing) => {
      const cure = `modprobe ip_vs_${missing}`;
      log.warn({ scheduler: missing, cure }, 'IPVS scheduler missing, Services use another');
    },
    onRefusedDestination: (server, destination) => {
      const pass = few.pass(server);
      const others = pass === 'last' ? { others: 'not named any more' } : {};
      if (pass === 'unsaid') return;
      log.warn({ server, destination, ...others }, 'IPVS refuses this endpoint, it is left out');
    },
  }).catch((thrown: unknown) => {
    addresses.close();
    throw thrown;
  });
  lifecycle.onShutdown('IPVS', () => {
    mode.close();
    addresses.close();
  });
  log.info({ variant, configured: config.own.iptablesVariant }, 'IPVS and iptables found');
  return {
    kind: `ipvs-${mode.variant}`,
    openSession: mode.openSession,
    listeners: (events) => serveLocalhostNodePorts(context, families, events),
    watchDrift: (listener) => watchKernel(context, mode, listener),
  };
}

/** Of iptables: the one that is configured, or else that the node uses and the kernel takes. */
async function findVariant(
  { config }: AgentContext,
  families: readonly IPFamily[],
): Promise<IptablesVariant> {
  const { iptablesVariant: configured } = config.own;
  const { mode } = await openTriedVariant({
    families,
    variant: configured === 'auto' ? undefined : configured,
    masqueradeBit: config.proxy.masqueradeBit,
    localhostNodePorts: false,
  });
  return mode.variant;
}

function timeoutsOf({ tcpTimeoutMs, tcpFinTimeoutMs, udpTimeoutMs }: IpvsSettings) {
  const seconds = (ms: number) => Math.ceil(ms / 1000);
  return {
    tcpSeconds: seconds(tcpTimeoutMs),
    tcpFinSeconds: seconds(tcpFinTimeoutMs),
    udpSeconds: seconds(udpTimeoutMs),
  };
}

/** Rules of iptables, and everything else, which no part of the kernel gives notice of. */
function watchKernel(
  context: AgentContext,
  { families }: IpvsMode,
  listener: DriftListener,
): { close(): void } {
  const rules = new Map(Array.from(families, ([family, each]) => [family, each.rules] as const));
  const watches = [
    watchRules(context, rules, listener),
    watchIpvs(families, {
      clock: context.clock,
      onDrift: (family, what) =>
        listener.onDrift({
          family,
          tables: [family === 4 ? 'ip ipvs' : 'ip6 ipvs'],
          what: what.join(', '),
          by: 'unknown: IPVS does not tell',
        }),
      onError: (family, err) =>
        context.log.warn({ family, err }, 'virtual servers not looked at, trying again'),
    }),
  ];
  return {
    close() {
      for (const watch of watches) watch.close();
    },
  };
}
