import { openPacketLog } from '../../kernel/packet-log.ts';
import { protocolBytes, u8Bytes } from '../../nftables/bytes.ts';
import { NftablesConnection } from '../../nftables/connection.ts';
import type { Chain, Table } from '../../nftables/model.ts';
import { ct, icmp, icmpv6, meta, tcp } from '../../nftables/selectors.ts';
import { limit, log, match, matchBits, type Statement } from '../../nftables/statements.ts';
import { Transaction } from '../../nftables/transaction.ts';
import { type Refusal, refusalOf } from './refusal.ts';

/** One process of a network namespace can have a group: other programs must leave this one to weft. */
const REFUSED_LOG_GROUP = 9339;
const REFUSAL_TABLE: Table = { family: 'inet', name: 'weft-flows', isOwned: true };

/** Behind everything else. */
const LAST = 350;
/** An IPv6 header, that of the error, and what it quotes as far as its ports. */
const LOGGED_BYTES = 128;
const LOGGED = { perSecond: 500, burst: 1_000 };
const RST = 4;
const CT_STATE_RELATED = 4;
/** Protocol number and type "destination unreachable". */
const ICMP = { protocol: 1, unreachable: 3 };
const ICMPV6 = { protocol: 58, unreachable: 1 };

/**
 * Calls back with what this node answers in place of whoever was meant, until closed: for that time a table
 * of ours hands its resets and ICMP errors to a log group. The kernel removes the table with the connection
 * that owns it, however this process ends. Throws NetlinkError where the kernel or another process
 * does not let it.
 */
export function watchRefusals(listener: (refusals: readonly Refusal[]) => void): { close(): void } {
  const packets = openPacketLog({ group: REFUSED_LOG_GROUP }, (logged) => {
    const refusals = logged.flatMap(({ headers }) => (headers && refusalOf(headers)) ?? []);
    if (refusals.length > 0) listener(refusals);
  });
  try {
    const connection = NftablesConnection.open();
    try {
      connection.commit(refusalTable());
    } catch (thrown) {
      connection.close();
      throw thrown;
    }
    return {
      close: () => {
        connection.close();
        packets.close();
      },
    };
  } catch (thrown) {
    packets.close();
    throw thrown;
  }
}

/** A reset of an application is part of its connection; one that a rule sends is only related to it. */
function refusalTable(): Transaction {
  const isRelated = matchBits(ct.state, CT_STATE_RELATED, '!=', 0);
  const told = (...statements: readonly Statement[]) => {
    const toGroup = log(REFUSED_LOG_GROUP, { prefix: 'weft-flows', snapLength: LOGGED_BYTES });
    return { statements: [...statements, limit(LOGGED), toGroup] };
  };
  const isProtocol = (number: number) => match(meta.l4proto, '==', u8Bytes(number));
  const chain: Chain = {
    name: 'answers',
    base: { type: 'filter', hook: 'output', priority: LAST },
    rules: [
      told(
        ...[match(meta.l4proto, '==', protocolBytes('tcp')), isRelated],
        matchBits(tcp.flags, RST, '!=', 0),
      ),
      told(isProtocol(ICMP.protocol), match(icmp.type, '==', u8Bytes(ICMP.unreachable))),
      told(isProtocol(ICMPV6.protocol), match(icmpv6.type, '==', u8Bytes(ICMPV6.unreachable))),
    ],
  };
  return new Transaction(REFUSAL_TABLE).addTable({ isExclusive: true }).addChain(chain);
}
