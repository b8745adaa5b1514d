import { describe, expect, test } from 'vitest';
import type { CleanupOptions } from '../../../src/agent/cleanup/leftover.ts';
import type { AgentConfig } from '../../../src/agent/config/agent-config.ts';
import { parseKubeProxyConfig } from '../../../src/agent/config/kube-proxy-config.ts';
import { parseCommandLine } from '../../../src/cli/command-line.ts';
import type { CommandEffects } from '../../../src/cli/effects.ts';
import { runCommand } from '../../../src/cli/run-command.ts';
import { ConfigError, IoError } from '../../../src/util/errors.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const KUBE_PROXY_FILE =
  'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: nftables\n';

interface Outcome {
  code: number;
  out: string;
  err: string;
  configs: AgentConfig[];
  files: Map<string, string>;
}

async function run(line: string, overrides: Partial<CommandEffects> = {}): Promise<Outcome> {
  const files = new Map([
    ['weft.yaml', 'components: [cni]\nrunDir: /run/file\n'],
    ['config.conf', KUBE_PROXY_FILE],
  ]);
  const outcome: Outcome = { code: -1, out: '', err: '', configs: [], files };
  outcome.code = await runCommand(() => parseCommandLine(line.split(' ')), {
    surroundings: { hostname: 'node-a', environment: {} },
    versions: { weft: '1.2.3', node: 'v20.0.0' },
    runAgent: async (config) => void outcome.configs.push(config),
    cleanup: async () => ({ removed: ['table ip weft-proxy', 'table ip6 weft-proxy'], kept: [] }),
    runDir: '/run/default',
    askAgent: () => Promise.reject(new IoError('no agent')),
    checkWithoutAgent: async () => {
      throw new Error('not to be checked');
    },
    readDiskStatus: () => {
      throw new Error('nothing on record');
    },
    readNodeRecords: () => {
      throw new Error('nothing on record');
    },
    clock: new FakeClock(),
    isScreen: false,
    isTerminal: false,
    lockConnectivityTest: async () => () => {},
    openApi: () => Promise.reject(new Error('no API server')),
    onInterrupt: () => () => {},
    wait: () => Promise.reject(new Error('nobody waits')),
    dropIn: async (flags) => [{ name: JSON.stringify(flags), action: 'none' }],
    servePage: () => Promise.reject(new Error('not asked for')),
    sysdump: () => Promise.reject(new Error('nothing is collected')),
    readManifests: () => Promise.reject(new Error('no manifests')),
    readFile: (path) => {
      const text = files.get(path);
      if (text === undefined) throw Object.assign(new Error('open'), { code: 'ENOENT' });
      return text;
    },
    configPaths: (path) => [path],
    writeFile: (path, text) => void files.set(path, text),
    print: (text) => {
      outcome.out += text;
    },
    printError: (text) => {
      outcome.err += text;
    },
    ...overrides,
  });
  return outcome;
}

describe('agent', () => {
  test('--init-only', async () => {
    const { configs } = await run('agent --config weft.yaml --init-only');
    expect(configs).toMatchObject([{ isInitOnly: true }]);
  });

  test('a directory of files is one configuration', async () => {
    const texts = new Map([
      ['/etc/weft/10.yaml', 'components: [cni]\nrunDir: /run/ten\n'],
      ['/etc/weft/50.yaml', 'runDir: /run/fifty\n'],
    ]);
    const { configs } = await run('agent --config /etc/weft', {
      configPaths: () => [...texts.keys()],
      readFile: (path) => texts.get(path) ?? '',
    });
    expect(configs).toMatchObject([{ components: new Set(['cni']), runDir: '/run/fifty' }]);
  });

  test('flags over file', async () => {
    const { code, configs } = await run('agent --config weft.yaml --run-dir /run/flag');
    expect([code, configs]).toMatchObject([
      0,
      [{ components: new Set(['cni']), runDir: '/run/flag', nodeName: 'node-a' }],
    ]);
  });

  test('--proxy-mode replaces proxy.mode, and a wrong one is named by the flag', async () => {
    const { configs } = await run('agent --manifests /m --components proxy --proxy-mode ipvs');
    expect(configs).toMatchObject([{ proxy: { mode: 'ipvs' }, kubeProxy: { mode: 'ipvs' } }]);
    const { code, err } = await run('agent --manifests /m --components proxy --proxy-mode x');
    expect([code, err]).toEqual([2, expect.stringContaining('--proxy-mode: expected nftables')]);
  });

  test('a repeated flag counts the last time', async () => {
    const { configs } = await run('agent --components proxy --components cni');
    expect(configs).toMatchObject([{ components: new Set(['cni']) }]);
  });

  test('failure of the agent is exit code 1 with the reason', async () => {
    const { code, err } = await run('agent --components cni', {
      runAgent: () => Promise.reject(new IoError('create directory /run/weft: EROFS')),
    });
    expect([code, err]).toEqual([1, 'weft: create directory /run/weft: EROFS\n']);
  });
});

