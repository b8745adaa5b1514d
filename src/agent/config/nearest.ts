/**
 * The candidate a mistyped word most likely meant, or undefined when none is close. Case is
 * ignored; a beginning of three letters or more is close; else up to a third of the word (at least two letters, never half of it) may differ.
 */
export function nearestWord(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase();
  let best: string | undefined;
  const mostDifferent = Math.max(2, Math.floor(word.length / 3));
  let bestDistance = Math.min(mostDifferent + 1, Math.ceil(word.length / 2));
  for (const candidate of candidates) {
    const distance = distanceBetween(wanted, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** ` (did you mean …?)` for the nearest candidate, or nothing. */
export function suggestion(word: string, candidates: Iterable<string>, prefix = ''): string {
  const nearest = nearestWord(word, candidates);
  return nearest === undefined ? '' : ` (did you mean ${prefix}${nearest}?)`;
}

function distanceBetween(wanted: string, candidate: string): number {
  return wanted.length >= 3 && candidate.startsWith(wanted) ? 1 : editDistance(wanted, candidate);
}

/** Levenshtein distance: insertions, deletions and substitutions that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 0; i < a.length; i++) {
    const current = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const substituted = at(previous, j) + (a[i] === b[j] ? 0 : 1);
      current.push(Math.min(substituted, at(previous, j + 1) + 1, at(current, j) + 1));
    }
    previous = current;
  }
  return at(previous, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
