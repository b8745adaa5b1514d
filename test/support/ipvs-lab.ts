/** The IPVS mode in namespaces of tests. */
import { netnses } from '../../src/kernel/netns.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import type { Netns } from '../../src/kernel/types.ts';
import type { IP } from '../../src/net/ip.ts';
import { detectPrograms } from '../../src/proxy/modes/iptables/detection.ts';
import {
  type IpvsMode,
  type IpvsModeOptions,
  openIpvsMode,
} from '../../src/proxy/modes/ipvs/mode.ts';
import { PORTAL_LINK } from '../../src/proxy/modes/ipvs/portal-link.ts';
import { enter } from './iptables-lab.ts';
import type { TestNetns } from './netns.ts';

export interface IpvsLab {
  readonly mode: IpvsMode;
  close(): void;
}

/** The mode in a namespace, with the legacy variant of iptables, which is what user-mode Linux has. */
export async function openIpvsLab(
  netns: TestNetns,
  options: Partial<IpvsModeOptions> = {},
): Promise<IpvsLab> {
  const inside = netnses.open(netns.path);
  const mode = await openIpvsMode({
    programs: await detectPrograms([4, 6], { variant: 'legacy', prefix: enter(netns) }),
    masqueradeBit: 14,
    scheduler: '',
    excludeCIDRs: [],
    isStrictARP: false,
    ...{ tcpTimeoutMs: 0, tcpFinTimeoutMs: 0, udpTimeoutMs: 0 },
    otherAddresses: () => addressesBeside(inside),
    onRefusedDestination: () => {},
    onMissingScheduler: (scheduler) => {
      throw new Error(`no scheduler ${scheduler}`);
    },
    netns: inside,
    ...options,
  });
  return {
    mode,
    close() {
      mode.close();
      inside.close();
    },
  };
}

/** The addresses of all links but the proxy's. */
function addressesBeside(netns: Netns): readonly IP[] {
  const rtnl = openRtnl(netns);
  try {
    const own = rtnl.link(PORTAL_LINK)?.index;
    return rtnl
      .addresses()
      .filter(({ link }) => link !== own)
      .map(({ address }) => address);
  } finally {
    rtnl.close();
  }
}
