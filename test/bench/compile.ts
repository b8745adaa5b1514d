import { join } from 'node:path';
import { compileC } from '../support/compile-c.ts';

/** Builds `<name>.c` of this folder into a directory and gives the program's path. */
export function compile(directory: string, name: string): string {
  return compileC(join(directory, name), [new URL(`${name}.c`, import.meta.url).pathname]);
}