describe('the file is read again by the agent', () => {
  test.each([
    [
      'agent --config weft.yaml --run-dir /run/flag',
      'weft.yaml',
      'components: [cni]\nlogLevel: warn\n',
    ],
    ['proxy --config config.conf', 'config.conf', `${KUBE_PROXY_FILE}logging: {verbosity: 4}\n`],
  ])('%s', async (line, path, text) => {
    const levels: string[] = [];
    const { files } = await run(line, {
      runAgent: async (config, source) => {
        expect(source?.path).toBe(path);
        levels.push(config.logLevel);
        readAgain = () => source?.read();
      },
    });
    files.set(path, text);
    levels.push(readAgain()?.logLevel ?? '');
    files.set(path, 'components: nonsense\n');
    expect(readAgain).toThrow(ConfigError);
    files.delete(path);
    expect(readAgain).toThrow(IoError);
    expect(levels).toEqual(['info', line.startsWith('agent') ? 'warn' : 'debug']);
  });

  let readAgain: () => AgentConfig | undefined = () => undefined;

  test('flags alone are not followed', async () => {
    const sources: unknown[] = [];
    await run('agent --components cni', {
      runAgent: async (_config, source) => void sources.push(source),
    });
    expect(sources).toEqual([undefined]);
  });
});

describe('install', () => {
  test.each([
    [
      '--drop-in',
      { cniBin: '/opt/cni/bin', cniConfDir: '/etc/cni/net.d', isUndo: false, isDryRun: false },
    ],
    [
      '--drop-in --undo --cni-bin /x',
      { cniBin: '/x', cniConfDir: '/etc/cni/net.d', isUndo: true, isDryRun: false },
    ],
  ])('%s', async (flags, want) => {
    const { code, out } = await run(`install ${flags}`);
    expect([code, out]).toEqual([0, `${JSON.stringify(want)} stays as it is\n`]);
  });

  test('--dry-run says so first', async () => {
    const { out } = await run('install --drop-in --dry-run');
    expect(out).toMatch(/^nothing is changed; .*\n.*"isDryRun":true.* would stay as it is\n$/);
  });

  test('as JSON', async () => {
    const { out } = await run('install --drop-in --dry-run --output json');
    expect(JSON.parse(out)).toMatchObject({ isDryRun: true, steps: [{ action: 'none' }] });
  });

  test('nothing to install', async () => {
    const { code, err } = await run('install --undo');
    expect([code, err]).toEqual([
      2,
      'weft: say what to install: --drop-in; see weft install --help\n',
    ]);
  });
});

describe('proxy', () => {
  test('runs the proxy component alone', async () => {
    const { code, configs } = await run('proxy --config config.conf --hostname-override B');
    expect([code, configs]).toMatchObject([
      0,
      [{ components: new Set(['proxy']), nodeName: 'b', proxy: { mode: 'nftables' } }],
    ]);
  });

  test('has the run directory of weft agent', async () => {
    const { configs } = await run('proxy --config config.conf --run-dir /run/other');
    expect(configs).toMatchObject([{ runDir: '/run/other' }]);
  });

  test('--write-config-to writes what parses to the same, and runs nothing', async () => {
    const { configs, files } = await run('proxy --cluster-cidr 10.0.0.0/8 --write-config-to out');
    const { config } = parseKubeProxyConfig(files.get('out') ?? '', 'out');
    expect([config.clusterCIDR, configs]).toEqual(['10.0.0.0/8', []]);
  });

  test('--cleanup removes and runs nothing', async () => {
    const { out, configs } = await run('proxy --cleanup');
    expect([out, configs]).toEqual([
      'removed table ip weft-proxy\nremoved table ip6 weft-proxy\n',
      [],
    ]);
  });
});

const every = ['cni', 'proxy', 'fabric', 'policy'] as const;
test.each<[string, Partial<CleanupOptions>]>([
  ['cleanup', { components: every, isWhole: false, isDryRun: false, isForced: false }],
  ['cleanup --state-dir /state --run-dir /r', { stateDir: '/state', runDir: '/r' }],
  ['cleanup --all', { components: every, isWhole: true, stateDir: '/var/lib/weft' }],
  ['cleanup', { confDirectory: '/etc/cni/net.d' }],
  ['cleanup --cni-conf-dir /conf', { confDirectory: '/conf' }],
  ['cleanup --component cni --dry-run', { components: ['cni'], isDryRun: true }],
  ['cleanup --component=proxy --force', { components: ['proxy'], isForced: true }],
  [
    'proxy --cleanup --state-dir /state',
    { components: ['proxy'], stateDir: '/state', isForced: true },
  ],
])('%s', async (line, want) => {
  const asked: CleanupOptions[] = [];
  await run(line, {
    cleanup: async (options) => {
      asked.push(options);
      return { removed: [], kept: [] };
    },
  });
  expect(asked).toEqual([expect.objectContaining(want)]);
});

