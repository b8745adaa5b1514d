/** What is on the map: each a button, with its state as shape and words too. */
import type { UiPeer, UiPod, UiService } from '../agent/page/snapshot.ts';
import type { Box } from './box.ts';
import { html } from './html.ts';
import type { Density } from './layout-pods.ts';
import { markPath } from './marks.ts';
import { sparkPath } from './spark.ts';
import { counted, peerState, rateWords, serviceState, shortened, type Tone } from './words.ts';

interface Common {
  readonly id: string;
  readonly box: Box;
  readonly isSelected: boolean;
  /** Tab leads here. */
  readonly isReached: boolean;
  readonly onChoose: () => void;
}

/** Of the font at 13 pixels, on average; what is a little too long is cut by the chip's clip. */
const CHARACTER = 7.2;
const SPARK = { width: 54, height: 16 };
const MOST_DOTS = 8;

interface ShellProps extends Common {
  readonly kind: string;
  /** Its name for those who hear the page, and beside the pointer. */
  readonly label: string;
  readonly radius: number;
  readonly children?: unknown;
}

function Shell({
  id,
  box,
  kind,
  label,
  radius,
  isSelected,
  isReached,
  onChoose,
  children,
}: ShellProps) {
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    onChoose();
  };
  const { x, y, width, height } = box;
  return html`
    <g id=${id} class=${`thing ${kind}${isSelected ? ' selected' : ''}`} role="button" tabindex=${isReached ? 0 : -1}
      aria-pressed=${String(isSelected)} transform=${`translate(${x} ${y})`}
      onClick=${onChoose} onKeyDown=${onKeyDown}>
      <title>${label}</title>
      <rect class="body" width=${width} height=${height} rx=${radius} />
      ${children}
    </g>`;
}

function MapMark({ tone, x, y }: { readonly tone: Tone; readonly x: number; readonly y: number }) {
  return html`<path class=${`mark ${tone}`} d=${markPath(tone)} transform=${`translate(${x} ${y}) scale(0.8)`} />`;
}

export function PeerNode({
  item,
  isDenied,
  ...common
}: Common & { readonly item: UiPeer; readonly isDenied: boolean }) {
  const { tone, words } = peerState(item);
  const { width } = common.box;
  const time = item.roundTripMs === undefined ? '' : `${item.roundTripMs} ms`;
  const hasRoom = (words.length + time.length + 2) * CHARACTER < width - 44;
  const label = `Node ${item.key}: ${words}${time === '' ? '' : `, ${time}`}`;
  return html`
    <${Shell} ...${common} kind=${`peer ${tone}${isDenied ? ' denied' : ''}`} label=${label} radius=${10}>
      <text class="name" x="14" y="20">${shortened(item.key, Math.floor((width - 28) / CHARACTER))}</text>
      <${MapMark} tone=${tone} x=${13} y=${26} />
      <text class="detail" x="30" y="37">${words}</text>
      ${hasRoom && html`<text class="detail" x=${width - 14} y="37" text-anchor="end">${time}</text>`}
    </${Shell}>`;
}

interface PodNodeProps extends Common {
  readonly item: UiPod;
  readonly density: Density;
  readonly isDenied: boolean;
}

export function PodNode({ item, density, isDenied, ...common }: PodNodeProps) {
  const { width, height } = common.box;
  const address = item.addresses[0] ?? 'no address';
  const veth = item.veth === undefined ? '' : `, ${item.veth}`;
  const label = `Pod ${item.key}: ${address}${veth}${isDenied ? ', denied a moment ago' : ''}`;
  const kind = `pod ${density}${isDenied ? ' denied' : ''}`;
  const radius = density === 'cell' ? Math.min(4, height / 4) : 8;
  return html`
    <${Shell} ...${common} kind=${kind} label=${label} radius=${radius}>
      ${density !== 'cell' && html`<circle class="plug" cx="0" cy=${height / 2} r="3" />`}
      ${
        density === 'row' &&
        html`
        <${Name} text=${item.key} x=${12} y=${17} width=${width - 24} />
        <text class="detail" x="12" y="32">${address}</text>
        <text class="detail" x=${width - 12} y="32" text-anchor="end">${isDenied ? 'denied' : width > 230 ? (item.veth ?? '') : ''}</text>`
      }
      ${density === 'chip' && html`<${Name} text=${item.key} x=${10} y=${height / 2 + 4.5} width=${width - 16} />`}
    </${Shell}>`;
}

/** A name with its namespace in grey, or without it where there is no room. */
function Name({
  text,
  x,
  y,
  width,
}: {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
}) {
  const most = Math.max(4, Math.floor(width / CHARACTER));
  const slash = text.indexOf('/') + 1;
  if (text.length > most)
    return html`<text class="name" x=${x} y=${y}>${shortened(text.slice(slash), most)}</text>`;
  return html`
    <text class="name" x=${x} y=${y}><tspan class="namespace">${text.slice(0, slash)}</tspan>${text.slice(slash)}</text>`;
}

export function ServiceNode({
  item,
  samples,
  ...common
}: Common & { readonly item: UiService; readonly samples: readonly number[] }) {
  const { tone, words } = serviceState(item);
  const { width } = common.box;
  const rate = rateWords(item.perSecond);
  const port = item.ports[0];
  const label = [
    `Service ${item.key}: ${words}`,
    ...(port === undefined ? [] : [`${port.protocol} ${port.port}`]),
    ...(rate === '' ? [] : [rate === 'idle' ? 'idle' : `${item.perSecond} connections a second`]),
  ].join(', ');
  const spark = sparkPath(samples, SPARK.width, SPARK.height);
  const nameWidth = width - 28 - (rate === '' ? 0 : 44);
  return html`
    <${Shell} ...${common} kind=${`service ${tone}`} label=${label} radius=${10}>
      <${Name} text=${item.key} x=${14} y=${20} width=${nameWidth} />
      <text class="rate" x=${width - 14} y="20" text-anchor="end">${rate}</text>
      <${Dots} item=${item} />
      ${spark !== '' && html`<path class="spark" d=${spark} transform=${`translate(${width - 14 - SPARK.width} 26)`} />`}
    </${Shell}>`;
}

/** Endpoints: filled here, a ring on another node, a cross for one that does not serve. */
function Dots({ item }: { readonly item: UiService }) {
  const shown = item.endpoints.slice(0, MOST_DOTS);
  if (item.serving === 0) {
    const words = item.endpointCount === 0 ? 'no endpoints' : `0 of ${item.endpointCount} serve`;
    return html`<${MapMark} tone="bad" x=${13} y=${26} /><text class="detail bad" x="30" y="37">${words}</text>`;
  }
  const rest = item.endpointCount - shown.length;
  return html`
    <g transform="translate(18 33)">
      ${shown.map(({ address, state, isLocal }, i) =>
        state === 'serving'
          ? html`<circle key=${address} class=${isLocal ? 'dot here' : 'dot there'} cx=${i * 13} r="4" />`
          : html`<path key=${address} class="dot out" d=${`M${i * 13 - 3} -3l6 6m0 -6l-6 6`} />`,
      )}
      ${rest > 0 && html`<text class="detail" x=${shown.length * 13} y="4">${counted(rest, 'more', 'more')}</text>`}
    </g>`;
}
