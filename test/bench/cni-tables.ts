/** What the samples of a run come to, as values and as text. */
import type { Burst } from './bursts.ts';
import type { CallSamples } from './cni.ts';
import type { Floor } from './cni-floor-and-load.ts';
import type { Verb } from './contenders.ts';
import { median, percentile, table } from './statistics.ts';

/** One contender's calls of one verb on one configuration; NaN where the build lacks the plugin. */
export interface Summary {
  readonly configuration: string;
  readonly verb: Verb;
  readonly contender: string;
  readonly medianMs: number;
  readonly p95Ms: number;
  /** How many times the reference's median is ours. */
  readonly ratio: number;
  readonly cpuMs: number;
  readonly peakMiB: number;
}

export function summarize(samples: CallSamples): readonly Summary[] {
  return Object.entries(samples).flatMap(([configuration, byContender]) =>
    (['ADD', 'DEL'] as const).flatMap((verb) => {
      const [, reference] = Object.entries(byContender).at(-1) ?? [];
      const referenceMs = median((reference?.[verb] ?? []).map(({ wallMs }) => wallMs));
      return Object.entries(byContender).map(([contender, { [verb]: calls }]): Summary => {
        const walls = calls.map(({ wallMs }) => wallMs);
        const medianMs = median(walls);
        return {
          configuration,
          verb,
          contender,
          medianMs,
          p95Ms: percentile(walls, 0.95),
          ratio: referenceMs / medianMs,
          cpuMs: median(calls.map(({ cpuMs }) => cpuMs)),
          peakMiB: median(calls.map(({ peakMiB }) => peakMiB)),
        };
      });
    }),
  );
}

/** One table per configuration and verb, the kernel's own time below each. */
export function callTables(summaries: readonly Summary[], floor: Floor): string {
  const groups = Map.groupBy(summaries, ({ configuration, verb }) => `${configuration}, ${verb}`);
  return [...groups]
    .map(([title, group]) => {
      const rows = group.map(({ contender, medianMs, p95Ms, ratio, cpuMs, peakMiB }) =>
        Number.isNaN(medianMs)
          ? [contender, 'not built', '', '', '', '']
          : [
              contender,
              medianMs.toFixed(2),
              p95Ms.toFixed(2),
              `1/${ratio.toFixed(1)}`,
              cpuMs.toFixed(2),
              peakMiB.toFixed(1),
            ],
      );
      const kernelMs = group[0]?.verb === 'ADD' ? floor.addMs : floor.deleteMs;
      const kernel = ['kernel alone', kernelMs.toFixed(2), '', '', '', ''];
      const header = [title, 'median ms', 'p95 ms', 'of reference', 'cpu ms', 'peak MiB'];
      return `\n${table(header, [...rows, kernel])}`;
    })
    .join('\n');
}

export function burstTable(bursts: readonly Burst[]): string {
  const rows = bursts.map(({ contender, concurrency, rate, cpuMsPerPod }) => [
    `${contender}, ${concurrency} at a time`,
    rate.ADD.toFixed(0),
    rate.DEL.toFixed(0),
    cpuMsPerPod.ADD.toFixed(1),
    cpuMsPerPod.DEL.toFixed(1),
  ]);
  const header = ['100 pods, dual stack + ipMasq', 'ADD/s', 'DEL/s', 'cpu ms/ADD', 'cpu ms/DEL'];
  return `\n${table(header, rows)}`;
}
