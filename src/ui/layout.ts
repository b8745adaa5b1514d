/**
 * Where everything on the map is: other nodes, this node with its uplink, bridge and pods, Services. Pure
 * numbers in CSS pixels. Wide: from left to right; narrow: from top to bottom.
 */
import type { UiPeer, UiService, UiSnapshot } from '../agent/page/snapshot.ts';
import type { Box } from './box.ts';
import { type PodArea, type PodSlot, placePods } from './layout-pods.ts';
import type { Selection } from './search.ts';

export interface Placed<T> extends Box {
  readonly item: T;
}

export interface MapLayout {
  readonly width: number;
  readonly height: number;
  readonly isNarrow: boolean;
  readonly peers: readonly Placed<UiPeer>[];
  /** Others that have no place. */
  readonly morePeers: number;
  /** Where that is said. */
  readonly morePeersAt: Box;
  /** This node. */
  readonly frame: Box;
  readonly uplink: Box;
  readonly bridge: Box;
  readonly pods: readonly PodSlot[];
  readonly podArea: PodArea;
  readonly services: readonly Placed<UiService>[];
  readonly moreServices: number;
  readonly moreServicesAt: Box;
}

export type MapInput = Pick<UiSnapshot, 'peers' | 'pods' | 'services'> & {
  readonly width: number;
  /** It has a place, whatever else has one. */
  readonly selected: Selection | undefined;
};

/** From here on there is room for three columns. */
export const WIDE = 700;
const LEAST_HEIGHT = 420;
const MOST_HEIGHT = 620;
const GAP = 8;
const PEER_HEIGHT = 48;
const SERVICE_HEIGHT = 48;
const UPLINK = { width: 92, height: 48 };
const BRIDGE_WIDTH = 26;
const FRAME_HEAD = 40;
const PADDING = 16;
const MORE_HEIGHT = 20;
/** Between the columns of other nodes, where their lines run. */
const GUTTER = 30;

export function layoutMap(input: MapInput): MapLayout {
  return input.width >= WIDE ? wide(input) : narrow(input);
}

function wide(input: MapInput): MapLayout {
  const { width, pods } = input;
  const peerWidth = Math.round(Math.min(184, width * 0.2));
  const serviceWidth = Math.round(Math.min(252, width * 0.26));
  const frameX = peerWidth + 98;
  const frameWidth = width - frameX - serviceWidth - 44;
  const bridgeX = frameX + UPLINK.width / 2 + 22;
  const podX = bridgeX + BRIDGE_WIDTH + 28;
  const podArea = placePods(pods, {
    ...{ x: podX, y: FRAME_HEAD, width: frameX + frameWidth - PADDING - podX },
    ...{ mostHeight: MOST_HEIGHT - FRAME_HEAD - PADDING, selected: input.selected },
  });
  const wanted = Math.max(
    FRAME_HEAD + podArea.height + PADDING,
    columnHeight(Math.min(input.peers.length, 12), PEER_HEIGHT),
    columnHeight(Math.min(input.services.length, 10), SERVICE_HEIGHT),
  );
  const height = Math.max(LEAST_HEIGHT, Math.min(MOST_HEIGHT, wanted));
  const services = rankServices(input, slotsIn(height, SERVICE_HEIGHT, input.services.length));
  const peers = rankPeers(input, slotsIn(height, PEER_HEIGHT, input.peers.length));
  const column = (x: number, columnWidth: number, rowHeight: number) => {
    const place = (i: number, count: number) => ({
      ...{ x, width: columnWidth, height: rowHeight },
      y: Math.max(0, (height - columnHeight(count, rowHeight)) / 2) + i * (rowHeight + GAP),
    });
    return place;
  };
  const peerAt = column(0, peerWidth, PEER_HEIGHT);
  const serviceAt = column(width - serviceWidth, serviceWidth, SERVICE_HEIGHT);
  const more = (x: number, moreWidth: number) => {
    return { x, y: height - MORE_HEIGHT, width: moreWidth, height: MORE_HEIGHT };
  };
  return {
    ...{ width, height, isNarrow: false },
    peers: peers.map((item, i) => ({ item, ...peerAt(i, peers.length) })),
    morePeers: input.peers.length - peers.length,
    morePeersAt: more(0, peerWidth),
    frame: { x: frameX, y: 0, width: frameWidth, height },
    uplink: { x: frameX - UPLINK.width / 2, y: (height - UPLINK.height) / 2, ...UPLINK },
    bridge: {
      x: bridgeX,
      y: FRAME_HEAD,
      width: BRIDGE_WIDTH,
      height: height - FRAME_HEAD - PADDING,
    },
    pods: centred(podArea, height),
    podArea,
    services: services.map((item, i) => ({ item, ...serviceAt(i, services.length) })),
    moreServices: input.services.length - services.length,
    moreServicesAt: more(width - serviceWidth, serviceWidth),
  };
}

