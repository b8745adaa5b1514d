import { release } from 'node:os';
import type { CommandPrefix, IptablesVariant } from '../../../iptables/command.ts';
import type { IptablesPrograms } from '../../../iptables/programs.ts';
import { openIpSets } from '../../../kernel/ipset.ts';
import { openIpvs } from '../../../kernel/ipvs.ts';
import type { IpvsTimeouts } from '../../../kernel/ipvs-types.ts';
import { openRtnl } from '../../../kernel/rtnl.ts';
import { sysctls } from '../../../kernel/sysctls.ts';
import type { Netns } from '../../../kernel/types.ts';
import type { Cidr } from '../../../net/cidr.ts';
import type { IP, IPFamily } from '../../../net/ip.ts';
import type { SessionSettings } from '../../session.ts';
import { detectPrograms } from '../iptables/detection.ts';
import { KernelRules } from '../iptables/kernel-rules.ts';
import { isIpvsChain } from './chain-names.ts';
import { IpvsSession } from './ipvs-session.ts';
import type { IpvsKernel } from './kernel.ts';
import { KernelSets } from './kernel-sets.ts';
import { KnownState } from './known.ts';
import { PortalLink } from './portal-link.ts';
import { KnownSchedulers, requireKernel } from './probe.ts';
import { configuredScheduling } from './schedulers.ts';
import { ipvsSysctls } from './sysctls.ts';

export interface IpvsModeOptions {
  readonly families: readonly IPFamily[];
  /** Of iptables; undefined: the one that the node uses. */
  readonly variant?: IptablesVariant | undefined;
  /** Number of the bit, 0 to 31, that marks packets to masquerade. */
  readonly masqueradeBit: number;
  /** Empty: `rr`. */
  readonly scheduler: string;
  readonly excludeCIDRs: readonly Cidr[];
  readonly isStrictARP: boolean;
  /** Times of 0 leave the kernel's. */
  readonly timeouts: IpvsTimeouts;
  /** The addresses of all links but the proxy's, of both families. */
  readonly otherAddresses: () => readonly IP[];
  /** A Service asks for a scheduler that the kernel does not have: told once for each. */
  readonly onMissingScheduler: (scheduler: string) => void;
  /** As of a session. */
  readonly onRefusedDestination: (server: string, destination: string) => void;
  /** Another namespace than that of this process, and how a command enters it. */
  readonly inside?: { readonly netns: Netns; readonly prefix: CommandPrefix };
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
  /** Of iptables. */
  readonly variant: IptablesVariant;
  readonly families: ReadonlyMap<IPFamily, IpvsFamily>;
  readonly openSession: (settings: SessionSettings) => IpvsSession;
  close(): void;
}

/**
 * Opens the IPVS mode; nothing is written but a virtual server and a link that probe the kernel and
 * are gone again. Throws IoError, which names the module, when the kernel cannot do it.
 */
export async function openIpvsMode(options: IpvsModeOptions): Promise<IpvsMode> {
  const { variant, inside } = options;
  const programs = await detectPrograms(options.families, { variant, prefix: inside?.prefix });
  const [first] = programs.values();
  if (first === undefined) throw new Error('no address family to program');
  const sockets: { close(): void }[] = [];
  const close = () => {
    for (const socket of sockets) socket.close();
  };
  try {
    const families = new Map<IPFamily, IpvsFamily>();
    for (const [family, each] of programs) {
      families.set(family, await openFamily(options, family, { programs: each, sockets }));
    }
    return {
      variant: first.variant,
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
  { scheduler, inside, otherAddresses }: IpvsModeOptions,
  family: IPFamily,
  {
    programs,
    sockets,
  }: { readonly programs: IptablesPrograms; readonly sockets: { close(): void }[] },
): Promise<IpvsFamily> {
  const netns = inside === undefined ? {} : { netns: inside.netns };
  const ipvs = openIpvs(netns);
  sockets.push(ipvs);
  const ipSets = openIpSets(netns);
  sockets.push(ipSets);
  const rtnl = openRtnl(inside?.netns);
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
  const { masqueradeBit, excludeCIDRs, onMissingScheduler, onRefusedDestination } = options;
  const { isStrictARP, inside } = options;
  for (const { path, value } of ipvsSysctls({ release: release(), isStrictARP })) {
    sysctls.write(inside?.netns, path, value);
  }
  family.setTimeouts(options.timeouts);
  const scheduling = configuredScheduling(options.scheduler);
  const { kernel, known } = family;
  const given = { masqueradeBit, excludeCIDRs, onMissingScheduler, onRefusedDestination };
  return new IpvsSession({ kernel, known, scheduling, ...given });
}
