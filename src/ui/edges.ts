/** Lines between what is on the map. */
import type { UiDenial } from '../agent/page/snapshot.ts';
import type { Box } from './box.ts';
import type { MapLayout } from './layout.ts';
import type { Selection } from './search.ts';
import { peerState, type Tone } from './words.ts';

export interface Edge {
  readonly key: string;
  /** SVG path. */
  readonly path: string;
  readonly kind: 'direct' | 'tunnel' | 'veth' | 'service' | 'denied';
  readonly tone: Tone;
  /** Drawn strongly: it belongs to what is selected. */
  readonly isStrong: boolean;
}

/** Lines to endpoints of all Services only while they do not cover what they are about. */
const MOST_SERVICE_EDGES = 40;

export function edgesOf(
  layout: MapLayout,
  selected: Selection | undefined,
  denials: readonly UiDenial[],
): readonly Edge[] {
  return [
    ...peerEdges(layout),
    ...vethEdges(layout),
    ...serviceEdges(layout, selected),
    ...denialEdges(layout, denials),
  ];
}

function peerEdges({ peers, uplink, isNarrow }: MapLayout): readonly Edge[] {
  return peers.map((peer) => ({
    key: `peer ${peer.item.key}`,
    path: isNarrow ? intoGutter(peer, topOf(uplink)) : horizontal(rightOf(peer), leftOf(uplink)),
    kind: peer.item.way === 'vxlan' ? 'tunnel' : 'direct',
    tone: peerState(peer.item).tone,
    isStrong: false,
  }));
}

/** To each pod where pods are rows; else the bridge's teeth would only be noise. */
function vethEdges({ uplink, bridge, pods, podArea, isNarrow }: MapLayout): readonly Edge[] {
  const common = { kind: 'veth', tone: 'quiet', isStrong: false } as const;
  const trunk = isNarrow
    ? vertical(bottomOf(uplink), topOf(bridge))
    : horizontal(rightOf(uplink), leftOf(bridge));
  const first: Edge = { ...common, key: 'uplink', path: trunk };
  if (podArea.density !== 'row' || isNarrow) return [first];
  return [
    first,
    ...pods.map((pod) => {
      const to = leftOf(pod);
      const from = { x: bridge.x + bridge.width, y: to.y };
      return { ...common, key: `veth ${pod.item.key}`, path: `M${from.x} ${from.y}H${to.x}` };
    }),
  ];
}

function serviceEdges(
  { services, pods, podArea, peers, isNarrow }: MapLayout,
  selected: Selection | undefined,
): readonly Edge[] {
  const podAt = new Map(pods.flatMap((pod) => pod.item.addresses.map((ip) => [ip, pod] as const)));
  const peerAt = new Map(peers.map((peer) => [peer.item.key, peer]));
  const all = services.flatMap((service) =>
    service.item.endpoints.flatMap(({ address, node, isLocal, state }): readonly Edge[] => {
      const isStrong = isAbout(selected, service.item.key, podAt.get(address)?.item.key);
      const pod = podAt.get(address);
      const peer = isLocal || !isStrong ? undefined : peerAt.get(node ?? '');
      const target = pod ?? peer;
      if (target === undefined) return [];
      const path = isNarrow
        ? vertical(topOf(service), bottomOf(target))
        : horizontal(leftOf(service), rightOf(target));
      const tone = state === 'serving' ? 'well' : 'quiet';
      return [{ key: `${service.item.key} ${address}`, path, kind: 'service', tone, isStrong }];
    }),
  );
  const strong = all.filter(({ isStrong }) => isStrong);
  const isClear = all.length <= MOST_SERVICE_EDGES && !isNarrow && podArea.density !== 'cell';
  return isClear ? all : strong.slice(0, MOST_SERVICE_EDGES);
}

function isAbout(
  selected: Selection | undefined,
  service: string,
  pod: string | undefined,
): boolean {
  if (selected?.kind === 'service') return selected.key === service;
  return selected?.kind === 'pod' && selected.key === pod;
}

/** Where both sides have a place. */
function denialEdges(layout: MapLayout, denials: readonly UiDenial[]): readonly Edge[] {
  const edges = new Map<string, Edge>();
  for (const { from, to } of denials) {
    const [source, target] = [placeOf(layout, from), placeOf(layout, to)];
    if (source === undefined || target === undefined || source === target) continue;
    const path = denialPath(source, target, layout.isNarrow);
    edges.set(`${from} ${to}`, {
      ...{ key: `denied ${from} ${to}`, path, kind: 'denied', tone: 'bad', isStrong: true },
    });
  }
  return [...edges.values()];
}

function placeOf({ pods, peers }: MapLayout, name: string): Box | undefined {
  const peer = name.startsWith('node/') ? name.slice('node/'.length) : undefined;
  return pods.find(({ item }) => item.key === name) ?? peers.find(({ item }) => item.key === peer);
}

interface Point {
  readonly x: number;
  readonly y: number;
}

const leftOf = ({ x, y, height }: Box): Point => ({ x, y: y + height / 2 });
const rightOf = ({ x, y, width, height }: Box): Point => ({ x: x + width, y: y + height / 2 });
const topOf = ({ x, y, width }: Box): Point => ({ x: x + width / 2, y });
const bottomOf = ({ x, y, width, height }: Box): Point => ({ x: x + width / 2, y: y + height });

/** A curve that leaves and arrives along the x axis. */
function horizontal(from: Point, to: Point): string {
  const middle = round((from.x + to.x) / 2);
  return `M${round(from.x)} ${round(from.y)}C${middle} ${round(from.y)} ${middle} ${round(to.y)} ${round(to.x)} ${round(to.y)}`;
}

/** From the side of a card that faces the middle, and down from there. */
function intoGutter(card: Box, to: Point): string {
  const isLeft = card.x + card.width / 2 < to.x;
  const from = isLeft ? rightOf(card) : leftOf(card);
  const turn = isLeft ? to.x - 5 : to.x + 5;
  return `M${round(from.x)} ${round(from.y)}H${round(turn)}V${round(to.y)}`;
}

function vertical(from: Point, to: Point): string {
  const middle = round((from.y + to.y) / 2);
  return `M${round(from.x)} ${round(from.y)}C${round(from.x)} ${middle} ${round(to.x)} ${middle} ${round(to.x)} ${round(to.y)}`;
}

/** From another node straight to the pod; between pods beside them. */
function denialPath(source: Box, target: Box, isNarrow: boolean): string {
  const isBetweenPods = Math.abs(source.x - target.x) < 1 || isNarrow;
  if (isBetweenPods) return arc(source, target, isNarrow);
  const [left, right] = source.x < target.x ? [source, target] : [target, source];
  return horizontal(rightOf(left), leftOf(right));
}

/** Beside the pods, so that it does not run through their names. */
function arc(source: Box, target: Box, isNarrow: boolean): string {
  const [from, to] = [rightOf(source), rightOf(target)];
  const bulge = isNarrow ? 12 : 28;
  const x = round(Math.max(from.x, to.x) + bulge);
  return `M${round(from.x)} ${round(from.y)}C${x} ${round(from.y)} ${x} ${round(to.y)} ${round(to.x)} ${round(to.y)}`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
