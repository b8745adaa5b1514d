import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { UiSnapshot } from '../agent/page/snapshot.ts';
import type { Box } from './box.ts';
import { edgesOf } from './edges.ts';
import { html } from './html.ts';
import { layoutMap, type MapLayout } from './layout.ts';
import { PeerNode, PodNode, ServiceNode } from './map-nodes.ts';
import type { Selection } from './search.ts';
import type { History } from './spark.ts';
import { directionOf, nextBox } from './walk.ts';
import { counted } from './words.ts';

interface NodeMapProps {
  readonly snapshot: UiSnapshot;
  readonly selected: Selection | undefined;
  /** Keys of denials of the last moments. */
  readonly lit: ReadonlySet<string>;
  readonly history: History;
  readonly onSelect: (selection: Selection | undefined) => void;
}

interface Stop extends Box {
  readonly selection: Selection;
}

const STARTING_WIDTH = 880;

export function NodeMap({ snapshot, selected, lit, history, onSelect }: NodeMapProps) {
  const holder = useRef<HTMLDivElement>(null);
  const width = useWidth(holder);
  const { peers, pods, services } = snapshot;
  const layout = useMemo(
    () => layoutMap({ width, peers, pods, services, selected }),
    [width, peers, pods, services, selected],
  );
  const denials = snapshot.denials.filter(({ key }) => lit.has(key));
  const denied = new Set(denials.flatMap(({ from, to }) => [from, to]));
  const stops = stopsOf(layout);
  const walk = useWalk(holder, stops);
  const isSelected = ({ kind, key }: Selection) => selected?.kind === kind && selected.key === key;
  const common = (stop: Stop) => ({
    ...{ box: stop, id: idOf(stop.selection), isReached: walk.at === idOf(stop.selection) },
    isSelected: isSelected(stop.selection),
    onChoose: () => onSelect(isSelected(stop.selection) ? undefined : stop.selection),
  });
  return html`
    <div class="map" ref=${holder}>
      <svg width=${layout.width} height=${layout.height} viewBox=${`0 0 ${layout.width} ${layout.height}`}
        role="group" aria-label=${summary(snapshot)} onKeyDown=${walk.onKeyDown} onFocusIn=${walk.onFocusIn}>
        <${Ground} layout=${layout} snapshot=${snapshot} />
        <g aria-hidden="true">
          ${edgesOf(layout, selected, denials).map(
            ({ key, path, kind, tone, isStrong }) => html`
              <path key=${key} class=${`edge ${kind} ${tone}${isStrong ? ' strong' : ''}`} d=${path} />`,
          )}
        </g>
        <${Uplink} layout=${layout} snapshot=${snapshot} />
        ${layout.peers.map(
          (placed) => html`
          <${PeerNode} key=${placed.item.key} item=${placed.item} isDenied=${denied.has(`node/${placed.item.key}`)}
            ...${common(stopAt('node', placed))} />`,
        )}
        ${layout.pods.map(
          (placed) => html`
          <${PodNode} key=${placed.item.key} item=${placed.item} density=${layout.podArea.density}
            isDenied=${denied.has(placed.item.key)} ...${common(stopAt('pod', placed))} />`,
        )}
        ${layout.services.map(
          (placed) => html`
          <${ServiceNode} key=${placed.item.key} item=${placed.item} samples=${history.get(placed.item.key) ?? []}
            ...${common(stopAt('service', placed))} />`,
        )}
        <${More} count=${layout.morePeers} box=${layout.morePeersAt} one="more node" />
        <${More} count=${layout.moreServices} box=${layout.moreServicesAt} one="more Service" />
      </svg>
    </div>`;
}

function stopAt(
  kind: Selection['kind'],
  placed: Box & { readonly item: { readonly key: string } },
): Stop {
  const { x, y, width, height } = placed;
  return { x, y, width, height, selection: { kind, key: placed.item.key } };
}

function stopsOf({ peers, pods, services }: MapLayout): readonly Stop[] {
  return [
    ...peers.map((placed) => stopAt('node', placed)),
    ...pods.map((placed) => stopAt('pod', placed)),
    ...services.map((placed) => stopAt('service', placed)),
  ];
}

function idOf({ kind, key }: Selection): string {
  return `map-${kind}-${key}`;
}

function summary({ node, peers }: UiSnapshot): string {
  const { counts } = node;
  const parts = [
    counted(counts.pods, 'pod'),
    counted(counts.services, 'Service'),
    counted(peers.length, 'other node'),
  ];
  return `${node.name}: ${parts.join(', ')}. Arrow keys walk, Enter selects.`;
}