function narrow(input: MapInput): MapLayout {
  const { width, pods } = input;
  const half = (width - GUTTER) / 2;
  const peers = rankPeers(input, 6);
  const morePeers = input.peers.length - peers.length;
  const peerRows = Math.ceil(peers.length / 2);
  const peersHeight = peerRows * (PEER_HEIGHT + GAP) + (morePeers > 0 ? MORE_HEIGHT : 0);
  const frameY = peersHeight + (peers.length === 0 ? UPLINK.height / 2 : 44);
  const bridgeY = frameY + UPLINK.height / 2 + 36;
  const podY = bridgeY + BRIDGE_WIDTH + 18;
  const podArea = placePods(pods, {
    ...{ x: PADDING, y: podY, width: width - 2 * PADDING, mostHeight: 420 },
    selected: input.selected,
  });
  const frameHeight = podY + podArea.height + PADDING - frameY;
  const services = rankServices(input, 8);
  const servicesY = frameY + frameHeight + 28;
  const servicesHeight = columnHeight(services.length, SERVICE_HEIGHT);
  const moreServices = input.services.length - services.length;
  return {
    ...{ width, isNarrow: true },
    height: servicesY + servicesHeight + (moreServices > 0 ? MORE_HEIGHT + GAP : 0),
    peers: peers.map((item, i) => ({
      item,
      x: i % 2 === 0 ? 0 : half + GUTTER,
      y: Math.floor(i / 2) * (PEER_HEIGHT + GAP),
      ...{ width: half, height: PEER_HEIGHT },
    })),
    morePeers,
    morePeersAt: { x: 0, y: peerRows * (PEER_HEIGHT + GAP), width, height: MORE_HEIGHT },
    frame: { x: 0, y: frameY, width, height: frameHeight },
    uplink: { x: (width - UPLINK.width) / 2, y: frameY - UPLINK.height / 2, ...UPLINK },
    bridge: { x: PADDING, y: bridgeY, width: width - 2 * PADDING, height: BRIDGE_WIDTH },
    pods: podArea.slots,
    podArea,
    services: services.map((item, i) => ({
      ...{ item, x: 0, y: servicesY + i * (SERVICE_HEIGHT + GAP), width, height: SERVICE_HEIGHT },
    })),
    moreServices,
    moreServicesAt: { x: 0, y: servicesY + servicesHeight + GAP, width, height: MORE_HEIGHT },
  };
}

function columnHeight(count: number, rowHeight: number): number {
  return Math.max(0, count * (rowHeight + GAP) - GAP);
}

/** Rows that fit; one line less where it has to be said that there are more. */
function slotsIn(height: number, rowHeight: number, count: number): number {
  const fits = Math.floor((height + GAP) / (rowHeight + GAP));
  return count <= fits ? count : Math.floor((height - MORE_HEIGHT) / (rowHeight + GAP));
}

/** Pods in the middle of the frame, where they do not fill it. */
function centred({ slots, height: used }: PodArea, height: number): readonly PodSlot[] {
  const shift = Math.max(0, (height - FRAME_HEAD - PADDING - used) / 2);
  return slots.map((slot) => ({ ...slot, y: slot.y + shift }));
}

/** Those first that somebody has to look at, then the busiest; by name where all have a place. */
export function rankServices(
  { services, selected }: Pick<MapInput, 'services' | 'selected'>,
  most: number,
): readonly UiService[] {
  if (services.length <= most) return services;
  const rank = (service: UiService) => {
    if (selected?.kind === 'service' && selected.key === service.key) return Number.MAX_VALUE;
    const busy = Math.ceil(Math.log2(1 + (service.perSecond ?? 0)));
    return (service.serving === 0 ? 100 : 0) + busy;
  };
  return best(services, rank, most);
}

function rankPeers({ peers, selected }: MapInput, most: number): readonly UiPeer[] {
  if (peers.length <= most) return peers;
  const rank = (peer: UiPeer) => {
    if (selected?.kind === 'node' && selected.key === peer.key) return 10;
    if (peer.way === 'unreachable' || peer.path === 'silent') return 3;
    return peer.path === 'smaller' ? 2 : 1;
  };
  return best(peers, rank, most);
}

/** The `most` of the highest rank, in their former order. */
function best<T>(items: readonly T[], rank: (item: T) => number, most: number): readonly T[] {
  const ranked = items.map((item, i) => ({ item, i, rank: rank(item) }));
  return ranked
    .sort((a, b) => b.rank - a.rank || a.i - b.i)
    .slice(0, most)
    .sort((a, b) => a.i - b.i)
    .map(({ item }) => item);
}
