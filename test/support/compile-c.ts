import { execFileSync } from 'node:child_process';

/** Builds a program of these sources and gives its path. */
export function compileC(program: string, sources: readonly string[]): string {
  execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', program, ...sources]);
  return program;
}
