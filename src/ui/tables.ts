import { useState } from 'preact/hooks';
import type { UiSnapshot } from '../agent/page/snapshot.ts';
import { html } from './html.ts';
import { Mark } from './marks.ts';
import { type Row, rowsOf, TABLES, type TableName } from './rows.ts';
import type { Selection } from './search.ts';
import { type History, sparkPath } from './spark.ts';

interface TablesProps {
  readonly snapshot: UiSnapshot;
  readonly query: string;
  readonly selected: Selection | undefined;
  readonly history: History;
  readonly onSelect: (selection: Selection) => void;
}

/** Rows at first, and with each wish for more: a list of thousands costs what is seen of it. */
const ROWS_AT_A_TIME = 40;

/** Everything as lists; what is searched for narrows them. */
export function Tables({ snapshot, query, selected, history, onSelect }: TablesProps) {
  const [name, setName] = useState<TableName>('services');
  const [most, setMost] = useState(ROWS_AT_A_TIME);
  const choose = (next: TableName) => {
    setName(next);
    setMost(ROWS_AT_A_TIME);
  };
  const rows = rowsOf(name, snapshot, query, Date.now());
  const { title, columns } = TABLES[name];
  const rest = rows.length - most;
  return html`
    <section class="tables" aria-label="Lists">
      <${Tabs} snapshot=${snapshot} name=${name} onName=${choose} />
      <div id="table-panel" role="tabpanel" aria-labelledby=${`tab-${name}`} class="scroller" tabindex="0">
        <table>
          <caption class="unseen">${title}</caption>
          <thead><tr>${columns.map((column) => html`<th key=${column} scope="col">${column}</th>`)}</tr></thead>
          <tbody>
            ${rows.slice(0, most).map(
              (row) => html`
              <${TableRow} key=${row.key} row=${row} samples=${history.get(row.key) ?? []} hasSpark=${name === 'services'}
                isSelected=${row.selection !== undefined && selected?.kind === row.selection.kind && selected.key === row.selection.key}
                onSelect=${onSelect} />`,
            )}
          </tbody>
        </table>
        ${rows.length === 0 && html`<p class="nothing">${query.trim() === '' ? 'There are none.' : 'Nothing here has these words.'}</p>`}
      </div>
      ${
        rest > 0 &&
        html`
        <button type="button" class="plain" onClick=${() => setMost(most + ROWS_AT_A_TIME)}>
          Show ${Math.min(rest, ROWS_AT_A_TIME)} more of ${rest.toLocaleString('en')}
        </button>`
      }
    </section>`;
}

interface TabsProps {
  readonly snapshot: UiSnapshot;
  readonly name: TableName;
  readonly onName: (name: TableName) => void;
}

function Tabs({ snapshot, name, onName }: TabsProps) {
  const names = Object.keys(TABLES) as TableName[];
  const onKeyDown = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    const next = names[(names.indexOf(name) + step + names.length) % names.length];
    if (step === 0 || next === undefined) return;
    event.preventDefault();
    onName(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return html`
    <div role="tablist" aria-label="Lists" onKeyDown=${onKeyDown}>
      ${names.map(
        (each) => html`
        <button key=${each} type="button" role="tab" id=${`tab-${each}`} aria-controls="table-panel"
          aria-selected=${String(each === name)} tabindex=${each === name ? 0 : -1} onClick=${() => onName(each)}>
          ${TABLES[each].title}<span class="count">${TABLES[each].count(snapshot).toLocaleString('en')}</span>
        </button>`,
      )}
    </div>`;
}

interface TableRowProps {
  readonly row: Row;
  readonly samples: readonly number[];
  readonly hasSpark: boolean;
  readonly isSelected: boolean;
  readonly onSelect: (selection: Selection) => void;
}

function TableRow({ row, samples, hasSpark, isSelected, onSelect }: TableRowProps) {
  const { name, cells, state, selection } = row;
  const spark = hasSpark ? sparkPath(samples, 72, 16) : '';
  return html`
    <tr class=${isSelected ? 'selected' : ''}>
      <th scope="row">
        ${
          selection === undefined
            ? name
            : html`
          <button type="button" class="name" aria-pressed=${String(isSelected)} onClick=${() => onSelect(selection)}>${name}</button>`
        }
      </th>
      ${state !== undefined && html`<td class=${`state ${state.tone}`}><${Mark} tone=${state.tone} size=${14} />${state.words}</td>`}
      ${cells.map(
        (cell, i) =>
          html`<td key=${i}>${cell}${
            spark !== '' &&
            i === cells.length - 1 &&
            html`
        <svg viewBox="0 0 72 16" width="72" height="16" aria-hidden="true"><path class="spark" d=${spark} /></svg>`
          }</td>`,
      )}
    </tr>`;
}
