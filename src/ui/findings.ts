import { useState } from 'preact/hooks';
import type { UiFinding, UiNode } from '../agent/page/snapshot.ts';
import { html } from './html.ts';
import { Mark } from './marks.ts';
import { counted, healthState, type Tone } from './words.ts';

const TONES: Readonly<Record<UiFinding['level'], Tone>> = {
  ok: 'well',
  warning: 'doubtful',
  failing: 'bad',
  unknown: 'quiet',
};
const ORDER: readonly UiFinding['level'][] = ['failing', 'warning', 'unknown'];
/** Shown before somebody asks for the rest. */
const MOST_AT_FIRST = 3;

interface FindingsProps {
  readonly node: UiNode;
  readonly findings: readonly UiFinding[];
}

/** What checks have found, the worst on top; nothing but one line while all is well. */
export function Findings({ node, findings }: FindingsProps) {
  const [isWhole, setWhole] = useState(false);
  const state = healthState(node.isHealthy, findings);
  const wrong = ORDER.flatMap((level) => findings.filter((each) => each.level === level));
  const shown = isWhole ? wrong : wrong.slice(0, MOST_AT_FIRST);
  const rest = wrong.length - shown.length;
  return html`
    <section class=${`findings ${state.tone}`} aria-labelledby="health">
      <h2 id="health"><${Mark} tone=${state.tone} />${state.words}</h2>
      ${
        wrong.length > 0 &&
        html`
        <ul>
          ${shown.map((finding) => html`<${Finding} key=${finding.key} finding=${finding} />`)}
        </ul>`
      }
      ${
        (rest > 0 || isWhole) &&
        html`
        <button type="button" class="plain" aria-expanded=${String(isWhole)} onClick=${() => setWhole(!isWhole)}>
          ${isWhole ? 'Show fewer' : `Show ${counted(rest, 'more finding')}`}
        </button>`
      }
    </section>`;
}

function Finding({ finding }: { readonly finding: UiFinding }) {
  const { level, seen, why, cure } = finding;
  return html`
    <li class=${TONES[level]}>
      <p class="seen"><${Mark} tone=${TONES[level]} /><span><span class="unseen">${level}: </span>${seen}</span></p>
      ${why !== '' && html`<p class="why">${why}</p>`}
      ${cure !== '' && html`<p class="cure">${cure}</p>`}
    </li>`;
}
