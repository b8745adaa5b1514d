import { decodeLink, encodeLinkByIndex, RTM_GETLINK } from '../../netlink/rtnetlink/link.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { errorCode, toError } from '../../util/errors.ts';

/** The part of a netlink socket that requests are made with. */
export type Requests = Pick<NetlinkSocket, 'request' | 'dump' | 'exchange' | 'nextSequence'>;

/** Callers often expect these, and then nobody reads the text: no name is looked up for it. */
const EXPECTED: readonly (string | undefined)[] = [
  'EADDRNOTAVAIL',
  'EEXIST',
  'ENODEV',
  'ENOENT',
  'ESRCH',
];

/** Requests whose errors say `link "eth0"` where the request was told `link 2`. */
export function withLinkNames(socket: NetlinkSocket): Requests {
  const naming = <T>(request: () => T): T => {
    try {
      return request();
    } catch (thrown) {
      if (thrown instanceof Error && !EXPECTED.includes(errorCode(thrown))) {
        thrown.message = named(socket, thrown.message);
      }
      throw thrown;
    }
  };
  return {
    request: (...words) => naming(() => socket.request(...words)),
    dump: (...words) => naming(() => socket.dump(...words)),
    exchange: (bytes) => socket.exchange(bytes),
    nextSequence: (count) => socket.nextSequence(count),
  };
}

/** The same for errors that came as outcomes. */
export function nameLinks(socket: Pick<Requests, 'request'>, errors: readonly Error[]): void {
  for (const error of errors) {
    if (!EXPECTED.includes(errorCode(error))) error.message = named(socket, error.message);
  }
}

function named(socket: Pick<Requests, 'request'>, message: string): string {
  return message.replace(/\blink (\d+)\b/g, (text, index: string) => {
    const name = nameOf(socket, Number(index));
    return name === undefined ? text : `link "${name}"`;
  });
}

/** Undefined for one that is gone. */
function nameOf(socket: Pick<Requests, 'request'>, index: number): string | undefined {
  try {
    const [reply] = socket.request(RTM_GETLINK, 0, encodeLinkByIndex(index), 'get link');
    return reply === undefined ? undefined : decodeLink(reply.payload).name;
  } catch (thrown) {
    if (errorCode(toError(thrown)) === 'ENODEV') return undefined;
    throw thrown;
  }
}
