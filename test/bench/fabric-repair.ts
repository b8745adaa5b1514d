/** How long it takes until everything is as it was after somebody took something of the fabric away. */
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { TUNNEL_NAME } from '../../src/fabric/names.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { openNodeEvents } from '../../src/kernel/node-events.ts';
import type { NodeRtnl } from '../../src/kernel/types.ts';
import type { TestNetns } from '../support/netns.ts';
import { createUplinked, UPLINK } from './fabric-cold.ts';
import { benchNode, benchNodes, nearNode } from './fabric-nodes.ts';
import { startFabric } from './fabric-running.ts';
import { median } from './statistics.ts';

export interface RepairRow {
  readonly what: string;
  readonly medianMs: number;
  readonly worstMs: number;
}

const PEERS = 40;
/** Of them, these are on the node's own link. */
const NEAR_PEERS = 10;
const LOOK_EVERY_MS = 3;
const TIMEOUT_MS = 20_000;
/** A repair for itself, not one that waits for the end of the last. */
const BETWEEN_MS = 300;
const execute = promisify(execFile);

const [v4 = '', v6 = ''] = benchNode(7).spec?.podCIDRs ?? [];
const [near = ''] = nearNode(3).spec?.podCIDRs ?? [];

/** `ip` commands, with what an operator or networkd would do afterwards. */
const FAULTS: Readonly<Record<string, readonly string[]>> = {
  'an IPv4 route': [`route del ${v4} proto 201`],
  'an IPv6 route': [`-6 route del ${v6} proto 201`],
  'a route over the link': [`route del ${near} proto 201`],
  'all routes': ['route flush proto 201', '-6 route flush proto 201'],
  'a forwarding entry': ['fdb'],
  'all neighbours': [`-6 neigh flush dev ${TUNNEL_NAME} nud permanent`],
  'the device': [`link del ${TUNNEL_NAME}`],
  'the device down and up': [`link set ${TUNNEL_NAME} down`, `link set ${TUNNEL_NAME} up`],
  'the uplink down and up': ['link set eth0 down', 'link set eth0 up', ...UPLINK.addresses],
  'another uplink': ['link del eth0', ...UPLINK.link, ...UPLINK.addresses],
};

export async function measureRepairs(rounds: number): Promise<readonly RepairRow[]> {
  const node = createUplinked('repair');
  const netns = netnses.open(node.path);
  const events = openNodeEvents(netns);
  const fabric = startFabric({ events, netns });
  try {
    for (const peer of benchNodes(PEERS)) fabric.put(peer);
    for (let n = 1; n <= NEAR_PEERS; n++) fabric.put(nearNode(n));
    fabric.synced();
    await fabric.settled(({ isReady }) => isReady);
    const rows: RepairRow[] = [];
    for (const [what, commands] of Object.entries(FAULTS)) {
      console.error(`repair: ${what}`);
      rows.push(await measureFault(node, fabric.rtnl, rounds, { what, commands }));
    }
    return rows;
  } finally {
    await fabric.stop();
    events.close();
    netns.close();
    node.remove();
  }
}

async function measureFault(
  node: TestNetns,
  rtnl: NodeRtnl,
  rounds: number,
  { what, commands }: { readonly what: string; readonly commands: readonly string[] },
): Promise<RepairRow> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await sleep(BETWEEN_MS);
    const before = stateOf(rtnl);
    for (const command of commands) await run(node, rtnl, command);
    const startedAt = performance.now();
    while (stateOf(rtnl) !== before) {
      if (performance.now() - startedAt > TIMEOUT_MS) throw new Error(`${what} is not repaired`);
      await sleep(LOOK_EVERY_MS);
    }
    times.push(performance.now() - startedAt);
  }
  return { what, medianMs: median(times), worstMs: Math.max(...times) };
}

/** The fabric goes on meanwhile. */
async function run(node: TestNetns, rtnl: NodeRtnl, command: string): Promise<void> {
  if (command !== 'fdb')
    return void (await execute('ip', ['-n', node.name, ...command.split(' ')]));
  const [entry] = rtnl.forwardingEntries(rtnl.link(TUNNEL_NAME)?.index ?? 0);
  const { mac = '', remote = '' } = entry ?? {};
  const words = ['fdb', 'del', mac, 'dev', TUNNEL_NAME, 'dst', remote];
  await execute('bridge', ['-n', node.name, ...words]);
}

/** Links by name, as they have other numbers when they were made anew. */
function stateOf(rtnl: NodeRtnl): string {
  const links = rtnl.links();
  const names = new Map(links.map(({ index, name }) => [index, name]));
  const tunnel = links.find(({ name }) => name === TUNNEL_NAME);
  const routes = [...rtnl.routes(4), ...rtnl.routes(6)].filter(({ protocol }) => protocol === 201);
  return [
    `${tunnel?.isUp} ${tunnel?.mtu} ${tunnel?.mac}`,
    ...routes.map(
      ({ destination, gateway, link = 0, source }) =>
        `${destination} ${gateway} ${names.get(link)} ${source}`,
    ),
    ...rtnl
      .neighbours(tunnel?.index ?? 0)
      .filter(({ isPermanent }) => isPermanent)
      .map(({ address, mac }) => `${address} ${mac}`),
    ...rtnl.forwardingEntries(tunnel?.index ?? 0).map(({ mac, remote }) => `${mac} ${remote}`),
  ]
    .toSorted()
    .join('\n');
}
