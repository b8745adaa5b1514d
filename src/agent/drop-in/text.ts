/** What became of the names in the CNI directory, or would, in words. */
import { type Action, type Step, savedName } from './plan.ts';

type Words = Readonly<Record<Action, (name: string) => string>>;

const DONE: Words = {
  create: (name) => `${name} is weft now; there was no plugin of that name`,
  save: (name) => `${name} is weft now; the original is kept as ${savedName(name)}`,
  replace: (name) => `${name} is weft now; the original was kept before as ${savedName(name)}`,
  restore: (name) => `${name} is the original again`,
  remove: (name) => `${name} is gone; there was no plugin of that name before`,
  forget: (name) => `${name} is the original already; ${savedName(name)} is removed`,
  none: (name) => `${name} stays as it is`,
};

const PLANNED: Words = {
  create: (name) => `${name} would be weft; there is no plugin of that name`,
  save: (name) => `${name} would be weft; the original would be kept as ${savedName(name)}`,
  replace: (name) => `${name} would be weft; the original is kept already as ${savedName(name)}`,
  restore: (name) => `${name} would be the original again`,
  remove: (name) => `${name} would be gone; there was no plugin of that name before`,
  forget: (name) => `${name} is the original already; ${savedName(name)} would be removed`,
  none: (name) => `${name} would stay as it is`,
};

/** A line for each name, and one for each reason not to take it. */
export function stepLines(steps: readonly Step[], isDryRun: boolean): readonly string[] {
  const words = isDryRun ? PLANNED : DONE;
  return steps.flatMap(({ name, action, reasons = [] }) => [
    reasons.length === 0
      ? words[action](name)
      : `${name} ${isDryRun ? 'would stay' : 'stays'} as it is, pods would fail under weft:`,
    ...reasons.map((reason) => `  ${reason}`),
  ]);
}
