/** Progress while it runs, a table at the end. */

const PASSED = '✔';
const FAILED = '✘';

interface Row {
  readonly what: string;
  readonly isPassed: boolean;
  readonly detail: string;
}

export class Report {
  readonly #rows: Row[] = [];
  readonly #startedAt = performance.now();

  /** A line of progress with the seconds since the start. */
  step(text: string): void {
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1).padStart(5);
    console.log(`[${seconds} s] ${text}`);
  }

  check(what: string, isPassed: boolean, detail: string): void {
    this.#rows.push({ what, isPassed, detail });
    console.log(`          ${isPassed ? PASSED : FAILED} ${what}: ${detail}`);
  }

  get failures(): number {
    return this.#rows.filter((row) => !row.isPassed).length;
  }

  printTable(): void {
    const width = Math.max(...this.#rows.map((row) => row.what.length));
    console.log(`\n${'check'.padEnd(width)}   result`);
    console.log('─'.repeat(width + 60));
    for (const { what, isPassed, detail } of this.#rows) {
      console.log(`${what.padEnd(width)} ${isPassed ? PASSED : FAILED} ${detail}`);
    }
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1);
    console.log(
      `\n${this.#rows.length - this.failures} passed, ${this.failures} failed, ${seconds} s`,
    );
  }
}

/** Counts as bars, widest 40 characters. */
export function histogram(counts: Readonly<Record<string, number>>): string {
  const most = Math.max(1, ...Object.values(counts));
  return Object.entries(counts)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, count]) => {
      const bar = '█'.repeat(Math.round((count / most) * 40));
      return `            ${name.padEnd(8)} ${String(count).padStart(4)} ${bar}`;
    })
    .join('\n');
}
