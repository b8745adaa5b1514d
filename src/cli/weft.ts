#!/usr/bin/env node
/**
 * The program `weft`. What asks a running agent and prints the answer is loaded with it; the agent and what reads
 * or changes the node comes when a command needs it.
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { configPaths } from '../agent/config-paths.ts';
import { askAgent } from '../agent/debug/client.ts';
import { WEFT_VERSION } from '../agent/version.ts';
import { DEFAULT_RUN_DIRECTORY } from '../cni/run-directory.ts';
import { systemClock } from '../util/clock.ts';
import { parseCommandLine } from './command-line.ts';
import { runCommand } from './run-command.ts';

// Where an installed tree has it, seen from the bundle in opt/weft/lib.
const shim = join(import.meta.dirname, '../../cni/bin/weft');
const { argv, env, exit, stderr, stdout } = process;
// Whoever reads has had enough, as `head` has.
stdout.on('error', () => exit(1));
const runDir = env['WEFT_RUN_DIR'] || DEFAULT_RUN_DIRECTORY;
const work = () => import('./node-work.ts');
const records = () => import('./records.ts');

const code = await runCommand(() => parseCommandLine(argv.slice(2)), {
  surroundings: { hostname: hostname(), environment: env },
  versions: { weft: WEFT_VERSION, node: process.version },
  runAgent: async (...args) => (await work()).runAgent(...args),
  cleanup: async (options) => (await work()).cleanup(options),
  runDir,
  askAgent,
  readDiskStatus: async (directory) => (await records()).readDiskStatus(directory),
  checkWithoutAgent: async (directory) => (await work()).checkWithoutAgent(directory),
  readNodeRecords: async (directory) => (await records()).readNodeRecords(directory),
  clock: systemClock,
  isScreen: stdout.isTTY === true && env['TERM'] !== 'dumb',
  isTerminal: stdout.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb',
  dropIn: async (flags) => (await work()).dropInNames(flags, shim),
  servePage: async (options) => {
    const { url, close } = await (await work()).servePageOf(options);
    const ended = once(process, 'SIGINT').then(close);
    return { url, ended };
  },
  openApi: async (kubeconfig) => (await work()).openApi(kubeconfig, env),
  lockConnectivityTest: async (directory) => (await work()).lockTest(directory),
  onInterrupt: (listener) => {
    const signals = ['SIGINT', 'SIGTERM'] as const;
    for (const signal of signals) process.once(signal, listener);
    return () => {
      for (const signal of signals) process.off(signal, listener);
    };
  },
  wait: (ms) => setTimeout(ms),
  sysdump: async (options) => (await work()).sysdump(options),
  readManifests: async (...args) => (await work()).readManifests(...args),
  readFile: (path) => readFileSync(path === '-' ? 0 : path, 'utf8'),
  configPaths,
  writeFile: (path, text) => writeFileSync(path, text),
  print: (text) => void stdout.write(text),
  printError: (text) => void stderr.write(text),
});
// What a pipe has not taken yet would be lost.
await new Promise<void>((resolve) => stdout.write('', () => resolve()));
exit(code);
