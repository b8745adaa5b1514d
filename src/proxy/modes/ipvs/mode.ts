import { release } from 'node:os';
import type { IptablesPrograms } from '../../../iptables/programs.ts';
import { openIpSets } from '../../../kernel/ipset.ts';
import { openIpvs } from '../../../kernel/ipvs.ts';
import type { IpvsTimeouts } from '../../../kernel/ipvs-types.ts';
import type { Watch } from '../../../kernel/node-events.ts';
import { openRtnl } from '../../../kernel/rtnl.ts';
import { sysctls } from '../../../kernel/sysctls.ts';
import type { Netns } from '../../../kernel/types.ts';
import type { IP, IPFamily } from '../../../net/ip.ts';
import { FirstFew } from '../../../util/complaints.ts';
import { readLocalAddresses } from '../../local-addresses.ts';
import type { SessionSettings } from '../../session.ts';
import { together } from '../drift-watch.ts';
import { removeModeRules } from '../iptables/cleanup.ts';
import { installedPrograms } from '../iptables/detection.ts';
import { watchRules } from '../iptables/drift.ts';
import { KernelRules } from '../iptables/kernel-rules.ts';
import { openTriedPrograms } from '../iptables/tried-programs.ts';
import type { DriftListener, IpvsSettings, ModeNode, OpenedMode, ProxyMode } from '../mode.ts';
import { RULES, type RulesKind } from '../names.ts';
import { serveLocalhostNodePorts } from '../userspace/localhost-node-ports.ts';
import { isIpvsChain } from './chain-names.ts';
import { removeVirtualServers } from './cleanup.ts';
import { watchIpvs } from './drift.ts';
import { IpvsSession } from './ipvs-session.ts';
import type { IpvsKernel } from './kernel.ts';
import { KernelSets } from './kernel-sets.ts';
import { KnownState } from './known.ts';
import { PortalLink } from './portal-link.ts';
import { KnownSchedulers, requireKernel } from './probe.ts';
import { BESIDE_IPTABLES, IPVS_CHAINS } from './rules-cleanup.ts';
import { configuredScheduling } from './schedulers.ts';
import { ipvsSysctls } from './sysctls.ts';

/**
 * Services as virtual servers. Throws IoError, which names the module, when the kernel has no IPVS,
 * no such scheduler or no sets, or when iptables is not installed.
 */
export const IPVS_MODE: ProxyMode = { open, remove };

export interface IpvsModeOptions extends IpvsSettings {
  /** Of iptables. */
  readonly programs: ReadonlyMap<IPFamily, IptablesPrograms>;
  /** Number of the bit, 0 to 31, that marks packets to masquerade. */
  readonly masqueradeBit: number;
  /** The addresses of all links but the proxy's, of both families. */
  readonly otherAddresses: () => readonly IP[];
  /** A Service asks for a scheduler that the kernel does not have: told once for each. */
  readonly onMissingScheduler: (scheduler: string) => void;
  /** As of a session. */
  readonly onRefusedDestination: (server: string, destination: string) => void;
  /** Where the programs work, when it is not the namespace of this process. */
  readonly netns?: Netns;
}

/** One family of an open mode. */
export interface IpvsFamily {
  readonly kernel: IpvsKernel;
  readonly rules: KernelRules;
  readonly setTimeouts: (timeouts: IpvsTimeouts) => void;
  /** What sessions have read and written. */
  readonly known: KnownState;
}

export interface IpvsMode {
  readonly families: ReadonlyMap<IPFamily, IpvsFamily>;
  readonly openSession: (settings: SessionSettings) => IpvsSession;
  close(): void;
}

