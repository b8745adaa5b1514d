import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DropInOptions, dropIn } from '../../../../src/agent/drop-in/drop-in.ts';
import { stepLines } from '../../../../src/agent/drop-in/text.ts';

const names = ['weft', 'bridge', 'portmap', 'tuning'];

let root: string;
let shim: string;
/** The directory of the shim, as the default is. */
let own: string;
/** A directory of the distribution's. */
let foreign: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'wt-drop-in-')));
  own = join(root, 'opt/cni/bin');
  foreign = join(root, 'usr/lib/cni');
  shim = join(own, 'weft');
  mkdirSync(own, { recursive: true });
  mkdirSync(foreign, { recursive: true });
  writeFileSync(shim, 'the shim');
  for (const directory of [own, foreign]) {
    writeFileSync(join(directory, 'bridge'), 'the reference bridge');
    chmodSync(join(directory, 'bridge'), 0o755);
    symlinkSync('bridge', join(directory, 'portmap'));
    writeFileSync(join(directory, 'macvlan'), 'not ours');
  }
});
afterEach(() => rmSync(root, { recursive: true }));

function run(cniBin: string, change: Partial<DropInOptions> = {}): readonly string[] {
  const options = { cniBin, shim, names, refusals: [], isUndo: false, isDryRun: false, ...change };
  return stepLines(dropIn(options), options.isDryRun);
}

/** Every name with what it is: the target of a link, or the content of a file. */
function listing(directory: string): Record<string, string> {
  const entries = readdirSync(directory).map((name): [string, string] => {
    const path = join(directory, name);
    const isLink = lstatSync(path).isSymbolicLink();
    return [name, isLink ? `-> ${readlinkSync(path)}` : readFileSync(path, 'utf8')];
  });
  return Object.fromEntries(entries);
}

const original = {
  bridge: 'the reference bridge',
  portmap: '-> bridge',
  macvlan: 'not ours',
};

describe('in the directory of the shim', () => {
  test('names become relative links, originals are kept', () => {
    expect(run(own)).toEqual([
      'bridge is weft now; the original is kept as bridge.weft-saved',
      'portmap is weft now; the original is kept as portmap.weft-saved',
      'tuning is weft now; there was no plugin of that name',
    ]);
    expect(listing(own)).toEqual({
      weft: 'the shim',
      bridge: '-> weft',
      'bridge.weft-saved': 'the reference bridge',
      portmap: '-> weft',
      'portmap.weft-saved': '-> bridge',
      tuning: '-> weft',
      macvlan: 'not ours',
      '.weft-drop-in.json': '{"bridge":"saved","portmap":"saved","tuning":"created"}\n',
    });
  });

  test('again: nothing changes', () => {
    run(own);
    const before = listing(own);
    expect(run(own)).toEqual([
      'bridge stays as it is',
      'portmap stays as it is',
      'tuning stays as it is',
    ]);
    expect(listing(own)).toEqual(before);
  });

  test('seen through another path, as a container does', () => {
    run(own);
    cpSync(own, join(root, 'host'), { recursive: true, verbatimSymlinks: true });
    expect(run(join(root, 'host'), { shim: '/nowhere' })[0]).toBe('bridge stays as it is');
  });
});

test('in another directory the links are absolute, and weft itself is among them', () => {
  run(foreign);
  const links = { weft: `-> ${shim}`, bridge: `-> ${shim}`, tuning: `-> ${shim}` };
  expect(listing(foreign)).toMatchObject(links);
});

