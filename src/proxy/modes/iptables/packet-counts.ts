import type { IptablesPrograms } from '../../../iptables/programs.ts';
import { ruleKey } from '../../../iptables/rule-key.ts';
import { CHAIN } from './chain-names.ts';
import { INVALID_DROP, LOOPBACK_COUNTER } from './fixed-chains.ts';

/** Packets that rules of ours have counted since their chain was last written. */
export interface PacketCounts {
  /** What conntrack called invalid, and was not forwarded. */
  readonly droppedInvalid: number;
  /** First packets of connections to NodePorts of 127.0.0.1. */
  readonly loopbackNodePorts: number;
}

/** Reads two chains. Throws IoError, also before they are there. */
export async function readPacketCounts(programs: IptablesPrograms): Promise<PacketCounts> {
  const [forward, leaving] = [
    await programs.listCounted('filter', CHAIN.forward),
    await programs.listCounted('nat', CHAIN.postrouting),
  ];
  return {
    droppedInvalid: packetsOf(forward, INVALID_DROP),
    loopbackNodePorts: packetsOf(leaving, LOOPBACK_COUNTER),
  };
}

/** Of that rule, 0 when it is not there. */
function packetsOf(listing: string, rule: string): number {
  const wanted = ruleKey(rule);
  for (const line of listing.split('\n')) {
    const [, before = '', packets, after = ''] =
      /^-A \S+ (.*?) ?-c (\d+) \d+ ?(.*)$/.exec(line) ?? [];
    const listed = [before, after].filter((part) => part !== '').join(' ');
    if (packets !== undefined && ruleKey(listed) === wanted) return Number(packets);
  }
  return 0;
}