/** One stop of Tab; arrows walk from there on. */
function useWalk(holder: { readonly current: HTMLDivElement | null }, stops: readonly Stop[]) {
  const [reached, setReached] = useState('');
  const known = stops.find(({ selection }) => idOf(selection) === reached);
  const at = known ?? stops[0];
  const onKeyDown = (event: KeyboardEvent) => {
    const direction = directionOf(event.key);
    if (direction === undefined || at === undefined) return;
    event.preventDefault();
    const next = nextBox(stops, at, direction);
    if (next === undefined) return;
    const id = idOf(next.selection);
    setReached(id);
    const element = holder.current?.querySelector(`[id="${CSS.escape(id)}"]`);
    if (element instanceof SVGElement) element.focus();
  };
  const onFocusIn = (event: FocusEvent) => {
    if (event.target instanceof Element && event.target.id !== '') setReached(event.target.id);
  };
  return { at: at === undefined ? '' : idOf(at.selection), onKeyDown, onFocusIn };
}

function useWidth(holder: { readonly current: HTMLDivElement | null }): number {
  const [width, setWidth] = useState(STARTING_WIDTH);
  useEffect(() => {
    const element = holder.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => setWidth(Math.floor(element.clientWidth)));
    observer.observe(element);
    return () => observer.disconnect();
  }, [holder]);
  return width;
}

interface GroundProps {
  readonly layout: MapLayout;
  readonly snapshot: UiSnapshot;
}

/** The frame of this node, and its bridge. */
function Ground({ layout, snapshot }: GroundProps) {
  const { frame, bridge, isNarrow, podArea } = layout;
  const { node, pods } = snapshot;
  const names = [...new Set(pods.flatMap(({ bridge: name }) => name ?? []))];
  const label = names.length === 0 ? 'bridge' : names.slice(0, 2).join(', ');
  const [x, y] = [bridge.x + bridge.width / 2, bridge.y + bridge.height / 2];
  const turn = isNarrow ? '' : `rotate(-90 ${x} ${y})`;
  const hidden = node.counts.pods - pods.length + podArea.more;
  const title = counted(node.counts.pods, 'pod');
  const mtu = node.mtu === undefined || isNarrow ? [] : [`MTU ${node.mtu}`];
  const facts = [...node.podCIDRs.slice(0, 1), ...mtu];
  const textX = isNarrow ? frame.x + 16 : bridge.x;
  const textY = isNarrow ? bridge.y - 12 : frame.y + 26;
  return html`
    <g aria-hidden="true">
      <rect class="frame" x=${frame.x} y=${frame.y} width=${frame.width} height=${frame.height} rx="14" />
      <text class="frame-title" x=${textX} y=${textY}>${title}</text>
      <text class="frame-facts" x=${frame.x + frame.width - 16} y=${textY} text-anchor="end">
        ${hidden > 0 ? `${hidden} not drawn` : facts.join(' · ')}
      </text>
      <rect class="bridge" x=${bridge.x} y=${bridge.y} width=${bridge.width} height=${bridge.height} rx="7" />
      <text class="bridge-name" x=${x} y=${y} text-anchor="middle" dominant-baseline="central" transform=${turn}>${label}</text>
    </g>`;
}

function Uplink({ layout, snapshot }: GroundProps) {
  const { x, y, width, height } = layout.uplink;
  const { uplink } = snapshot.node;
  const isDown = uplink !== undefined && !uplink.isUp;
  return html`
    <g aria-hidden="true" class=${`uplink${isDown ? ' down' : ''}`}>
      <rect x=${x} y=${y} width=${width} height=${height} rx="10" />
      <text class="name" x=${x + width / 2} y=${y + 20} text-anchor="middle">${uplink?.name ?? 'no uplink'}</text>
      <text class="detail" x=${x + width / 2} y=${y + 36} text-anchor="middle">
        ${isDown ? 'down' : (uplink?.addresses[0] ?? '')}
      </text>
    </g>`;
}

function More({
  count,
  box,
  one,
}: {
  readonly count: number;
  readonly box: Box;
  readonly one: string;
}) {
  if (count <= 0) return null;
  return html`<text class="more" x=${box.x + box.width / 2} y=${box.y + 14} text-anchor="middle">${counted(count, one)} below</text>`;
}
