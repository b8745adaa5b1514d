/** The iptables mode in namespaces of tests. */
import type { CommandPrefix, IptablesVariant } from '../../src/iptables/command.ts';
import {
  findIptables,
  type IptablesPrograms,
  openIptablesPrograms,
} from '../../src/iptables/programs.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import type { IPFamily } from '../../src/net/ip.ts';
import { detectPrograms } from '../../src/proxy/modes/iptables/detection.ts';
import { KernelRules } from '../../src/proxy/modes/iptables/kernel-rules.ts';
import { type IptablesMode, openIptablesMode } from '../../src/proxy/modes/iptables/mode.ts';
import { RulesSession, type SessionOptions } from '../../src/proxy/modes/iptables/rules-session.ts';
import type { ServiceSession, SessionSettings } from '../../src/proxy/session.ts';
import type { ResolvedPort } from '../../src/proxy/state.ts';
import type { World } from '../../src/proxy/verdict/world.ts';
import { resolveAll } from './iptables-objects.ts';
import type { TestNetns } from './netns.ts';

export const VARIANTS = ['nft', 'legacy'] as const;

export function enter({ path }: TestNetns): CommandPrefix {
  return ['nsenter', `--net=${path}`];
}

/** The programs of every variant that is installed. */
export async function installedPrograms(
  families: readonly IPFamily[],
  prefix: CommandPrefix = [],
): Promise<readonly IptablesPrograms[]> {
  const installed = await findIptables(prefix);
  return Array.from(installed.keys()).flatMap((variant) =>
    families.map((family) => openIptablesPrograms(installed, variant, family, prefix)),
  );
}

/** The rules of a family in a namespace. */
export async function kernelRules(
  netns: TestNetns,
  variant: IptablesVariant,
  family: IPFamily,
): Promise<KernelRules> {
  const programs = (await detectPrograms([family], { variant, prefix: enter(netns) })).get(family);
  if (programs === undefined) throw new Error(`no programs for IPv${family}`);
  return new KernelRules(programs);
}

/** The mode in a namespace, for both families and without NodePorts on 127.0.0.1 by default. */
export async function openIptablesLab(
  netns: TestNetns,
  variant: IptablesVariant,
  options: { readonly families?: readonly IPFamily[]; readonly localhostNodePorts?: boolean } = {},
): Promise<IptablesMode & { close(): void }> {
  const { families = [4, 6], localhostNodePorts = false } = options;
  const programs = await detectPrograms(families, { variant, prefix: enter(netns) });
  const inside = netnses.open(netns.path);
  const mode = { programs, masqueradeBit: 14, localhostNodePorts, netns: inside };
  return { ...openIptablesMode(mode), close: () => inside.close() };
}

export function openSession(
  rules: SessionOptions['rules'],
  options: Partial<SessionOptions> = {},
): RulesSession {
  return new RulesSession({
    rules,
    masqueradeBit: 14,
    hasLoopbackNodePorts: false,
    dropsInvalid: true,
    routeLoopback: () => {},
    ...options,
  });
}

/** Programs everything that a world of the flow table holds. */
export async function programWorld(
  session: ServiceSession,
  world: World,
  family: IPFamily,
): Promise<void> {
  const owners = new Set([...world.frontends.values()].map(({ owner }) => owner));
  const services = Map.groupBy(owners, ({ port }) => port.service);
  await programPorts(session, services, {
    layout: {
      family,
      acceptsOnAllAddresses: world.nodePortIPs === undefined,
      localDetector: world.localDetector,
      masqueradesAll: world.masqueradesAll,
      serviceCIDRs: world.serviceCIDRs,
    },
    nodePortIPs: world.nodePortIPs ?? [],
  });
}

export async function programPorts(
  session: ServiceSession,
  services: ReadonlyMap<string, readonly ResolvedPort[]>,
  settings: SessionSettings,
): Promise<void> {
  const groups = Array.from(services.keys(), (key) => [key]);
  await session.program(settings, groups, (key) => services.get(key) ?? []);
}

/** The settings of a node whose pods are told by the network of the cluster. */
export function settingsOf(family: 4 | 6): SessionSettings {
  const cidrs = [parseCidr(family === 4 ? '10.0.0.0/8' : 'fd00:10::/32')];
  return {
    layout: {
      family,
      acceptsOnAllAddresses: true,
      localDetector: { kind: 'cidrs', cidrs },
      masqueradesAll: false,
      serviceCIDRs: [],
    },
    nodePortIPs: [],
  };
}

/** Programs the Services of the golden files. */
export async function programAll(rules: KernelRules, family: 4 | 6): Promise<void> {
  await programPorts(openSession(rules), resolveAll(family), settingsOf(family));
}

/** What iptables-save prints, without counters and times. */
export function listingOf({ run }: TestNetns, variant: string, family: 4 | 6): string {
  const text = run(`${family === 4 ? 'ip' : 'ip6'}tables-${variant}-save`);
  const lines = text.split('\n').map((line) => line.replace(/\[\d+:\d+\]$/, '').trimEnd());
  return lines.filter((line) => line !== '' && !line.startsWith('#')).join('\n');
}
