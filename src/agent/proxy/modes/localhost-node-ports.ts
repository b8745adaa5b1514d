import { type IP, type IPFamily, parseIP } from '../../../net/ip.ts';
import type { CommitListener } from '../../../proxy/commit-listener.ts';
import { LocalhostNodePorts } from '../../../proxy/modes/userspace/localhost-node-ports.ts';
import { acceptsOnLoopback } from '../../../proxy/node-addresses.ts';
import type { AgentContext } from '../../context.ts';
import type { EventSink } from '../../objects/events.ts';
import { ListenFailures, openForwarders } from '../forwarders.ts';

const LOOPBACK: Readonly<Record<IPFamily, IP>> = { 4: parseIP('127.0.0.1'), 6: parseIP('::1') };

/**
 * NodePorts on 127.0.0.1 and ::1 for a mode whose rules do not serve them, as far as localhostNodePorts
 * and nodePortAddresses ask for it.
 */
export function serveLocalhostNodePorts(
  context: AgentContext,
  families: readonly IPFamily[],
  events: EventSink,
): readonly CommitListener[] {
  const { localhostNodePorts, nodePortAddresses } = context.config.proxy;
  const served = families.filter((family) => acceptsOnLoopback(nodePortAddresses, family));
  if (!localhostNodePorts || served.length === 0) return [];
  const failures = new ListenFailures(context);
  failures.sendTo(events);
  const forwarders = openForwarders(context, {
    families: served,
    failures,
    isServed: ({ kind }) => kind === 'nodePort',
  });
  const listener = new LocalhostNodePorts(
    new Map(
      Array.from(forwarders, ([family, forwarder]) => [
        family,
        { forwarder, address: LOOPBACK[family] },
      ]),
    ),
  );
  context.lifecycle.onShutdown('localhost node ports', () => listener.close());
  return [listener];
}
