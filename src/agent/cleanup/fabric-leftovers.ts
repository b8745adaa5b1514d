import { FABRIC_PROTOCOL, TUNNEL_NAME } from '../../fabric/names.ts';
import { FABRIC_TABLE } from '../../fabric/table/definition.ts';
import { withRtnl } from '../../kernel/rtnl.ts';
import type { NodeRtnl, Route } from '../../kernel/types.ts';
import { hasTable, removeTable } from '../../nftables/own-namespace.ts';
import { tableText } from '../../nftables/text.ts';
import { BRIDGE_NAME } from '../fabric/conflist.ts';
import type { CleanupOptions, Leftover } from './leftover.ts';

/**
 * The ways to pods of other nodes: routes of our protocol number, the tunnel, the table. Pods of this
 * node need them as long as there are any.
 */
export function leftoversOfFabric({ components }: CleanupOptions): readonly Leftover[] {
  if (!components.includes('fabric')) return [];
  return withRtnl((rtnl) => {
    const isNeeded = portsOfBridge(rtnl) > 0;
    const routes = ([4, 6] as const).flatMap((family) =>
      rtnl.routes(family).filter(({ protocol }) => protocol === FABRIC_PROTOCOL),
    );
    const tunnel = rtnl.link(TUNNEL_NAME);
    return [
      ...routes.map((route) => {
        return {
          text: textOf(route),
          isNeeded,
          remove: () => withRtnl((own) => own.deleteRoute(route)),
        };
      }),
      ...(tunnel?.kind === 'vxlan' ? [linkOf(TUNNEL_NAME, 'tunnel', isNeeded)] : []),
      ...(hasTable(FABRIC_TABLE)
        ? [
            {
              text: `table ${tableText(FABRIC_TABLE)}`,
              isNeeded,
              remove: () => removeTable(FABRIC_TABLE),
            },
          ]
        : []),
    ];
  });
}

/** The bridge of the network that an agent configures, once it has no pod. */
export function bridgeLeftovers(): readonly Leftover[] {
  return withRtnl((rtnl) => {
    const bridge = rtnl.link(BRIDGE_NAME);
    if (bridge?.kind !== 'bridge') return [];
    return [linkOf(BRIDGE_NAME, 'bridge', portsOfBridge(rtnl) > 0)];
  });
}

function linkOf(name: string, noun: string, isNeeded: boolean): Leftover {
  const remove = () =>
    withRtnl((rtnl) => {
      const link = rtnl.link(name);
      return link !== undefined && rtnl.deleteLink(link.index);
    });
  return { text: `${noun} ${name}`, isNeeded, remove };
}

function portsOfBridge(rtnl: NodeRtnl): number {
  const bridge = rtnl.link(BRIDGE_NAME);
  if (bridge === undefined) return 0;
  return rtnl.links().filter(({ master }) => master === bridge.index).length;
}

function textOf({ destination, gateway }: Route): string {
  return `route ${destination ?? 'default'}${gateway === undefined ? '' : ` via ${gateway}`}`;
}
