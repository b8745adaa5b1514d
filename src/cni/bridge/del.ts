import type { NodeRtnl, Rtnl } from '../../kernel/types.ts';
import type { IP } from '../../net/ip.ts';
import { joinErrors, toError } from '../../util/errors.ts';
import { hostVethName } from '../attachment.ts';
import { type Nftables, withNftables, withRtnl } from '../node.ts';
import type { DelCall } from '../plugin.ts';
import { endFlowsOf } from '../upkeep/flows.ts';
import { parseTeardownConfig, type TeardownConfig } from './config.ts';
import { removeIptablesMasquerade } from './iptables-masquerade.ts';
import { removeMasquerade } from './masquerade.ts';
import { forgetNeighbours } from './neighbours.ts';
import { forgetOwnQuestions } from './own-addresses.ts';
import { heldAddresses, releaseAddresses } from './reservations.ts';
import { type GuardedPort, isLookedAt, unguardNames, unguardPorts } from './spoof.ts';

/**
 * DEL: removes what ADD made, as far as it is there; nothing being there is success. Throws only
 * when something that is ours still exists and could not be removed.
 */
export function del(call: DelCall): void {
  const [outcome] = delMany([call]);
  if (outcome !== undefined) throw outcome;
}

/**
 * DEL of several attachments, of any networks of one node, with one wait of the kernel for all of
 * their links. Gives an outcome per call, in order: undefined or its error.
 *
 * The addresses go last: none of them may be given to another pod while something still answers for
 * it, and a failure before that keeps the reservation for the next try. What masquerades them goes
 * first, because the kernel then frees it while it waits for the links to go.
 */
export function delMany(calls: readonly DelCall[]): readonly (Error | undefined)[] {
  const [first] = calls;
  if (first === undefined) return [];
  const { kernel } = first.node;
  const teardowns = calls.map((call) => new Teardown(call));
  for (const teardown of teardowns) teardown.announce();
  withRtnl(kernel, undefined, (host) => {
    for (const teardown of teardowns) teardown.attempt(() => teardown.find(host));
    withNftables(kernel, (nft) => {
      for (const isExpected of [true, false]) {
        const addressesOf = (each: Teardown) => each.masqueradedAddresses(isExpected);
        const some = teardowns.filter((each) => addressesOf(each).length > 0);
        attemptAll(some, () => removeMasquerade(nft, some.flatMap(addressesOf), isExpected));
      }
      attemptAll(teardowns, () => unguard(nft, teardowns));
      const addresses = teardowns.flatMap((each) => each.addresses);
      attemptAll(teardowns, () => forgetOwnQuestions(nft, addresses));
      for (const teardown of teardowns) teardown.attempt(() => teardown.removeForeignRules(nft));
      deleteLinks(host, teardowns);
    });
    for (const teardown of teardowns) {
      const { config, addresses } = teardown;
      teardown.attempt(() => forgetNeighbours(host, config, addresses));
    }
    const released = teardowns.flatMap(({ addresses }) => addresses);
    const { endFlowsSoon } = first.node;
    if (endFlowsSoon !== undefined) endFlowsSoon(released);
    else attemptAll(teardowns, () => endFlowsOf(kernel, released));
  });
  return teardowns.map((teardown) => teardown.finish());
}

/** To look for what no record tells takes milliseconds where there are many pods. */
function unguard(nft: Nftables, teardowns: readonly Teardown[]): void {
  const isTold = ({ guarded }: Teardown) => guarded !== undefined;
  unguardPorts(
    nft,
    teardowns.flatMap(({ guarded }) => guarded ?? []),
  );
  const others = teardowns.filter((each) => !isTold(each));
  unguardNames(
    nft,
    others.map(({ portName }) => portName),
  );
}

/** What is known of one call, and what failed so far. */
class Teardown {
  readonly call: DelCall;
  readonly config: TeardownConfig;
  readonly portName: string;
  addresses: readonly IP[] = [];
  /** As the record tells; undefined where it does not. */
  guarded: GuardedPort | undefined;
  /** ifindex of the node's end; undefined when there is none. */
  link: number | undefined;
  /** Its node end has the name that we give. */
  #isOurs = false;
  readonly #errors: Error[] = [];

  constructor(call: DelCall) {
    this.call = call;
    this.config = parseTeardownConfig(call.request.config);
    this.portName = hostVethName(call.attachment);
  }

