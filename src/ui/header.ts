import { useEffect, useState } from 'preact/hooks';
import type { UiSnapshot } from '../agent/page/snapshot.ts';
import { html } from './html.ts';
import type { Selection } from './search.ts';
import { SearchBox } from './search-box.ts';
import type { Link } from './stream.ts';
import { applyTheme, chooseTheme, currentTheme, followSystem } from './theme.ts';

interface HeaderProps {
  readonly snapshot: UiSnapshot;
  readonly link: Link;
  readonly query: string;
  readonly onQuery: (query: string) => void;
  readonly onSelect: (selection: Selection) => void;
}

const LINKS: Readonly<Record<Link['kind'], string>> = {
  connecting: 'connecting',
  live: 'live',
  lost: 'no answer, trying again',
  locked: 'locked',
  trouble: 'in trouble',
};

export function Header({ snapshot, link, query, onQuery, onSelect }: HeaderProps) {
  const { name, version, proxyMode } = snapshot.node;
  const about = [`weft ${version}`, ...(proxyMode === undefined ? [] : [`proxy ${proxyMode}`])];
  const words = link.kind === 'trouble' ? link.words : LINKS[link.kind];
  return html`
    <header>
      <img class="brand" src="/icon.svg" alt="" width="36" height="36" />
      <div class="node-name">
        <h1>${name}</h1>
        <p>${about.join(' · ')}</p>
      </div>
      <${SearchBox} snapshot=${snapshot} query=${query} onQuery=${onQuery} onSelect=${onSelect} />
      <p class=${`link ${link.kind}`} role="status"><span class="dot" aria-hidden="true"></span>${words}</p>
      <${ThemeSwitch} />
    </header>`;
}

function ThemeSwitch() {
  const [theme, setTheme] = useState(currentTheme());
  useEffect(() => {
    followSystem((next) => {
      applyTheme(next);
      setTheme(next);
    });
  }, []);
  const other = theme === 'dark' ? 'light' : 'dark';
  const onClick = () => {
    chooseTheme(other);
    setTheme(other);
  };
  return html`
    <button type="button" class="theme" onClick=${onClick} aria-label=${`Use ${other} colours`} title=${`Use ${other} colours`}>
      <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
        ${
          theme === 'dark'
            ? html`<g fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round"><circle cx="10" cy="10" r="3.4" /><path d="M10 2.5v1.6M10 15.9v1.6M2.5 10h1.6M15.9 10h1.6M4.7 4.7l1.1 1.1M14.2 14.2l1.1 1.1M4.7 15.3l1.1-1.1M14.2 5.8l1.1-1.1" /></g>`
            : html`<path d="M15.8 12.2A6.6 6.6 0 0 1 7.8 4.2a6.6 6.6 0 1 0 8 8Z" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linejoin="round" />`
        }
      </svg>
    </button>`;
}
