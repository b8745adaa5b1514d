import type { IptablesVariant } from '../../../iptables/command.ts';
import type { IptablesPrograms } from '../../../iptables/programs.ts';
import { sysctls } from '../../../kernel/sysctls.ts';
import type { Netns } from '../../../kernel/types.ts';
import type { IPFamily } from '../../../net/ip.ts';
import { acceptsOnLoopback } from '../../node-addresses.ts';
import type { SessionSettings } from '../../session.ts';
import { BESIDE_IPVS } from '../ipvs/rules-cleanup.ts';
import type { ModeNode, ModeSettings, OpenedMode, ProxyMode } from '../mode.ts';
import { RULES } from '../names.ts';
import { removeModeRules, removeServiceRules } from './cleanup.ts';
import { installedPrograms } from './detection.ts';
import { watchRules } from './drift.ts';
import { KernelRules } from './kernel-rules.ts';
import { rememberPacketCounts } from './remembered-counts.ts';
import { RulesSession } from './rules-session.ts';
import { openTriedPrograms } from './tried-programs.ts';

/**
 * Services in kube-proxy's chains, in the variant that is configured or else that the node uses. Throws
 * IoError when its programs are not installed, or the kernel does not take such rules.
 */
export const IPTABLES_MODE: ProxyMode = {
  open,
  // In iptables they are known by kube-proxy's names: only for rules that are on record as ours.
  remove: async (kind, family, own) => {
    const { variant } = RULES[kind];
    const programs = await installedPrograms(family, variant);
    const isShared = own === `ipvs-${variant}`;
    return isShared ? removeModeRules(programs, BESIDE_IPVS) : removeServiceRules(programs);
  },
};

export interface IptablesModeOptions {
  readonly programs: ReadonlyMap<IPFamily, IptablesPrograms>;
  /** Number of the bit, 0 to 31, that marks packets to masquerade. */
  readonly masqueradeBit: number;
  /** NodePorts answer on 127.0.0.1 too. */
  readonly localhostNodePorts: boolean;
  /** Where the programs work, when it is not the namespace of this process. */
  readonly netns?: Netns;
}

export interface IptablesMode {
  readonly variant: IptablesVariant;
  /** By family; what watchDrift watches. */
  readonly rules: ReadonlyMap<IPFamily, KernelRules>;
  /** Begins a session for the family of these settings. */
  readonly openSession: (settings: SessionSettings) => RulesSession;
}

const BE_LIBERAL = 'net/netfilter/nf_conntrack_tcp_be_liberal';
const ROUTE_LOCALNET = 'net/ipv4/conf/all/route_localnet';

async function open(node: ModeNode): Promise<OpenedMode> {
  const { families, settings, log, metrics } = node;
  const { iptablesVariant: configured, masqueradeBit } = settings;
  const { programs, variant, isTried } = await openTriedPrograms(families, configured);
  const localhostNodePorts = servesLoopback(settings);
  const { rules, openSession } = openIptablesMode({ programs, masqueradeBit, localhostNodePorts });
  log.info({ variant, configured, isTried }, 'iptables found');
  const ofIPv4 = programs.get(4);
  metrics.observeIptables({
    rules: () => Array.from(rules, ([family, { counts }]) => [family, counts] as const),
    packets: ofIPv4 ? rememberPacketCounts(ofIPv4, node) : () => undefined,
  });
  return {
    kind: `iptables-${variant}`,
    openSession,
    listeners: () => [],
    watchDrift: (listener) => watchRules(node, rules, listener),
  };
}

/** Sessions over these programs. */
export function openIptablesMode(options: IptablesModeOptions): IptablesMode {
  const { programs, masqueradeBit, localhostNodePorts, netns } = options;
  const rules = new Map(
    Array.from(programs, ([family, each]) => [family, new KernelRules(each)] as const),
  );
  const [first] = programs.values();
  if (first === undefined) throw new Error('no address family to program');
  return {
    variant: first.variant,
    rules,
    openSession: ({ layout: { family } }) => {
      const mine = rules.get(family);
      if (mine === undefined) throw new Error(`IPv${family} was not opened`);
      const liberal = sysctls.read(netns, BE_LIBERAL) ?? '0';
      return new RulesSession({
        rules: mine,
        masqueradeBit,
        hasLoopbackNodePorts: localhostNodePorts && family === 4,
        dropsInvalid: liberal === '0',
        routeLoopback: () => sysctls.write(netns, ROUTE_LOCALNET, '1'),
      });
    },
  };
}

/** As kube-proxy has it: only where the addresses that accept NodePorts include 127.0.0.1. */
export function servesLoopback({
  localhostNodePorts,
  nodePortAddresses,
}: Pick<ModeSettings, 'localhostNodePorts' | 'nodePortAddresses'>): boolean {
  return localhostNodePorts && acceptsOnLoopback(nodePortAddresses, 4);
}
