export interface AnswerLine {
  readonly kind: 'step' | 'detail' | 'verdict' | 'next' | 'text';
  readonly text: string;
}

/** What `weft explain` prints, line by line as the page sets it. */
export function answerLines(text: string): readonly AnswerLine[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const step = /^\s*\d+\.\s+(.*)$/.exec(line)?.[1];
      if (step !== undefined) return { kind: 'step', text: step };
      if (/^Verdict:/.test(line)) return { kind: 'verdict', text: line };
      if (/^(Next|Doubtful|Note):/.test(line)) return { kind: 'next', text: line };
      return { kind: /^\s/.test(line) ? 'detail' : 'text', text: line.trim() };
    });
}
