import type { CommandPrefix, IptablesVariant } from '../../../iptables/command.ts';
import { sysctls } from '../../../kernel/sysctls.ts';
import type { Netns } from '../../../kernel/types.ts';
import type { IPFamily } from '../../../net/ip.ts';
import type { SessionSettings } from '../../session.ts';
import { detectPrograms } from './detection.ts';
import { KernelRules } from './kernel-rules.ts';
import { RulesSession } from './rules-session.ts';

export interface IptablesModeOptions {
  readonly families: readonly IPFamily[];
  /** Undefined: the one that the node uses. */
  readonly variant?: IptablesVariant | undefined;
  /** Number of the bit, 0 to 31, that marks packets to masquerade. */
  readonly masqueradeBit: number;
  /** NodePorts answer on 127.0.0.1 too. */
  readonly localhostNodePorts: boolean;
  /** Another namespace than that of this process, and how a command enters it. */
  readonly inside?: { readonly netns: Netns; readonly prefix: CommandPrefix };
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

/** Opens the iptables mode without writing anything. Throws IoError when the node cannot do it. */
export async function openIptablesMode(options: IptablesModeOptions): Promise<IptablesMode> {
  const { families, variant, masqueradeBit, localhostNodePorts, inside } = options;
  const programs = await detectPrograms(families, { variant, prefix: inside?.prefix });
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
      const liberal = sysctls.read(inside?.netns, BE_LIBERAL) ?? '0';
      return new RulesSession({
        rules: mine,
        masqueradeBit,
        hasLoopbackNodePorts: localhostNodePorts && family === 4,
        dropsInvalid: liberal === '0',
        routeLoopback: () => sysctls.write(inside?.netns, ROUTE_LOCALNET, '1'),
      });
    },
  };
}