async function open(node: ModeNode): Promise<OpenedMode> {
  const { settings, log } = node;
  const { iptablesVariant: configured, masqueradeBit } = settings;
  const { programs, variant } = await openTriedPrograms(node.families, configured);
  const addresses = readLocalAddresses(node.nodeEvents);
  const few = new FirstFew();
  const mode = await openIpvsMode({
    ...{ programs, masqueradeBit, ...settings.ipvs },
    otherAddresses: () => addresses.read(),
    onMissingScheduler: (scheduler) => {
      const cure = `modprobe ip_vs_${scheduler}`;
      log.warn({ scheduler, cure }, 'IPVS scheduler missing, Services use another');
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
  node.onShutdown('IPVS', () => {
    mode.close();
    addresses.close();
  });
  log.info({ variant, configured }, 'IPVS and iptables found');
  return {
    kind: `ipvs-${variant}`,
    openSession: mode.openSession,
    listeners: () => serveLocalhostNodePorts(node),
    watchDrift: (listener) => watchKernel(node, mode, listener),
  };
}

/** Rules of iptables, and everything else, which no part of the kernel gives notice of. */
function watchKernel(node: ModeNode, { families }: IpvsMode, listener: DriftListener): Watch {
  const rules = new Map(Array.from(families, ([family, each]) => [family, each.rules] as const));
  const servers = watchIpvs(families, {
    clock: node.clock,
    onDrift: (family, what) =>
      listener.onDrift({
        family,
        tables: [family === 4 ? 'ip ipvs' : 'ip6 ipvs'],
        what: what.join(', '),
        by: 'unknown: IPVS does not tell',
      }),
    onError: (family, err) =>
      node.log.warn({ family, err }, 'virtual servers not looked at, trying again'),
  });
  return together([watchRules(node, rules, listener), servers]);
}

/**
 * Rules first, as they use the sets. With `own`, the rules of the mode that has taken its place, chains
 * that both use stay, and so do virtual servers as long as they have connections.
 */
async function remove(kind: RulesKind, family: IPFamily, own?: RulesKind): Promise<boolean> {
  const { variant } = RULES[kind];
  const programs = await installedPrograms(family, variant);
  const chains = own === `iptables-${variant}` ? BESIDE_IPTABLES : IPVS_CHAINS;
  const hadRules = await removeModeRules(programs, chains);
  // Of the mode that runs, whose rules are those of another variant.
  if (own !== undefined && RULES[own].mode === 'ipvs') return hadRules;
  const ipvs = openIpvs();
  const ipSets = openIpSets();
  const rtnl = openRtnl();
  try {
    // Sockets of a userspace proxy get nothing before the virtual servers are gone.
    const drains = own !== undefined && own !== 'userspace';
    const hadServers = await removeVirtualServers({ ipvs, ipSets, rtnl }, { family, drains });
    return hadServers || hadRules;
  } finally {
    for (const socket of [ipvs, ipSets, rtnl]) socket.close();
  }
}

/**
 * Sessions over these programs. Nothing is written but a virtual server and a link that probe the kernel
 * and are gone again. Throws IoError, which names the module, when the kernel cannot do it.
 */
export async function openIpvsMode(options: IpvsModeOptions): Promise<IpvsMode> {
  const sockets: Watch[] = [];
  const { close } = together(sockets);
  try {
    const families = new Map<IPFamily, IpvsFamily>();
    for (const [family, programs] of options.programs) {
      families.set(family, await openFamily(options, family, { programs, sockets }));
    }
    return {
      families,
      openSession: (settings) => openSession(options, families, settings),
      close,
    };
  } catch (thrown) {
    close();
    throw thrown;
  }
}

/** Each family has sockets of its own: sessions of both are at work at the same time. */
async function openFamily(
  { scheduler, netns, otherAddresses }: IpvsModeOptions,
  family: IPFamily,
  { programs, sockets }: { readonly programs: IptablesPrograms; readonly sockets: Watch[] },
): Promise<IpvsFamily> {
  const inside = netns === undefined ? {} : { netns };
  const ipvs = openIpvs(inside);
  sockets.push(ipvs);
  const ipSets = openIpSets(inside);
  sockets.push(ipSets);
  const rtnl = openRtnl(netns);
  sockets.push(rtnl);
  const schedulers = new KnownSchedulers(ipvs, family);
  const configured = configuredScheduling(scheduler);
  await requireKernel(schedulers, ipSets, { family, scheduler: configured.scheduler });
  const rules = new KernelRules(programs, isIpvsChain);
  const addresses = new PortalLink({ rtnl, family, otherAddresses });
  addresses.probe();
  const sets = new KernelSets(ipSets, family);
  const kernel = { ipvs, sets, addresses, rules, schedulers };
  return {
    kernel,
    setTimeouts: (timeouts) => ipvs.setTimeouts(timeouts),
    rules,
    known: new KnownState(),
  };
}

function openSession(
  options: IpvsModeOptions,
  families: ReadonlyMap<IPFamily, IpvsFamily>,
  { layout }: SessionSettings,
): IpvsSession {
  const family = families.get(layout.family);
  if (family === undefined) throw new Error(`IPv${layout.family} was not opened`);
  for (const { path, value } of ipvsSysctls({ release: release(), ...options })) {
    sysctls.write(options.netns, path, value);
  }
  family.setTimeouts(timeoutsOf(options));
  const scheduling = configuredScheduling(options.scheduler);
  return new IpvsSession({ ...options, ...family, scheduling });
}

function timeoutsOf({ tcpTimeoutMs, tcpFinTimeoutMs, udpTimeoutMs }: IpvsSettings): IpvsTimeouts {
  const seconds = (ms: number) => Math.ceil(ms / 1000);
  return {
    tcpSeconds: seconds(tcpTimeoutMs),
    tcpFinSeconds: seconds(tcpFinTimeoutMs),
    udpSeconds: seconds(udpTimeoutMs),
  };
}
