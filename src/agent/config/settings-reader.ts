import type { Cidr } from '../../net/cidr.ts';
import { parseConfiguredCidrs } from '../../net/configured-cidr.ts';
import { AddressError, type IP, parseSloppyIP } from '../../net/ip.ts';
import { ConfigError } from '../../util/errors.ts';
import type { KeyPath, Origin } from './document.ts';
import { parseGoDuration } from './go-duration.ts';
import { suggestion } from './nearest.ts';
import { type AnySetting, rowsOf, type SettingTable } from './setting.ts';

interface Problem {
  readonly path: KeyPath;
  readonly reason: string;
}

/**
 * Turns configured text into values and remembers every field that is wrong, so that a user sees
 * all mistakes at once. A method that meets a wrong value notes it and returns a stand-in, which
 * nobody sees because throwProblems ends the reading.
 */
export class SettingsReader {
  readonly #origin: Origin;
  readonly #problems: Problem[] = [];

  constructor(origin: Origin) {
    this.#origin = origin;
  }

  problem(path: KeyPath, reason: string): void {
    this.#problems.push({ path, reason });
  }

  /** Throws one ConfigError with a line per problem; its key is that of the first. */
  throwProblems(): void {
    const [first] = this.#problems;
    if (first === undefined) return;
    const lines = this.#problems.map(({ path, reason }) => `${this.#origin(path)}: ${reason}`);
    throw new ConfigError(first.path.join('.'), lines.join('\n'));
  }

  /** Notes every value outside of the limits that its row of the table has. */
  limits(table: SettingTable, values: object): void {
    for (const { path, row } of rowsOf(table)) {
      const value = path.reduce<unknown>(memberOf, values);
      if (row.kind === 'duration' && typeof value === 'string') this.#duration(path, value, row);
      if (typeof value === 'number' && row.kind !== 'duration') this.#number(path, value, row);
    }
  }

  #number(path: KeyPath, value: number, { kind, min, max }: AnySetting): void {
    if (min === undefined || kind !== 'integer') return;
    if (Number.isInteger(value) && value >= min && value <= (max ?? value)) return;
    const range = max === undefined ? `${min} or more` : `${min} to ${max}`;
    this.problem(path, `expected a whole number, ${range}, found ${value}`);
  }

  /** A Go duration that is not negative; where the row has a minimum, nor zero. */
  #duration(path: KeyPath, text: string, { min = 0 }: AnySetting): void {
    const milliseconds = parseGoDuration(text);
    if (milliseconds === undefined) {
      this.problem(path, `expected a duration such as 30s or 1h30m, found "${text}"`);
    } else if (milliseconds < 0 || (min > 0 && milliseconds === 0)) {
      this.problem(path, `expected ${min > 0 ? 'more than' : 'at least'} 0s, found ${text}`);
    }
  }

  ip(path: KeyPath, text: string): IP | undefined {
    const address = parseSloppyIP(text);
    if (address === undefined) this.problem(path, `expected an IP address, found "${text}"`);
    return address;
  }

  /** Each text as a CIDR; a wrong one is a problem at its index. */
  cidrs(path: KeyPath, texts: readonly string[]): readonly Cidr[] {
    return texts.flatMap((text, index) => {
      const cidrs = tryConfiguredCidrs(text);
      if (cidrs.length === 1) return cidrs;
      const place = texts.length === 1 ? path : [...path, String(index)];
      this.problem(place, `expected a CIDR such as 10.0.0.0/8, found "${text}"`);
      return [];
    });
  }

  oneOf<T extends string>(path: KeyPath, text: string, allowed: readonly T[]): T | undefined {
    const found = allowed.find((word) => word === text);
    if (found === undefined) {
      const words = allowed.filter((word) => word !== '');
      const hint = suggestion(text, words);
      this.problem(path, `expected ${words.join(', ')} or nothing, found "${text}"${hint}`);
    }
    return found;
  }

  required(path: KeyPath, text: string, purpose: string): string {
    if (text === '') this.problem(path, `${purpose} needs it`);
    return text;
  }
}

/** No CIDR for text that is none, as for empty text. */
function tryConfiguredCidrs(text: string): readonly Cidr[] {
  try {
    return parseConfiguredCidrs(text);
  } catch (error) {
    if (error instanceof AddressError) return [];
    throw error;
  }
}

function memberOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return (value as Readonly<Record<string, unknown>>)[key];
}
