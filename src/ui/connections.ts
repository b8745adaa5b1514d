import { useEffect, useState } from 'preact/hooks';
import type { UiFlows } from '../agent/page/snapshot.ts';
import { type FlowItem, flowWords, isThere, lingering, NO_FLOWS, withFlows } from './flow-list.ts';
import { follow } from './follow.ts';
import { html } from './html.ts';
import type { Selection } from './search.ts';
import { whileVisible } from './visible.ts';
import { counted } from './words.ts';

/** How often what is over is looked through. */
const TURN_MS = 2_000;
const MOST_SHOWN = 10;

interface ConnectionsProps {
  readonly kind: Selection['kind'];
  readonly name: string;
}

/** Connections of a pod or Service as they come and go, followed while somebody looks. */
export function Connections({ kind, name }: ConnectionsProps) {
  const [list, setList] = useState<typeof NO_FLOWS>();
  const [nowMs, setNowMs] = useState(Date.now());
  useEffect(() => {
    const work = whileVisible(async (signal) => {
      setList(undefined);
      const query = new URLSearchParams({ [kind]: name });
      await follow(`/api/flows?${query}`, signal, (event) => {
        if (event.name !== 'flows') return;
        // The agent of this page writes exactly this shape.
        const told = JSON.parse(event.data) as UiFlows;
        setNowMs(Date.now());
        setList((before = NO_FLOWS) => withFlows(before, told, Date.now()));
      });
      return true;
    });
    return work.end;
  }, [kind, name]);
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), TURN_MS);
    return () => clearInterval(timer);
  }, []);
  if (list === undefined) return null;
  const items = lingering(list.items, nowMs);
  const there = items.filter(isThere).length;
  const rest = Math.max(0, items.length - MOST_SHOWN) + list.missed;
  return html`
    <div class="connections">
      <h3>${there === 0 ? 'No connections now' : counted(there, 'connection')}</h3>
      <ul>${items.slice(0, MOST_SHOWN).map((item) => html`<${Line} key=${item.key} item=${item} />`)}</ul>
      ${rest > 0 && html`<p class="quiet">${counted(rest, 'more', 'more')}; weft flows tells all</p>`}
    </div>`;
}

function Line({ item }: { readonly item: FlowItem }) {
  const { kind, from, to, endpoint } = item;
  return html`
    <li class=${`flow ${kind}`}>
      <span>${from} → ${to}${endpoint === undefined ? '' : ` → ${endpoint}`}</span>
      <span class="quiet">${flowWords(item)}</span>
    </li>`;
}
