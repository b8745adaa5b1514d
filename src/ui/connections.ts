import { useEffect, useState } from 'preact/hooks';
import type { UiConnection } from '../agent/page/snapshot.ts';
import { askAgent } from './ask.ts';
import { html } from './html.ts';
import type { Selection } from './search.ts';
import { counted } from './words.ts';

const EVERY_MS = 5_000;
const MOST_SHOWN = 8;

/** Connections of a pod or Service as they are, read again while somebody looks. */
export function Connections({
  kind,
  name,
}: {
  readonly kind: Selection['kind'];
  readonly name: string;
}) {
  const [connections, setConnections] = useState<readonly UiConnection[]>();
  useEffect(() => {
    const query = new URLSearchParams({ [kind]: name });
    let isGone = false;
    const read = async () => {
      const found = await readConnections(query);
      if (!isGone) setConnections(found);
    };
    void read();
    const timer = setInterval(() => void read(), EVERY_MS);
    return () => {
      isGone = true;
      clearInterval(timer);
    };
  }, [kind, name]);
  if (connections === undefined) return null;
  const rest = connections.length - MOST_SHOWN;
  return html`
    <div class="connections">
      <h3>${connections.length === 0 ? 'No connections now' : 'Connections now'}</h3>
      <ul>
        ${connections.slice(0, MOST_SHOWN).map(
          ({ from, to, endpoint, protocol, verdict }, i) => html`
          <li key=${i}>
            <span>${from} → ${to}${endpoint === undefined ? '' : ` → ${endpoint}`}</span>
            <span class="quiet">${protocol} ${verdict}</span>
          </li>`,
        )}
      </ul>
      ${rest > 0 && html`<p class="quiet">${counted(rest, 'more', 'more')}; weft flows tells all</p>`}
    </div>`;
}

/** Undefined where the agent does not tell. */
async function readConnections(
  query: URLSearchParams,
): Promise<readonly UiConnection[] | undefined> {
  try {
    const response = await askAgent(`/api/connections?${query}`);
    // The agent of this page writes exactly this shape.
    return response.ok ? ((await response.json()) as readonly UiConnection[]) : undefined;
  } catch {
    return undefined;
  }
}
