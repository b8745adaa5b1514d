import type { NodeEvents } from '../../../kernel/node-events.ts';
import { openRtnl } from '../../../kernel/rtnl.ts';
import type { LinkAddress, RouteLookup, Rtnl } from '../../../kernel/types.ts';
import { type IP, type IPFamily, ipFamily } from '../../../net/ip.ts';
import { tableText } from '../../../nftables/text.ts';
import { afterFirstCommit } from '../../../proxy/after-first-commit.ts';
import type { CommitListener } from '../../../proxy/commit-listener.ts';
import { proxyTable } from '../../../proxy/modes/nftables/layout.ts';
import { ForwardingSession } from '../../../proxy/modes/userspace/forwarding-session.ts';
import { keepTranslations } from '../../../proxy/modes/userspace/kept-translations.ts';
import { Portals, portalTable } from '../../../proxy/modes/userspace/portals.ts';
import { isOurs, VirtualAddresses } from '../../../proxy/modes/userspace/virtual-addresses.ts';
import { toError } from '../../../util/errors.ts';
import type { AgentContext } from '../../context.ts';
import { ListenFailures, openForwarders } from '../forwarders.ts';
import { check, commit, hasTable } from '../own-tables.ts';
import { readRulesRecord } from '../rules-record.ts';
import type { DriftListener, OpenedMode } from './mode.ts';

/** Services by sockets of the agent, on addresses that it adds to `lo`: without netfilter. */
export function openUserspaceMode(
  context: AgentContext,
  families: readonly IPFamily[],
): OpenedMode {
  const failures = new ListenFailures(context);
  const rtnl = openRtnl();
  context.lifecycle.onShutdown('addresses of services', () => rtnl.close());
  const kernel = { hasTable, check, commit };
  const portals = byFamily(families, (family) => new Portals(kernel, family));
  const addresses = byFamily(families, (family) => new VirtualAddresses(rtnl, family));
  const canRedirect = (family: IPFamily) => found(portals, family).isPossible;
  const forwarders = openForwarders(context, { families, failures, canRedirect });
  return {
    kind: 'userspace',
    openSession: ({ layout: { family } }) =>
      new ForwardingSession({
        forwarder: found(forwarders, family),
        addresses: found(addresses, family),
        portals: found(portals, family),
        interfaceOf: (client) => interfaceTowards(rtnl, client),
      }),
    listeners: (events) => {
      failures.sendTo(events);
      return [keepConnectionsOf(context)];
    },
    watchDrift: (listener) => {
      const watches = [
        watchAddresses(context.nodeEvents, addresses, listener),
        ...(canRedirect(4) ? [watchPortals(context.nodeEvents, portals, listener)] : []),
      ];
      return {
        close() {
          for (const watch of watches) watch.close();
        },
      };
    },
  };
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
function keepConnectionsOf({ config, clock, log }: AgentContext): CommitListener {
  const hadRules = [...readRulesRecord(config.runDir)].some((kind) => kind !== 'userspace');
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
): { close(): void } {
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
): { close(): void } {
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
