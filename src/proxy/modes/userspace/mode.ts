import type { NodeEvents, Watch } from '../../../kernel/node-events.ts';
import { openRtnl } from '../../../kernel/rtnl.ts';
import type { LinkAddress, RouteLookup, Rtnl } from '../../../kernel/types.ts';
import { type IP, type IPFamily, ipFamily } from '../../../net/ip.ts';
import { check, commit, hasTable, removeTable } from '../../../nftables/own-namespace.ts';
import { tableText } from '../../../nftables/text.ts';
import { toError } from '../../../util/errors.ts';
import { afterFirstCommit } from '../../after-first-commit.ts';
import type { CommitListener } from '../../commit-listener.ts';
import { together } from '../drift-watch.ts';
import type { DriftListener, ModeNode, OpenedMode, ProxyMode } from '../mode.ts';
import type { RulesKind } from '../names.ts';
import { proxyTable } from '../nftables/layout.ts';
import { ForwardingSession } from './forwarding-session.ts';
import { keepTranslations, keptTranslationsTable } from './kept-translations.ts';
import { Portals, portalTable } from './portals.ts';
import { isOurs, removeVirtualAddresses, VirtualAddresses } from './virtual-addresses.ts';

/** Services by sockets of the agent, on addresses that it adds to `lo`: without netfilter. */
export const USERSPACE_MODE: ProxyMode = { open, remove };

function open(node: ModeNode): OpenedMode {
  const { families, nodeEvents } = node;
  const rtnl = openRtnl();
  node.onShutdown('addresses of services', () => rtnl.close());
  const kernel = { hasTable, check, commit };
  const portals = byFamily(families, (family) => new Portals(kernel, family));
  const addresses = byFamily(families, (family) => new VirtualAddresses(rtnl, family));
  const canRedirect = (family: IPFamily) => found(portals, family).isPossible;
  const forwarders = node.openForwarders({ families, canRedirect });
  return {
    kind: 'userspace',
    openSession: ({ layout: { family } }) =>
      new ForwardingSession({
        forwarder: found(forwarders, family),
        addresses: found(addresses, family),
        portals: found(portals, family),
        interfaceOf: (client) => interfaceTowards(rtnl, client),
      }),
    listeners: () => [keepFormerConnections(node)],
    watchDrift: (listener) =>
      together([
        watchAddresses(nodeEvents, addresses, listener),
        ...(canRedirect(4) ? [watchPortals(nodeEvents, portals, listener)] : []),
      ]),
  };
}

/** The sockets have ended with their agent; their addresses have not. */
async function remove(_kind: RulesKind, family: IPFamily): Promise<boolean> {
  const tables = [keptTranslationsTable(family), portalTable(family)].filter(removeTable);
  const rtnl = openRtnl();
  try {
    return (await removeVirtualAddresses(rtnl, family)) || tables.length > 0;
  } finally {
    rtnl.close();
  }
}

function byFamily<T>(
  families: readonly IPFamily[],
  make: (family: IPFamily) => T,
): ReadonlyMap<IPFamily, T> {
  return new Map(families.map((family) => [family, make(family)]));
}

function found<T>(made: ReadonlyMap<IPFamily, T>, family: IPFamily): T {
  const one = made.get(family);
  if (one === undefined) throw new Error(`IPv${family} was not opened`);
  return one;
}

function interfaceTowards(
  rtnl: Pick<Rtnl, 'linkByIndex'> & RouteLookup,
  client: IP,
): string | undefined {
  const link = rtnl.routeTo(client)?.link;
  return link === undefined ? undefined : rtnl.linkByIndex(link)?.name;
}

/** Connections that rules of a former mode have translated outlive these rules. */
function keepFormerConnections({ recorded, clock, log }: ModeNode): CommitListener {
  const hadRules = [...recorded].some((kind) => kind !== 'userspace');
  return afterFirstCommit((family) => {
    try {
      if (hadRules || hasTable(proxyTable(family))) commit(keepTranslations(family));
    } catch (thrown) {
      const reason = toError(thrown).message;
      log.warn({ family, reason }, 'connections of the former mode may end with its rules');
    }
    return undefined;
  }, clock);
}

type WatchedAddress = LinkAddress & { readonly link: number };

/** What changes is read with the next sync; an address of a Service that was removed is drift. */
function watchAddresses(
  events: NodeEvents,
  addresses: ReadonlyMap<IPFamily, VirtualAddresses>,
  { onDrift }: DriftListener,
): Watch {
  const onLost = (family: IPFamily, what: string, by: string) => {
    addresses.get(family)?.invalidate();
    onDrift({ family, tables: [], what, by });
  };
  const onAddress = (address: WatchedAddress, isGone: boolean) => {
    const family = ipFamily(address.address);
    const known = addresses.get(family);
    if (!isOurs(address)) known?.invalidate();
    else if (isGone && known?.has(address.address) === true) {
      onLost(family, `address ${address.address} of lo`, 'unknown: the kernel does not tell');
    }
  };
  return events.onLinks(['address'], (changes) => {
    if (changes === 'overflow') {
      for (const family of addresses.keys()) {
        onLost(family, 'addresses of lo', 'unknown: notifications were lost');
      }
      return;
    }
    for (const event of changes) {
      if (event.kind === 'address') onAddress(event.address, event.isGone);
    }
  });
}

/** `nft flush ruleset` and the like. */
function watchPortals(
  events: NodeEvents,
  portals: ReadonlyMap<IPFamily, Portals>,
  { onDrift, onForeignChange }: DriftListener,
): Watch {
  return events.onTables((event) => {
    for (const [family, each] of portals) {
      const name = tableText(portalTable(family));
      const isMeant = event === 'overflow' || event.tables.has(name);
      if (!isMeant || !each.isLost) continue;
      each.invalidate();
      const by = event === 'overflow' ? 'unknown: notifications were lost' : event.byProcess;
      onDrift({ family, tables: [name], what: `table ${name}`, by });
    }
    if (event !== 'overflow') onForeignChange(event.tables);
  });
}
