import { tryParseIP } from '../../net/ip.ts';
import { WeftError } from '../../util/errors.ts';

/** What the page asks `explain`: names or addresses of both sides. */
export interface PageQuestion {
  readonly from: string;
  readonly to: string;
  readonly port: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
}

const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;
/** Of a namespace, an object and the slash between them. */
const MOST_CHARACTERS = 63 + 1 + 253;
const NAME = /^[a-z0-9.-]+\/[a-z0-9.-]+$/;
const PORT = /^[a-z0-9-]{1,15}$/;

/** Throws WeftError that names the field and what it wants. */
export function parseQuestion(query: URLSearchParams): PageQuestion {
  const text = (field: string) => (query.get(field) ?? '').trim();
  const party = (field: string) => {
    const given = text(field);
    const isName = given.length <= MOST_CHARACTERS && NAME.test(given);
    if (isName || tryParseIP(given) !== undefined) return given;
    throw refuse(`${field}: expected an address, NAMESPACE/NAME or node/NAME`);
  };
  const port = text('port');
  if (!PORT.test(port)) throw refuse('port: expected a number or a name');
  const protocol = PROTOCOLS.find((name) => name === (query.get('protocol') ?? 'tcp'));
  if (protocol === undefined) throw refuse('protocol: expected tcp, udp or sctp');
  return { from: party('from'), to: party('to'), port, protocol };
}

function refuse(words: string): WeftError {
  return new WeftError('EINVAL', words);
}

/** For `explain`: by addresses where both are, else by names. */
export function packetOf({ from, to, port, protocol }: PageQuestion): Record<string, unknown> {
  const [source, destination] = [tryParseIP(from), tryParseIP(to)];
  if (source === undefined || destination === undefined) return { from, to, port, protocol };
  return { source, destination, port: Number(port), protocol };
}
