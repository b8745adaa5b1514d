import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { UiSnapshot } from '../agent/page/snapshot.ts';
import { Details } from './details.ts';
import { type Ends, ExplainBox } from './explain-box.ts';
import { Findings } from './findings.ts';
import { Header } from './header.ts';
import { html } from './html.ts';
import { NodeMap } from './node-map.ts';
import type { Selection } from './search.ts';
import { SignIn } from './sign-in.ts';
import { NOTHING_TOLD, Stream, type Told } from './stream.ts';
import { Tables } from './tables.ts';

/** A denied connection lights up for so long. */
const LIT_MS = 15_000;

export function App() {
  const [told, setTold] = useState<Told>(NOTHING_TOLD);
  const [selected, setSelected] = useState<Selection>();
  const [query, setQuery] = useState('');
  const [ends, setEnds] = useState<Ends>({ from: '', to: '' });
  const stream = useMemo(() => new Stream(setTold), []);
  useEffect(() => stream.start(), [stream]);
  useUpdateMeasure(told);
  const lit = useLit(told.snapshot);
  const select = useCallback((next: Selection | undefined) => setSelected(next), []);
  const { link, snapshot, history } = told;
  if (link.kind === 'locked')
    return html`<${SignIn} unlock=${(token: string) => stream.unlock(token)} />`;
  if (snapshot === undefined) {
    const words = link.kind === 'trouble' ? link.words : 'Asking the agent …';
    return html`<p class="starting" role="status">${words}</p>`;
  }
  return html`
    <${Header} snapshot=${snapshot} link=${link} query=${query} onQuery=${setQuery} onSelect=${select} />
    <main>
      <${Findings} node=${snapshot.node} findings=${snapshot.findings} />
      <div class="stage">
        <section class="map-section" aria-labelledby="map-title">
          <h2 id="map-title" class="unseen">Map of the node</h2>
          <${NodeMap}
            snapshot=${snapshot} selected=${selected} lit=${lit} history=${history} onSelect=${select} />
        </section>
        <aside aria-label="Details and explanation">
          <${Details} snapshot=${snapshot} selected=${selected} onSelect=${select} ends=${ends} onEnds=${setEnds} />
          <${ExplainBox} snapshot=${snapshot} ends=${ends} onEnds=${setEnds} />
        </aside>
        <${Tables} snapshot=${snapshot} query=${query} selected=${selected} history=${history} onSelect=${select} />
      </div>
    </main>`;
}

/** From an event to the page that shows it, for whoever looks: `weft-update` of the performance timeline. */
function useUpdateMeasure(told: Told): void {
  useLayoutEffect(() => {
    if (performance.getEntriesByName('weft-told').length === 0) return;
    performance.measure('weft-update', 'weft-told');
    performance.clearMarks('weft-told');
  }, [told]);
}

/** Keys of the denials that were told a moment ago; those that were there before the page are not. */
function useLit(snapshot: UiSnapshot | undefined): ReadonlySet<string> {
  const seen = useRef<Map<string, number> | undefined>(undefined);
  const [, setTurn] = useState(0);
  const denials = snapshot?.denials;
  const lit = useMemo(() => {
    const nowMs = Date.now();
    const before = seen.current;
    const next = new Map<string, number>();
    for (const { key } of denials ?? []) next.set(key, before?.get(key) ?? (before ? nowMs : 0));
    if (denials !== undefined) seen.current = next;
    return next;
  }, [denials]);
  useEffect(() => {
    const timer = setTimeout(() => setTurn((turn) => turn + 1), LIT_MS);
    return () => clearTimeout(timer);
  }, [denials]);
  const nowMs = Date.now();
  return new Set([...lit].flatMap(([key, at]) => (nowMs - at < LIT_MS ? [key] : [])));
}
