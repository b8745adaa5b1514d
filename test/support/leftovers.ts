/** What is left on a node of pods of 10.61.0.0/24 and fd00:61::/64: counted, never assumed. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestNetns } from './netns.ts';

/** Where an attachment leaves traces. */
export interface Traces {
  readonly host: TestNetns;
  /** Namespaces that are still there. */
  readonly pods: readonly TestNetns[];
  readonly runDir: string;
  readonly dataDir: string;
}

/** Configuration of a network whose pods leave every kind of trace. */
export function fullNetwork(dataDir: string, hostPort = 30_000): Record<string, unknown> {
  return {
    cniVersion: '1.0.0',
    name: 'kill',
    type: 'weft',
    bridge: 'br0',
    isDefaultGateway: true,
    ipMasq: true,
    macspoofchk: true,
    capabilities: { portMappings: true },
    runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] },
    ipam: {
      type: 'host-local',
      dataDir,
      ranges: [[{ subnet: '10.61.0.0/24' }], [{ subnet: 'fd00:61::/64' }]],
    },
  };
}

/** What the host ports' store consists of when nothing is published. */
const hostPortFrame: ReadonlySet<string> = new Set(['records', 'claims', 'lock']);

/** Not the bridge's own, which is in a set of addresses that the node has been asked by. */
const podAddress = /\b(10\.61\.0\.(?!1\b)[1-9]\d*|fd00:61::(?!1\b)[0-9a-f]+)\b/g;
/** A pair's end on the node, in a ruleset or as a link; an ifb. */
const ownLink = /\b(veth|bwp)[0-9a-f]{8,}\b/g;

/** One line for everything that belongs to a pod; the bridge and tables without elements are shared. */
export function leftovers({ host, pods, runDir, dataDir }: Traces): string[] {
  const links = host.ip<{ ifname: string }[]>('link').map(({ ifname }) => ifname);
  const neighbours = host.ip<{ dst: string; state: string[] }[]>('neigh');
  const ruleset = host.run('nft', 'list', 'ruleset');
  const inPods = pods.flatMap((pod) =>
    pod.ip<{ ifname: string }[]>('link').map(({ ifname }) => ifname),
  );
  return [
    ...links.filter((name) => name.match(ownLink)).map((name) => `link ${name}`),
    ...inPods.filter((name) => name !== 'lo').map((name) => `pod link ${name}`),
    ...[podAddress, ownLink]
      .flatMap((pattern) => ruleset.match(pattern) ?? [])
      .map((found) => `nft ${found}`),
    ...neighbours
      .filter(({ dst, state }) => dst.match(podAddress) && state.includes('PERMANENT'))
      .map(({ dst }) => `neighbour ${dst}`),
    ...filesBelow(dataDir).filter(isReservation),
    ...['adding', 'attachments', 'hostports'].flatMap((folder) =>
      filesBelow(join(runDir, folder))
        .filter((file) => !hostPortFrame.has(file))
        .map((file) => `${folder}/${file}`),
    ),
  ];
}

function filesBelow(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, encoding: 'utf8' });
}

/** `lock`, `last_reserved_ip.N` and the network's own folder belong to the store, not to a pod. */
function isReservation(path: string): boolean {
  return /\/(\d+\.|fd00|\.weft-)/.test(path) && !path.includes('weft-released');
}