test.each([
  ['cleanup --component dns', '--component: expected cni, proxy, fabric or policy, found "dns"'],
  ['cleanup --all --component cni', '--all is every component: leave out --component'],
  ['cleanup --state-dir=', '--state-dir: expected a directory, found ""'],
  ['cleanup --cni-conf-dir=', '--cni-conf-dir: expected a directory, found ""'],
  ['install --drop-in --cni-conf-dir=', '--cni-conf-dir: expected a directory, found ""'],
  ['install --drop-in --cni-bin=', '--cni-bin: expected a directory, found ""'],
  ['sysdump --cni-conf-dir=', '--cni-conf-dir: expected a directory, found ""'],
  ['policy check --manifests=', '--manifests: expected a directory, found ""'],
])('%s is a usage error', async (line, message) => {
  const { code, err } = await run(line);
  expect([code, err]).toEqual([2, `weft: ${message}\n`]);
});

test.each([
  { name: 'an agent runs', askAgent: async () => ({ components: ['cni'] }), want: ['cni'] },
  {
    name: 'none answers',
    askAgent: () => Promise.reject(new IoError('connect')),
    want: undefined,
  },
])('cleanup knows what is served: $name', async ({ askAgent, want }) => {
  const asked: CleanupOptions[] = [];
  await run('cleanup --component policy', {
    askAgent,
    cleanup: async (options) => {
      asked.push(options);
      return { removed: [], kept: [] };
    },
  });
  expect(asked.map(({ served }) => served)).toEqual([want]);
});

test('cleanup tells what is kept', async () => {
  const cleanup = async () => ({ removed: ['/run/x'], kept: ['host ports 80/tcp of net/a/eth0'] });
  const { code, out } = await run('cleanup --dry-run', { cleanup });
  expect([code, out]).toEqual([
    0,
    'would remove /run/x\nwould keep host ports 80/tcp of net/a/eth0\n' +
      'what is kept is in use; --force removes it all the same\n',
  ]);
});

test('a dry run of cleanup tells that it would be refused, and what would go', async () => {
  const refusal = 'lock run directory /r: the agent with pid 7 is using it';
  const cleanup = async () => ({ refusal, removed: ['/run/x'], kept: [] });
  const { code, out } = await run('cleanup --dry-run', { cleanup });
  expect([code, out]).toEqual([
    0,
    `would be refused: ${refusal}\nonce that is done, this is what would be:\nwould remove /run/x\n`,
  ]);
});

test('cleanup with nothing left', async () => {
  const { code, out } = await run('cleanup', {
    cleanup: async () => ({ removed: [], kept: [] }),
  });
  expect([code, out]).toEqual([0, 'nothing of weft is left on this node\n']);
});

test('version', async () => {
  const out = 'weft 1.2.3 (node v20.0.0)\n';
  expect(await run('version')).toMatchObject({ code: 0, out, err: '' });
  const { out: json } = await run('version --output json');
  expect(JSON.parse(json)).toEqual({ weft: '1.2.3', node: 'v20.0.0' });
});

test('what cleanup did, as JSON', async () => {
  const { out } = await run('cleanup --dry-run --output json');
  const removed = ['table ip weft-proxy', 'table ip6 weft-proxy'];
  expect(JSON.parse(out)).toEqual({ isDryRun: true, removed, kept: [] });
});

test('help goes to standard output', async () => {
  const { code, out, err } = await run('agent --help');
  expect([code, out.startsWith('weft agent [flags]\n'), err]).toEqual([0, true, '']);
});

test.each([
  ['agent --bogus', 2, 'weft: unknown flag --bogus; see weft agent --help\n'],
  [
    'agent --components cni --log-level x',
    2,
    'weft: --log-level: expected trace, debug, info, warn, error, fatal, silent, found "x"\n',
  ],
  ['agent --config absent', 1, 'weft: --config: read absent: ENOENT (no such file or directory)\n'],
  [
    'proxy --oom-score-adj=9999 --proxy-mode=x',
    2,
    'weft: --proxy-mode: expected nftables, iptables, ipvs, userspace, auto or nothing, found "x"\nweft: --oom-score-adj: expected a whole number, -1000 to 1000, found 9999\n',
  ],
  [
    'proxy --config weft.yaml',
    2,
    'weft: weft.yaml: apiVersion: expected kubeproxy.config.k8s.io/v1alpha1, found nothing\n',
  ],
])('%s ends with %d', async (line, code, err) => {
  expect(await run(line)).toMatchObject({ code, out: '', err, configs: [] });
});
