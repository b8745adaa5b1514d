import { useState } from 'preact/hooks';
import type { UiExplanation, UiSnapshot } from '../agent/page/snapshot.ts';
import { answerLines } from './answer.ts';
import { askAgent } from './ask.ts';
import { html } from './html.ts';
import { Mark } from './marks.ts';
import { search } from './search.ts';
import type { Tone } from './words.ts';

/** Both sides as they are typed. */
export interface Ends {
  readonly from: string;
  readonly to: string;
}

interface ExplainBoxProps {
  readonly snapshot: UiSnapshot;
  readonly ends: Ends;
  readonly onEnds: (ends: Ends) => void;
}

type Answer =
  | { readonly kind: 'none' }
  | { readonly kind: 'asking' }
  | { readonly kind: 'problem'; readonly words: string }
  | { readonly kind: 'answer'; readonly explanation: UiExplanation };

const OUTCOMES: Readonly<Record<UiExplanation['outcome'], readonly [Tone, string]>> = {
  allowed: ['well', 'It passes'],
  refused: ['bad', 'It is refused'],
  dropped: ['bad', 'It is dropped in silence'],
  differs: ['doubtful', 'The packet went another way'],
};
const MOST_SUGGESTED = 12;

/** Asks what becomes of a connection. */
export function ExplainBox({ snapshot, ends, onEnds }: ExplainBoxProps) {
  const [protocol, setProtocol] = useState('tcp');
  const [answer, setAnswer] = useState<Answer>({ kind: 'none' });
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setAnswer({ kind: 'asking' });
    setAnswer(await ask(ends, protocol));
  };
  return html`
    <section class="explain" aria-labelledby="explain-title">
      <h2 id="explain-title">What becomes of a connection?</h2>
      <form onSubmit=${submit}>
        <${End} id="from" label="From" hint="shop/web or 10.0.0.5" value=${ends.from} snapshot=${snapshot}
          onValue=${(from: string) => onEnds({ ...ends, from })} />
        <${End} id="to" label="To" hint="shop/db:5432 or 10.96.0.9:80" value=${ends.to} snapshot=${snapshot}
          onValue=${(to: string) => onEnds({ ...ends, to })} />
        <div class="ask">
          <label for="protocol" class="unseen">Protocol</label>
          <select id="protocol" value=${protocol} onChange=${({ currentTarget }: Event) => setProtocol((currentTarget as HTMLSelectElement).value)}>
            <option>tcp</option><option>udp</option><option>sctp</option>
          </select>
          <button type="submit" class="primary">Explain</button>
        </div>
      </form>
      <div class="answer" role="status" aria-live="polite"><${AnswerText} answer=${answer} /></div>
    </section>`;
}

interface EndProps {
  readonly id: string;
  readonly label: string;
  readonly hint: string;
  readonly value: string;
  readonly snapshot: UiSnapshot;
  readonly onValue: (value: string) => void;
}

function End({ id, label, hint, value, snapshot, onValue }: EndProps) {
  const suggested = search(snapshot, value, MOST_SUGGESTED).filter(({ kind }) => kind !== 'node');
  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      <input id=${id} type="text" required list=${`${id}-names`} placeholder=${hint} autocomplete="off" spellcheck=${false}
        value=${value} onInput=${({ currentTarget }: InputEvent) => onValue((currentTarget as HTMLInputElement).value)} />
      <datalist id=${`${id}-names`}>${suggested.map(({ key }) => html`<option key=${key} value=${key}></option>`)}</datalist>
    </div>`;
}

function AnswerText({ answer }: { readonly answer: Answer }) {
  if (answer.kind === 'none') return null;
  if (answer.kind === 'asking') return html`<p class="quiet">Asking …</p>`;
  if (answer.kind === 'problem') return html`<p class="problem">${answer.words}</p>`;
  const { outcome, text } = answer.explanation;
  const [tone, words] = OUTCOMES[outcome];
  return html`
    <p class=${`outcome ${tone}`}><${Mark} tone=${tone} />${words}</p>
    <div class="lines">${answerLines(text).map((line, i) => html`<p key=${i} class=${line.kind}>${line.text}</p>`)}</div>`;
}

/** `shop/db:5432`, `[fd00::1]:80` */
const TARGET = /^(?:\[([^\]]*)\]|(.*?)):([^:]+)$/;

async function ask({ from, to }: Ends, protocol: string): Promise<Answer> {
  const [, bracketed, bare = '', port = ''] = TARGET.exec(to.trim()) ?? [];
  if (port === '') return { kind: 'problem', words: 'To: add the port, as in shop/db:5432' };
  const query = new URLSearchParams({ from: from.trim(), to: bracketed ?? bare, port, protocol });
  try {
    const response = await askAgent(`/api/explain?${query}`);
    const body: unknown = await response.json();
    // The agent of this page writes one of these shapes.
    if (response.ok) return { kind: 'answer', explanation: body as UiExplanation };
    return { kind: 'problem', words: (body as { readonly problem: string }).problem };
  } catch {
    return { kind: 'problem', words: 'The agent does not answer.' };
  }
}
