/**
 * Pages about the process for people (KEP-4827, KEP-4828), as kube-proxy has them since 1.36: plain
 * text whose form may change.
 */
import type { KubeProxyConfiguration } from '../config/kube-proxy-config.ts';
import { FLAGS } from '../config/kube-proxy-flag-table.ts';

export interface ProcessFacts {
  readonly version: string;
  readonly nodeVersion: string;
  readonly startedAtMs: number;
  readonly upMs: number;
  /** What the server answers besides. */
  readonly paths: readonly string[];
}

const WARNING =
  'Warning: This page is for people. Its form may change at any time, so do not parse it.';

/** `/statusz` */
export function statuszText(facts: ProcessFacts): string {
  const { version, nodeVersion, startedAtMs, upMs, paths } = facts;
  return page('statusz', [
    `Started: ${new Date(startedAtMs).toISOString()}`,
    `Up: ${upText(upMs)}`,
    `Node version: ${nodeVersion}`,
    `Binary version: ${version}`,
    `Paths: ${paths.toSorted().join(' ')}`,
  ]);
}

/** `/flagz`: every flag of kube-proxy with the value in effect, wherever it was set. */
export function flagzText(config: KubeProxyConfiguration): string {
  const lines = FLAGS.flatMap(({ name, paths: [path] }) => {
    if (path === undefined) return [];
    const value = path.reduce<unknown>(memberOf, config);
    return [`${name}=${valueText(value)}`];
  });
  return page('flags', lines.toSorted());
}

function page(title: string, lines: readonly string[]): string {
  return `\nweft ${title}\n${WARNING}\n\n${lines.join('\n')}\n`;
}

/** `26 hr 03 min 09 sec` */
function upText(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const twoDigits = (number: number) => String(number % 60).padStart(2, '0');
  const minutes = twoDigits(Math.floor(seconds / 60));
  return `${Math.floor(seconds / 3600)} hr ${minutes} min ${twoDigits(seconds)} sec`;
}

function memberOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.entries(value).find(([name]) => name === key)?.[1];
}

function valueText(value: unknown): string {
  if (value === undefined) return '';
  if (Array.isArray(value)) return value.join(',');
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .map(([key, item]) => `${key}=${item}`)
    .join(',');
}