  attempt(step: () => void): void {
    try {
      step();
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  fail(thrown: unknown): void {
    this.#errors.push(toError(thrown));
  }

  /**
   * An entry in the journal until all is gone: the agent's repair leaves the attachment alone while
   * its parts disappear, and its sweep finishes what a killed DEL began. A DEL goes on without it.
   */
  announce(): void {
    try {
      this.call.node.journal.begin(this.call.attachment);
    } catch {
      // The run directory cannot be written; what is to be removed does not depend on it.
    }
  }

  /** The pod's namespace is looked at only for what the node itself does not know. */
  find(host: NodeRtnl): void {
    const { node, attachment } = this.call;
    const recorded = node.records?.read(attachment)?.plan?.host;
    this.guarded = recorded !== undefined && isLookedAt(recorded) ? recorded : undefined;
    const held = this.#knownAddresses();
    this.addresses = held;
    const port = host.link(this.portName);
    if (port?.kind === 'veth') this.link = port.index;
    this.#isOurs = this.link !== undefined;
    if (this.call.netns === undefined || (this.link !== undefined && held.length > 0)) return;
    withRtnl(this.call.node.kernel, this.call.netns, (pod) => this.#findInPod(host, pod));
  }

  /** Those of another IPAM plugin are in the record alone. */
  #knownAddresses(): readonly IP[] {
    const { node, attachment } = this.call;
    const held = heldAddresses(this.call, this.config);
    return held.length > 0 ? held : (node.records?.read(attachment)?.addresses ?? []);
  }

  /** Those that ipMasq has an element for, or those that it should have none for. */
  masqueradedAddresses(isExpected: boolean): readonly IP[] {
    const { isMasqueradedElsewhere: isElsewhere = () => false } = this.call.node;
    return this.addresses.filter((address) => {
      return (this.config.isMasqueraded && !isElsewhere(address)) === isExpected;
    });
  }

  /**
   * Rules of iptables, which a pod has only when the reference made it, or the configuration says so or
   * did at ADD. A pod of ours without them is not worth executing a program for.
   */
  removeForeignRules(nft: Nftables): void {
    const plan = this.call.node.records?.read(this.call.attachment)?.plan;
    const isExpected = this.config.usesIptables || plan?.iptablesMasquerade !== undefined;
    if (this.#isOurs && !isExpected) return;
    removeIptablesMasquerade(this.call, nft, isExpected || plan === undefined);
  }

  finish(): Error | undefined {
    if (this.#errors.length === 0) this.attempt(() => this.#release());
    return joinErrors(this.#errors, `DEL of ${this.call.attachment.containerId}`);
  }

  /**
   * A veth in the pod with another peer was made by the reference plugin, unless our own port is
   * there: then the path leads elsewhere by now.
   */
  #findInPod(host: NodeRtnl, pod: Rtnl): void {
    const end = pod.link(this.call.attachment.ifName);
    if (end?.kind !== 'veth') return;
    if (this.link !== undefined && end.peerIndex !== this.link) return;
    const found = pod.addresses(end.index).filter(({ scope }) => scope === 'global');
    this.addresses = [...new Set([...this.addresses, ...found.map(({ address }) => address)])];
    if (this.link !== undefined) return;
    const peer = end.peerIndex === undefined ? undefined : host.linkByIndex(end.peerIndex);
    if (peer?.kind === 'veth' && peer.peerIndex === end.index) this.link = peer.index;
    else pod.deleteLink(end.index);
  }

  #release(): void {
    const { node, attachment } = this.call;
    releaseAddresses(this.call, this.config);
    node.records?.remove(attachment);
    node.journal.end(attachment);
  }
}

/** When they cannot go together each is tried alone, so that one does not hold up the others. */
function deleteLinks(host: NodeRtnl, teardowns: readonly Teardown[]): void {
  const linked = teardowns.flatMap((teardown) => {
    return teardown.link === undefined ? [] : [{ teardown, link: teardown.link }];
  });
  try {
    host.deleteLinks(linked.map(({ link }) => link));
  } catch {
    for (const { teardown, link } of linked) teardown.attempt(() => host.deleteLink(link));
  }
}

function attemptAll(teardowns: readonly Teardown[], step: () => void): void {
  try {
    step();
  } catch (thrown) {
    for (const teardown of teardowns) teardown.fail(thrown);
  }
}
