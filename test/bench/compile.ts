import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Builds `<name>.c` of this folder into a directory and gives the program's path. */
export function compile(directory: string, name: string): string {
  const program = join(directory, name);
  const source = new URL(`${name}.c`, import.meta.url).pathname;
  execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', program, source]);
  return program;
}
