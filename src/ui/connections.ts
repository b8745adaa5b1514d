import { useEffect, useState } from 'preact/hooks';
import type { UiFlows } from '../agent/page/snapshot.ts';
import { type FlowItem, flowWords, isThere, lingering, NO_FLOWS, withFlows } from './flow-list.ts';
import { follow } from './follow.ts';
import { html } from './html.ts';
import type { Selection } from './search.ts';
import { counted } from './words.ts';

const AGAIN_MS = 3_000;
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
  useEffect(
    () =>
      whileVisible((stop) => {
        setList(undefined);
        return follow(`/api/flows?${new URLSearchParams({ [kind]: name })}`, stop, (event) => {
          if (event.name !== 'flows') return;
          // The agent of this page writes exactly this shape.
          const told = JSON.parse(event.data) as UiFlows;
          setNowMs(Date.now());
          setList((before = NO_FLOWS) => withFlows(before, told, Date.now()));
        });
      }),
    [kind, name],
  );
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

/** Begins again when the other side ends it; at rest while nobody can see the page. Gives what ends it for good. */
function whileVisible(run: (stop: AbortController) => Promise<unknown>): () => void {
  let underWay: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const begin = () => {
    clearTimeout(timer);
    underWay?.abort();
    underWay = undefined;
    if (document.visibilityState === 'hidden') return;
    const stop = new AbortController();
    underWay = stop;
    void run(stop).then(() => {
      if (stop === underWay) timer = setTimeout(begin, AGAIN_MS);
    });
  };
  document.addEventListener('visibilitychange', begin);
  begin();
  return () => {
    document.removeEventListener('visibilitychange', begin);
    clearTimeout(timer);
    underWay?.abort();
    underWay = undefined;
  };
}
