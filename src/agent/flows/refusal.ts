import type { IP } from '../../net/ip.ts';
import type { PacketHeaders } from '../../netlink/packet-headers.ts';

/** A packet that this node did not pass on, by the answer that it has sent instead. */
export interface Refusal {
  readonly source: IP;
  readonly destination: IP;
  /** IP protocol number. */
  readonly protocol: number;
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
  /** `refused`: a reset, or an ICMP error that says so. `unreachable`: no way there. */
  readonly answer: 'refused' | 'unreachable';
}

const TCP = 6;
/** Codes of ICMP type 3 (RFC 792, RFC 1812 §5.2.7.1) and of ICMPv6 type 1 (RFC 4443 §3.1). */
const ICMP_ANSWERS: Readonly<Record<4 | 6, ReadonlyMap<number, Refusal['answer']>>> = {
  4: new Map([
    ...[0, 1].map((code) => [code, 'unreachable'] as const),
    ...[2, 3, 9, 10, 13].map((code) => [code, 'refused'] as const),
  ]),
  6: new Map([
    ...[0, 3].map((code) => [code, 'unreachable'] as const),
    ...[1, 4, 5, 6].map((code) => [code, 'refused'] as const),
  ]),
};

/** The packet that an answer of this node is about; undefined for what is no refusal. */
export function refusalOf(headers: PacketHeaders): Refusal | undefined {
  const { source, destination, protocol, ports, icmp, quoted, family } = headers;
  if (protocol === TCP && ports !== undefined) {
    return {
      ...{ source: destination, destination: source, protocol },
      ...{ sourcePort: ports.destination, destinationPort: ports.source },
      answer: 'refused',
    };
  }
  const answer = icmp && ICMP_ANSWERS[family].get(icmp.code);
  if (answer === undefined || quoted === undefined) return undefined;
  return {
    ...{ source: quoted.source, destination: quoted.destination, protocol: quoted.protocol },
    ...{ sourcePort: quoted.ports?.source, destinationPort: quoted.ports?.destination },
    answer,
  };
}
