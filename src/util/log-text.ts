/** Lines of the log as people read them on a terminal. */
import { parseJson } from './json.ts';
import { plain } from './text-layout.ts';

export interface LogTextOptions {
  readonly hasColors: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

/** Fields that have a place of their own. */
const PLACED = new Set(['level', 'time', 'msg', 'component']);
const COLORS: Readonly<Record<string, number>> = { warn: 33, error: 31, fatal: 31 };
const LEVEL_WIDTH = 5;

/**
 * `11:08:20.123 warn  fabric: packets do not arrive problems="…"` of a line of JSON; another line as it is, both
 * without control characters. Stacks are left to JSON.
 */
export function logText(line: string, { hasColors }: LogTextOptions): string {
  const value = parseJson(line);
  if (typeof value !== 'object' || value === null) return `${plain(line.trimEnd())}\n`;
  const fields: Fields = { ...value };
  const level = textOf(fields['level']);
  const time = textOf(fields['time']).slice(11, 23);
  const component = fields['component'] === undefined ? '' : `${textOf(fields['component'])}: `;
  const rest = Object.entries(fields)
    .filter(([name]) => !PLACED.has(name))
    .map(([name, each]) => ` ${name}=${valueText(name, each)}`)
    .join('');
  const head = `${time} ${level.padEnd(LEVEL_WIDTH)} ${component}${textOf(fields['msg'])}`;
  const color = hasColors ? COLORS[level] : undefined;
  const painted = color === undefined ? plain(head) : `\u001b[${color}m${plain(head)}\u001b[0m`;
  return `${painted}${plain(rest)}\n`;
}

/** Of an error its message; a word as it is, anything else as JSON. */
function valueText(name: string, value: unknown): string {
  if (name === 'err' && typeof value === 'object' && value !== null && 'message' in value) {
    return JSON.stringify(value.message);
  }
  return typeof value === 'string' && /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