describe('undo', () => {
  test.each(['own', 'foreign'])('%s: everything is as before', (which) => {
    const directory = which === 'own' ? own : foreign;
    const before = listing(directory);
    run(directory);
    run(directory, { isUndo: true });
    expect(listing(directory)).toEqual(before);
    expect(lstatSync(join(directory, 'bridge')).mode & 0o777).toBe(0o755);
  });

  test('works when the tree is gone', () => {
    run(foreign);
    rmSync(join(root, 'opt'), { recursive: true });
    run(foreign, { isUndo: true });
    expect(listing(foreign)).toEqual(original);
  });

  test('without an install there is nothing to do', () => {
    expect(run(own, { isUndo: true })).toEqual([
      'bridge stays as it is',
      'portmap stays as it is',
      'tuning stays as it is',
    ]);
  });

  test('an original that is missing: nothing is touched', () => {
    run(own);
    rmSync(join(own, 'portmap.weft-saved'));
    const before = listing(own);
    expect(() => run(own, { isUndo: true })).toThrow(/portmap\.weft-saved is missing/);
    expect(listing(own)).toEqual(before);
  });

  test('then installed again', () => {
    run(own);
    const installed = listing(own);
    run(own, { isUndo: true });
    run(own);
    expect(listing(own)).toEqual(installed);
  });
});

describe('after a package wrote over the links', () => {
  function upgrade(content: string): void {
    rmSync(join(own, 'bridge'));
    writeFileSync(join(own, 'bridge'), content);
  }

  test('the same program: replaced again', () => {
    run(own);
    upgrade('the reference bridge');
    expect(run(own)[0]).toMatch(/^bridge is weft now; the original was kept before/);
    run(own, { isUndo: true });
    expect(listing(own)).toEqual({ ...original, weft: 'the shim' });
  });

  test('another program: nothing is touched, and neither is lost', () => {
    run(own);
    upgrade('a newer bridge');
    const before = listing(own);
    expect(() => run(own)).toThrow(/bridge and bridge\.weft-saved are two different programs/);
    expect(listing(own)).toEqual(before);
  });

  test('undo leaves the newer one', () => {
    run(own);
    upgrade('a newer bridge');
    expect(run(own, { isUndo: true })[0]).toBe('bridge stays as it is');
    expect(listing(own)).toMatchObject({ bridge: 'a newer bridge', portmap: '-> bridge' });
  });
});

test.each([false, true])('dry run, undo %s: tells, touches nothing', (isUndo) => {
  if (isUndo) run(own);
  const before = listing(own);
  const lines = run(own, { isUndo, isDryRun: true });
  expect(lines[0]).toBe(
    isUndo
      ? 'bridge would be the original again'
      : 'bridge would be weft; the original would be kept as bridge.weft-saved',
  );
  expect(listing(own)).toEqual(before);
});

test.each([false, true])(
  'a name that a network would fail under is not taken, dry run %s',
  (isDryRun) => {
    const where = { file: '10-net.conflist', network: 'net' };
    const refusals = [
      { plugin: 'portmap', ...where, reason: 'conditionsV4: cannot be' },
      { plugin: 'portmap', ...where, file: '20.conf', reason: 'other' },
      { plugin: 'macvlan', ...where, reason: 'none of ours' },
    ];
    const lines = run(own, { refusals, isDryRun });
    expect(lines).toEqual([
      isDryRun
        ? 'bridge would be weft; the original would be kept as bridge.weft-saved'
        : 'bridge is weft now; the original is kept as bridge.weft-saved',
      `portmap ${isDryRun ? 'would stay' : 'stays'} as it is, pods would fail under weft:`,
      '  10-net.conflist, network "net": conditionsV4: cannot be',
      '  20.conf, network "net": other',
      isDryRun
        ? 'tuning would be weft; there is no plugin of that name'
        : 'tuning is weft now; there was no plugin of that name',
    ]);
    expect(listing(own)).toMatchObject({ portmap: '-> bridge' });
    expect(listing(own)).not.toHaveProperty('portmap.weft-saved');
  },
);

describe('errors name what is missing', () => {
  test('directory', () => {
    expect(() => run(join(root, 'no'))).toThrow(
      `no directory ${root}/no: choose one with --cni-bin`,
    );
  });
  test('shim', () => {
    const missing = join(root, 'no/weft');
    expect(() => run(foreign, { shim: missing })).toThrow(
      `no CNI executable of weft at ${missing}`,
    );
    expect(existsSync(join(foreign, '.weft-drop-in.json'))).toBe(false);
  });
  test('damaged notes', () => {
    writeFileSync(join(own, '.weft-drop-in.json'), '{');
    expect(() => run(own)).toThrow(/^read .*\.weft-drop-in\.json: /);
  });
});
