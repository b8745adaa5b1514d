import type { Finding } from '../status/finding.ts';
import type { MetricFactory } from './factory.ts';

/** Who is given what to read; it is asked at each scrape. */
export type ChecksObserver = (read: () => readonly Finding[]) => void;

/** A check that does not concern this node, or is not known, has no series. */
export function createChecksObserver(metrics: MetricFactory): ChecksObserver {
  let read: () => readonly Finding[] = () => [];
  metrics.gauge(
    'weft_check_ok',
    'Checks of the node: 1 while well, 0 while something is to be put right, absent while not known; weft doctor says what',
    ['check'],
    function () {
      this.reset();
      for (const { check, level } of read()) {
        if (level !== 'unknown') this.set({ check }, Number(level === 'ok'));
      }
    },
  );
  return (reader) => {
    read = reader;
  };
}
