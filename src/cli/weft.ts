#!/usr/bin/env node
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { runAgent } from '../agent/agent.ts';
import { checkWithoutAgent } from '../agent/checks/without-agent.ts';
import { cleanup } from '../agent/cleanup/cleanup.ts';
import { configPaths } from '../agent/config-paths.ts';
import { askAgent } from '../agent/debug/client.ts';
import { readDiskStatus } from '../agent/debug/disk-status.ts';
import { readNodeRecords } from '../agent/debug/lists/on-record.ts';
import { dropIn } from '../agent/drop-in/drop-in.ts';
import { servePageOf } from '../agent/page/remote.ts';
import { sysdump } from '../agent/sysdump/sysdump.ts';
import { WEFT_VERSION } from '../agent/version.ts';
import { readNetworkConfigs } from '../cni/network-configs.ts';
import { configRefusals } from '../cni/refusals.ts';
import { PLUGIN_NAMES } from '../cni/registry.ts';
import { DEFAULT_RUN_DIRECTORY } from '../cni/run-directory.ts';
import { readKubeconfig } from '../kube/access/kubeconfig.ts';
import { ApiClient } from '../kube/api/client.ts';
import { readManifests } from '../kube/manifests/read-manifests.ts';
import { systemClock } from '../util/clock.ts';
import { parseCommandLine } from './command-line.ts';
import { runCommand } from './run-command.ts';

// Where an installed tree has it, seen from the bundle in opt/weft/lib.
const shim = join(import.meta.dirname, '../../cni/bin/weft');
const { argv, env, exit, stderr, stdout } = process;
// Whoever reads has had enough, as `head` has.
stdout.on('error', () => exit(1));
const runDir = env['WEFT_RUN_DIR'] || DEFAULT_RUN_DIRECTORY;

const code = await runCommand(() => parseCommandLine(argv.slice(2)), {
  surroundings: { hostname: hostname(), environment: env },
  versions: { weft: WEFT_VERSION, node: process.version },
  runAgent,
  cleanup,
  runDir,
  askAgent,
  readDiskStatus,
  checkWithoutAgent,
  readNodeRecords,
  clock: systemClock,
  isScreen: stdout.isTTY === true && env['TERM'] !== 'dumb',
  isTerminal: stdout.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb',
  dropIn: ({ cniConfDir, ...flags }) => {
    const refusals = configRefusals(readNetworkConfigs(cniConfDir), PLUGIN_NAMES);
    return dropIn({ ...flags, shim, names: PLUGIN_NAMES, refusals });
  },
  servePage: async (options) => {
    const { url, close } = await servePageOf(options);
    const ended = once(process, 'SIGINT').then(close);
    return { url, ended };
  },
  openApi: async (kubeconfig) => {
    const access = await readKubeconfig(kubeconfig, { clock: systemClock, environment: env });
    const { random } = Math;
    return new ApiClient({ access, version: WEFT_VERSION, clock: systemClock, random });
  },
  onInterrupt: (listener) => {
    const signals = ['SIGINT', 'SIGTERM'] as const;
    for (const signal of signals) process.once(signal, listener);
    return () => {
      for (const signal of signals) process.off(signal, listener);
    };
  },
  wait: (ms) => setTimeout(ms),
  sysdump: (options) => sysdump(options),
  readManifests,
  readFile: (path) => readFileSync(path === '-' ? 0 : path, 'utf8'),
  configPaths,
  writeFile: (path, text) => writeFileSync(path, text),
  print: (text) => void stdout.write(text),
  printError: (text) => void stderr.write(text),
});
// What a pipe has not taken yet would be lost.
await new Promise<void>((resolve) => stdout.write('', () => resolve()));
exit(code);
