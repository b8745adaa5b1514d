/** Everything the executable can be. */
import { bandwidth } from './bandwidth/bandwidth.ts';
import { bridgePlugin as bridge } from './bridge/plugin.ts';
import { firewall } from './firewall/firewall.ts';
import type { ChainMember, IpamPlugin, Plugin } from './plugin.ts';
import { chained } from './plugins/chained.ts';
import { hostLocal } from './plugins/host-local.ts';
import { loopback } from './plugins/loopback.ts';
import { staticIpam } from './plugins/static.ts';
import { wholeChain } from './plugins/weft.ts';
import { portmap } from './portmap/portmap.ts';
import { tuning } from './tuning/tuning.ts';

/**
 * `main` makes an interface, with a journal entry while it does, and may call IPAM plugins. `link`
 * works on links that are there, `ipam` on addresses alone: what they make is removed by the DEL that
 * follows every failed ADD.
 */
export type Executable =
  | { readonly kind: 'main' | 'link'; readonly plugin: Plugin }
  | { readonly kind: 'ipam'; readonly plugin: IpamPlugin };

/** In the order of ADD. Host ports go last: they make the pod reachable. */
const MEMBERS: readonly ChainMember[] = [tuning, bandwidth, firewall, portmap];

/** Executed under this name, the executable is what the configuration's `type` says. */
export const OWN_NAME = 'weft';

const weft: Executable = { kind: 'main', plugin: wholeChain(OWN_NAME, bridge, MEMBERS) };

const EXECUTABLES: ReadonlyMap<string, Executable> = new Map(
  [
    weft,
    { kind: 'main', plugin: bridge } as const,
    { kind: 'link', plugin: loopback } as const,
    ...MEMBERS.map((member) => ({ kind: 'link', plugin: chained(member) }) as const),
    { kind: 'ipam', plugin: hostLocal } as const,
    { kind: 'ipam', plugin: staticIpam } as const,
  ].map((executable) => [executable.plugin.name, executable]),
);

/** The names that have a plugin of their own, `weft` among them. */
export const PLUGIN_NAMES: readonly string[] = [...EXECUTABLES.keys()];

/** Of an executed name the last part counts; anything that is no plugin's name is `weft`. */
export function nameOf(argv0: string | undefined): string {
  const name = argv0?.slice(argv0.lastIndexOf('/') + 1) ?? '';
  return EXECUTABLES.has(name) ? name : OWN_NAME;
}

/**
 * Which plugin a call is for. The executed name decides, because an IPAM plugin gets the stdin of the
 * plugin that calls it, `type` included; under our own name `type` does. Undefined for a type that
 * nobody here serves; without a type it is the whole chain.
 */
export function findExecutable(name: string, type: unknown): Executable | undefined {
  if (name !== OWN_NAME) return EXECUTABLES.get(name);
  if (type === undefined || type === '') return weft;
  return typeof type === 'string' ? EXECUTABLES.get(type) : undefined;
}

/** What serves DEL and GC of a type that nobody serves (any more): it removes what is there. */
export const FALLBACK: Executable = weft;
