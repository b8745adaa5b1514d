import { createSocket, type Socket } from 'node:dgram';
import type { IP } from '../net/ip.ts';
import { toError } from '../util/errors.ts';
import { solicitedNodeGroup } from './frames.ts';
import type { Link } from './types.ts';

/**
 * Groups of IPv6 addresses that a node answers for without having them: the kernel reports them to switches and
 * routers that look who wants which group (MLD, RFC 3810), or solicitations for the addresses would not come here.
 */
export class SolicitedGroups {
  readonly #onProblem: (reason: string) => void;
  #socket: Promise<Socket> | undefined;
  #joined: ReadonlyMap<string, Membership> = new Map();

  constructor(onProblem: (reason: string) => void) {
    this.#onProblem = onProblem;
  }

  /** Is in the groups of these from now on, and in no others. IPv4 addresses have none. */
  set(memberships: readonly { readonly address: IP; readonly link: LinkName }[]): void {
    const wanted = new Map<string, Membership>();
    for (const { address, link } of memberships) {
      if (!address.includes(':')) continue;
      const group = solicitedNodeGroup(address);
      wanted.set(`${group} ${link.index}`, { group, link });
    }
    const joined = this.#joined;
    this.#joined = wanted;
    for (const [id, membership] of joined) if (!wanted.has(id)) this.#change('leave', membership);
    for (const [id, membership] of wanted) if (!joined.has(id)) this.#change('join', membership);
  }

  /** Leaves all of them. */
  close(): void {
    this.#joined = new Map();
    const socket = this.#socket;
    this.#socket = undefined;
    void socket?.then((opened) => opened.close()).catch(() => undefined);
  }

  #change(what: 'join' | 'leave', { group, link: { name } }: Membership): void {
    this.#socket ??= openSocket();
    // In the order of calls, as all wait for the same.
    void this.#socket
      .then((socket) => {
        const at = `::%${name}`;
        if (what === 'join') socket.addMembership(group, at);
        else socket.dropMembership(group, at);
      })
      .catch((thrown) => {
        // A link that is gone has left its groups.
        if (what === 'join') this.#onProblem(`${group} on ${name}: ${toError(thrown).message}`);
      });
  }
}

type LinkName = Pick<Link, 'index' | 'name'>;

interface Membership {
  readonly group: IP;
  readonly link: LinkName;
}

/** Bound where nobody can send to; a socket is a member whatever it is bound to. */
async function openSocket(): Promise<Socket> {
  const socket = createSocket('udp6');
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once('error', reject);
  socket.bind({ address: '::1', port: 0, exclusive: true }, resolve);
  await promise;
  socket.on('error', () => {});
  socket.unref();
  return socket;
}
