import { announce } from '../../kernel/announce.ts';
import { answerFrame, type NeighbourQuestion } from '../../kernel/frames.ts';
import {
  type NeighbourQuestions,
  openNeighbourQuestions,
} from '../../kernel/neighbour-questions.ts';
import { SolicitedGroups } from '../../kernel/solicited-groups.ts';
import type { Link, NodeRtnl } from '../../kernel/types.ts';
import { containsIP, networkOf, parseIPWithPrefix } from '../../net/cidr.ts';
import { type IP, ipFamily } from '../../net/ip.ts';
import type { Mac } from '../../net/mac.ts';
import { wire } from '../../netlink/wire.ts';
import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';

/** Neighbours that missed the first are told again: after a failover a frame is soon lost. */
const TOLD_AGAIN_MS = [300, 1_000, 3_000, 10_000] as const;

interface Answered {
  readonly mac: Mac;
  readonly questions: NeighbourQuestions;
}

export interface LinkAnswersOptions {
  readonly rtnl: NodeRtnl;
  readonly clock: Clock;
  readonly log: Logger;
  /** Asked at the moment of each answer: it may be too late to give one. */
  readonly isAllowed: () => boolean;
}

/** Answers neighbours' questions for addresses that are not of this node's links. */
export class LinkAnswers {
  readonly #options: LinkAnswersOptions;
  readonly #links = new Map<number, Answered>();
  readonly #groups: SolicitedGroups;
  #addresses: ReadonlyMap<IP, number> = new Map();
  #groupProblem = '';

  constructor(options: LinkAnswersOptions) {
    this.#options = options;
    this.#groups = new SolicitedGroups((reason) => {
      options.log.warn({ reason }, 'multicast group not joined');
      this.#groupProblem = reason;
    });
  }

  get addresses(): readonly IP[] {
    return [...this.#addresses.keys()];
  }

  problems(): readonly string[] {
    if (this.#groupProblem === '') return [];
    return [`neighbours may not find an address behind a switch: ${this.#groupProblem}`];
  }

  /** Answers for these from now on, and for no others; neighbours are told of new ones. */
  set(addresses: readonly IP[]): void {
    const links = this.#linksFor(addresses);
    const added = addresses.filter((ip) => !this.#addresses.has(ip) && links.has(ip));
    this.#addresses = new Map([...links].map(([ip, { index }]) => [ip, index]));
    for (const [ip, link] of links) this.#open(link)?.questions.expect(ip);
    this.#closeUnused();
    this.#groups.set(Array.from(links, ([address, link]) => ({ address, link })));
    if (added.length === 0) return;
    this.#options.log.info({ addresses: added }, 'answering neighbours for addresses of Services');
    this.#tell(added);
    for (const delay of TOLD_AGAIN_MS) this.#options.clock.schedule(delay, () => this.#tell(added));
  }

  close(): void {
    this.set([]);
    this.#groups.close();
  }

  /** The link whose network has the address; else the one of the default route. */
  #linksFor(addresses: readonly IP[]): ReadonlyMap<IP, Link> {
    if (addresses.length === 0) return new Map();
    const { rtnl } = this.#options;
    const own = rtnl.addresses().map(({ address, prefixLength, link }) => {
      return { link, network: networkOf(parseIPWithPrefix(`${address}/${prefixLength}`)) };
    });
    const uplinks = new Map(
      ([4, 6] as const).map((family) => {
        const route = rtnl.routes(family).find(({ destination }) => destination.endsWith('/0'));
        return [family, route?.link];
      }),
    );
    const found = new Map<IP, Link>();
    for (const ip of addresses) {
      const index =
        own.find(({ network }) => containsIP(network, ip))?.link ?? uplinks.get(ipFamily(ip));
      const link = index === undefined ? undefined : rtnl.linkByIndex(index);
      if (link?.mac !== undefined) found.set(ip, link);
    }
    return found;
  }

  #open({ index, mac, name }: Link): Answered | undefined {
    const known = this.#links.get(index);
    if (known !== undefined && known.mac === mac) return known;
    known?.questions.close();
    this.#links.delete(index);
    if (mac === undefined) return undefined;
    try {
      const questions = openNeighbourQuestions(undefined, index, (all) => this.#answer(index, all));
      this.#links.set(index, { mac, questions });
    } catch (thrown) {
      const reason = toError(thrown).message;
      this.#options.log.warn({ link: name, reason }, 'neighbours of a link are not answered');
    }
    return this.#links.get(index);
  }

  #closeUnused(): void {
    const used = new Set(this.#addresses.values());
    for (const [index, { questions }] of this.#links) {
      if (used.has(index)) continue;
      questions.close();
      this.#links.delete(index);
    }
  }

  #answer(index: number, questions: readonly NeighbourQuestion[]): void {
    const mac = this.#links.get(index)?.mac;
    const due = questions.filter(({ address }) => this.#addresses.get(address) === index);
    if (mac === undefined || due.length === 0 || !this.#options.isAllowed()) return;
    try {
      const frames = due.map((question) => answerFrame(question, mac));
      wire.sendFrames(
        -1,
        due.map(() => index),
        frames,
      );
    } catch (thrown) {
      const reason = toError(thrown).message;
      this.#options.log.debug({ reason }, 'neighbour not answered');
    }
  }

  #tell(addresses: readonly IP[]): void {
    if (!this.#options.isAllowed()) return;
    const announcements = addresses.flatMap((address) => {
      const link = this.#addresses.get(address);
      const mac = link === undefined ? undefined : this.#links.get(link)?.mac;
      return link === undefined || mac === undefined ? [] : [{ link, address, mac }];
    });
    try {
      announce(undefined, announcements);
    } catch (thrown) {
      this.#options.log.warn({ reason: toError(thrown).message }, 'neighbours not told');
    }
  }
}
