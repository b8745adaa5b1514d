import { failuresOf, joinErrors } from '../util/errors.ts';

/** Steps that take back what was done so far, run in reverse when a later step fails. */
export interface UndoList {
  push(step: () => void): void;
}

/**
 * Runs `job`; when it throws, takes back what it noted and throws the same error, extended by what
 * could not be undone. `onUndone` is called when nothing was left behind.
 */
export function withUndo<T>(job: (undo: UndoList) => T, onUndone?: () => void): T {
  const steps: (() => void)[] = [];
  try {
    return job(steps);
  } catch (thrown) {
    const errors = failuresOf(steps.reverse());
    if (errors.length > 0) throw joinErrors([thrown, ...errors], 'undo was not complete');
    onUndone?.();
    throw thrown;
  }
}
