import { useEffect, useRef, useState } from 'preact/hooks';
import type { UiSnapshot } from '../agent/page/snapshot.ts';
import { html } from './html.ts';
import { type Found, type Selection, search } from './search.ts';

interface SearchBoxProps {
  readonly snapshot: UiSnapshot;
  readonly query: string;
  readonly onQuery: (query: string) => void;
  readonly onSelect: (selection: Selection) => void;
}

const MOST_FOUND = 8;
const KINDS = { service: 'Service', pod: 'pod', node: 'node' } as const;

/** A combobox as of the ARIA practices: the field keeps the focus, arrows walk the list. */
export function SearchBox({ snapshot, query, onQuery, onSelect }: SearchBoxProps) {
  const [isOpen, setOpen] = useState(false);
  const [at, setAt] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => focusOnSlash(input), []);
  const found = isOpen ? search(snapshot, query, MOST_FOUND) : [];
  const choose = (one: Found | undefined) => {
    if (one === undefined) return;
    onSelect({ kind: one.kind, key: one.key });
    setOpen(false);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape') {
      if (!isOpen) onQuery('');
      setOpen(false);
    } else if (event.key === 'Enter') choose(found[at]);
    else if (event.key === 'ArrowDown') setAt(Math.min(found.length - 1, at + 1));
    else if (event.key === 'ArrowUp') setAt(Math.max(0, at - 1));
    else return;
    event.preventDefault();
  };
  const onInput = ({ currentTarget }: InputEvent) => {
    onQuery((currentTarget as HTMLInputElement).value);
    setAt(0);
    setOpen(true);
  };
  const isShown = isOpen && query.trim() !== '';
  return html`
    <div class="search" role="search">
      <svg viewBox="0 0 20 20" width="16" height="16" aria-hidden="true"><path d="M8.5 3a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11Zm4 9.5L17 17" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" /></svg>
      <input ref=${input} type="text" role="combobox" aria-label="Search pods, Services and nodes"
        aria-expanded=${String(isShown)} aria-controls="found" aria-autocomplete="list"
        aria-activedescendant=${isShown && found.length > 0 ? `found-${at}` : undefined}
        placeholder="Name, address or port" autocomplete="off" spellcheck=${false}
        value=${query} onInput=${onInput} onKeyDown=${onKeyDown}
        onFocus=${() => setOpen(true)} onBlur=${() => setOpen(false)} />
      <kbd aria-hidden="true">/</kbd>
      <ul id="found" role="listbox" aria-label="Found" hidden=${!isShown || found.length === 0}>
        ${found.map(
          (one, i) => html`
            <li key=${`${one.kind} ${one.key}`} id=${`found-${i}`} role="option" aria-selected=${String(i === at)}
              onMouseDown=${(event: MouseEvent) => {
                event.preventDefault();
                choose(one);
              }}>
              <span class="kind">${KINDS[one.kind]}</span>
              <span class="name">${one.key}</span>
              <span class="detail">${one.detail}</span>
            </li>`,
        )}
      </ul>
      ${isShown && found.length === 0 && html`<p class="nothing" role="status">Nothing has that name, address or port.</p>`}
    </div>`;
}

/** `/` leads to the field from anywhere but another field. */
function focusOnSlash(input: { readonly current: HTMLInputElement | null }): () => void {
  const onKeyDown = (event: KeyboardEvent) => {
    const isTyping =
      event.target instanceof Element && event.target.matches('input, select, textarea');
    if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    input.current?.focus();
  };
  document.addEventListener('keydown', onKeyDown);
  return () => document.removeEventListener('keydown', onKeyDown);
}
