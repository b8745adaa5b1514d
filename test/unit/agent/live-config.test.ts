import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AgentConfig, resolveAgentConfig } from '../../../src/agent/config/agent-config.ts';
import { configPaths } from '../../../src/agent/config-paths.ts';
import { watchFile } from '../../../src/agent/file-watch.ts';
import { LiveConfig, type ReloadResult, reload } from '../../../src/agent/live-config.ts';
import { systemClock } from '../../../src/util/clock.ts';
import { ConfigError, IoError } from '../../../src/util/errors.ts';
import { createLogger } from '../../../src/util/log.ts';

function config(text: string): AgentConfig {
  const surroundings = { hostname: 'node-a', environment: {} };
  return resolveAgentConfig({}, [{ path: 'weft.yaml', text }], surroundings);
}

const BASE = 'manifests: /objects\n';

describe('reload', () => {
  function reloadWith(read: () => AgentConfig) {
    const live = new LiveConfig(config(BASE));
    const told: AgentConfig[] = [];
    const lines: { msg: string; reason?: string; keys?: string[] }[] = [];
    live.follow((changed) => told.push(changed));
    const log = createLogger('info', { write: (line: string) => lines.push(JSON.parse(line)) });
    const result = reload({ source: { path: 'weft.yaml', read }, live, log });
    return { result, told, lines, live };
  }

  test.each<[string, () => AgentConfig, ReloadResult, string[]]>([
    [
      'a live key',
      () => config(`${BASE}proxy: {clusterCIDR: 10.0.0.0/8}\n`),
      'applied',
      ['configuration reloaded'],
    ],
    [
      'a fixed key',
      () => config(`${BASE}runDir: /run/other\n`),
      'restart_needed',
      ['configuration keys need a restart, old values kept'],
    ],
    ['a comment', () => config(`# nothing\n${BASE}`), 'unchanged', []],
    [
      'a wrong file',
      () => {
        throw new ConfigError('proxy.mode', 'weft.yaml:2: proxy.mode: expected nftables');
      },
      'invalid',
      ['configuration file not usable, the running one is kept'],
    ],
    [
      'a file that is gone',
      () => {
        throw new IoError('--config: read weft.yaml: ENOENT');
      },
      'invalid',
      ['configuration file not usable, the running one is kept'],
    ],
  ])('%s', (_name, read, want, messages) => {
    const { result, told, lines, live } = reloadWith(read);
    expect([result, lines.map(({ msg }) => msg), told.length]).toEqual([
      want,
      messages,
      want === 'applied' ? 1 : 0,
    ]);
    expect(live.current.proxy.clusterCIDRs).toEqual(want === 'applied' ? ['10.0.0.0/8'] : []);
  });

  test('the reason and the keys are told', () => {
    const wrong = reloadWith(() => config(`${BASE}proxy: {clusterCIDR: nonsense}\n`));
    expect(wrong.lines[0]?.reason).toMatch(/^weft.yaml:2: .*clusterCIDR: .*nonsense/);
    const fixed = reloadWith(() => config(`${BASE}runDir: /run/other\n`));
    expect(fixed.lines[0]?.keys).toEqual(['runDir']);
  });
});

describe('watchFile', () => {
  let directory: string;
  let changes: number;
  let watch: { close(): void } | undefined;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'weft-watch-'));
    changes = 0;
  });
  afterEach(() => {
    watch?.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const follow = (path: string) => {
    watch = watchFile(path, {
      clock: systemClock,
      onChange: () => {
        changes++;
      },
      onFailure: (error) => {
        throw error;
      },
    });
  };
  const seen = (count: number) => expect.poll(() => changes, { timeout: 5_000 }).toBe(count);

  test('writing in place, the same again, replacing, removing and coming back', async () => {
    const path = join(directory, 'config');
    writeFileSync(path, 'one');
    follow(path);
    writeFileSync(path, 'two');
    await seen(1);
    writeFileSync(path, 'two');
    writeFileSync(join(directory, 'new'), 'three');
    renameSync(join(directory, 'new'), path);
    await seen(2);
    rmSync(path);
    await seen(3);
    writeFileSync(path, 'three');
    await seen(4);
  });

  test('a ConfigMap volume: the link that leads to the file gets another target', async () => {
    for (const version of ['v1', 'v2']) {
      mkdirSync(join(directory, version));
      writeFileSync(join(directory, version, 'config.conf'), version);
    }
    symlinkSync('v1', join(directory, '..data'));
    symlinkSync('..data/config.conf', join(directory, 'config.conf'));
    follow(join(directory, 'config.conf'));
    symlinkSync('v2', join(directory, '..data_tmp'));
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
    await seen(1);
  });

  test('a directory: a file of it changes, comes and goes; others do not count', async () => {
    writeFileSync(join(directory, '10-weft.yaml'), 'one');
    writeFileSync(join(directory, '.hidden.yaml'), 'one');
    follow(directory);
    expect(configPaths(directory)).toEqual([join(directory, '10-weft.yaml')]);
    writeFileSync(join(directory, '.hidden.yaml'), 'two');
    writeFileSync(join(directory, '50-more.yaml'), 'one');
    await seen(1);
    writeFileSync(join(directory, '10-weft.yaml'), 'two');
    await seen(2);
    rmSync(join(directory, '50-more.yaml'));
    await seen(3);
  });

  test.each(['config', 'other'])(
    'writes to %s without a pause do not hide a change',
    async (name) => {
      const path = join(directory, 'config');
      writeFileSync(path, 'one');
      follow(path);
      writeFileSync(path, 'two');
      const noise = setInterval(() => writeFileSync(join(directory, name), 'two'), 20);
      await seen(1);
      clearInterval(noise);
    },
  );

  test('many writes in a row are one change', async () => {
    const path = join(directory, 'config');
    writeFileSync(path, '');
    follow(path);
    for (let index = 0; index < 20; index++) writeFileSync(path, `half-written ${index}`);
    await seen(1);
  });
});
