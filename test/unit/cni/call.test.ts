import { describe, expect, test } from 'vitest';
import { attachmentKey, hostVethName } from '../../../src/cni/attachment.ts';
import { runVerb, runVerbs } from '../../../src/cni/call.ts';
import { CniError } from '../../../src/cni/protocol/errors.ts';
import { RUN_STANDALONE } from '../../../src/cni/protocol/frame.ts';
import type { Outcome } from '../../../src/cni/protocol/outcome.ts';
import { parseIPWithPrefix } from '../../../src/net/cidr.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { FakeNode } from './fake-node.ts';

const config = {
  cniVersion: '1.0.0',
  name: 'net',
  type: 'weft',
  isDefaultGateway: true,
  ipMasq: true,
  hairpinMode: true,
  ipam: { type: 'host-local', subnet: '10.1.2.0/24' },
};
const attachment = { network: 'net', containerId: 'pod-1', ifName: 'eth0' };
const env = {
  CNI_CONTAINERID: 'pod-1',
  CNI_NETNS: 'pod',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
};

function run(node: FakeNode, command: string, change: object = {}, conf: object = config): Outcome {
  return runVerb(
    {
      env: { ...env, CNI_COMMAND: command, ...change },
      readStdin: () => Buffer.from(JSON.stringify(conf)),
    },
    node,
  );
}

function errorOf({ exitCode, stdout }: Outcome): unknown {
  return exitCode === 0 ? 'success' : JSON.parse(stdout);
}

const empty = { links: [], neighbours: [], elements: [], reservations: [], unfinished: [] };

/** Calls of a whole ADD on a fresh node: each of them is a place to fail. */
const calls = (() => {
  const node = new FakeNode();
  run(node, 'ADD');
  return node.calls;
})();

describe('ADD', () => {
  test('leaves what the pod needs and nothing unfinished', () => {
    const node = new FakeNode();
    expect(errorOf(run(node, 'ADD'))).toBe('success');
    expect(node.footprint).toEqual({
      ...empty,
      links: ['eth0', hostVethName(attachment)],
      neighbours: ['10.1.2.2'],
      elements: ['10.1.2.2'],
      reservations: ['10.1.2.2'],
    });
  });

  test.each(calls.map((call, position) => [position, call] as const))(
    'failing at call %i (%s) leaves nothing, and the next ADD works',
    (position) => {
      const node = new FakeNode();
      node.failAt = position;
      expect(errorOf(run(node, 'ADD'))).toMatchObject({
        code: 999,
        msg: `injected into ${calls[position]}`,
      });
      expect(node.footprint).toEqual(empty);
      node.failAt = undefined;
      expect(errorOf(run(node, 'ADD'))).toBe('success');
    },
  );

  test.each([
    { when: 'before it began', goneAt: 1 },
    { when: 'when it had waited for others', goneAt: 2 },
    { when: 'when everything was made', goneAt: 3 },
  ])('whose caller gave up $when leaves nothing', ({ goneAt }) => {
    const node = new FakeNode();
    let asked = 0;
    const outcome = runVerb(
      {
        env: { ...env, CNI_COMMAND: 'ADD' },
        readStdin: () => Buffer.from(JSON.stringify(config)),
        isCallerGone: () => ++asked >= goneAt,
      },
      node,
    );
    expect(errorOf(outcome)).toMatchObject({ code: 11, msg: 'the caller has given up waiting' });
    expect(node.footprint).toEqual(empty);
    expect(asked).toBe(goneAt);
  });

  test('a second pod costs one nft batch', () => {
    const node = new FakeNode();
    run(node, 'ADD');
    run(node, 'DEL');
    node.commits = 0;
    run(node, 'ADD');
    expect(node.commits).toBe(1);
  });

  test('an element left by a former owner of the address is replaced', () => {
    const node = new FakeNode();
    run(node, 'ADD');
    node.chains.add('other');
    node.elements.set('10.1.2.2', 'goto other');
    node.links.splice(0, node.links.length);
    expect(errorOf(run(node, 'ADD'))).toBe('success');
    expect(node.elements.get('10.1.2.2')).toBe('goto masquerade-10.1.2.0-24');
  });

  test('an interface of that name is refused before anything is touched', () => {
    const node = new FakeNode();
    run(node, 'ADD');
    const before = node.footprint;
    node.calls.length = 0;
    expect(errorOf(run(node, 'ADD'))).toMatchObject({
      msg: `container veth name ("eth0") peer provided ("${hostVethName(attachment)}") already exists`,
    });
    expect({ footprint: node.footprint, calls: node.calls }).toEqual({
      footprint: before,
      calls: [],
    });
  });

  test('what a killed ADD left is removed first', () => {
    const node = new FakeNode();
    run(node, 'ADD');
    node.unfinished.add(attachmentKey(attachment));
    expect(errorOf(run(node, 'ADD'))).toBe('success');
    expect(node.unfinished.size).toBe(0);
  });

  test('what the same execution has made is made again, what another has made is refused', () => {
    const node = new FakeNode();
    const addAs = (call: string) => errorOf(run(node, 'ADD', { WEFT_CALL: call }));
    expect(addAs('first')).toBe('success');
    expect(addAs('first')).toBe('success');
    expect(addAs('second')).toMatchObject({ msg: expect.stringContaining('already exists') });
    expect(errorOf(run(node, 'ADD'))).toMatchObject({
      msg: expect.stringContaining('already exists'),
    });
  });

  test('the namespace of the node itself is refused before anything is touched [19]', () => {
    const node = new FakeNode();
    expect(errorOf(run(node, 'ADD', { CNI_NETNS: 'host' }))).toMatchObject({
      code: 8,
      msg: "plugin's netns and netns from CNI_NETNS should not be the same",
    });
    expect(node.calls).toEqual([]);
    expect(run(node, 'ADD', { CNI_NETNS: 'host', CNI_NETNS_OVERRIDE: '1' }).exitCode).toBe(0);
  });

  test('a name that is no bridge is refused', () => {
    const node = new FakeNode();
    expect(errorOf(run(node, 'ADD', {}, { ...config, bridge: 'lo' }))).toMatchObject({
      msg: '"lo" already exists but is not a bridge',
    });
    expect(node.footprint).toEqual(empty);
  });

  test.each(['0.1.0', '0.2.0'])('layer 2 has no result in %s and makes nothing [78]', (version) => {
    const node = new FakeNode();
    const conf = { name: 'net', cniVersion: version, ipMasq: true };
    expect(errorOf(run(node, 'ADD', {}, conf))).toMatchObject({
      msg: 'cannot convert: no valid IP addresses',
    });
    expect(node.calls).toEqual([]);
  });
});

describe('bridge addresses [84]', () => {
  function addWith(present: string, prefixLength: number, change: object = {}) {
    const node = new FakeNode();
    run(node, 'ADD', {}, { cniVersion: '1.0.0', name: 'net' });
    run(node, 'DEL');
    const bridge = node.links.find(({ kind }) => kind === 'bridge')?.index ?? 0;
    const address = parseIP(present);
    node.addresses.push({ address, prefixLength, scope: 'global', netns: 'host', link: bridge });
    const outcome = errorOf(run(node, 'ADD', {}, { ...config, ...change }));
    const left = node.addresses.filter(({ link }) => link === bridge);
    return { outcome, left: left.map((a) => `${a.address}/${a.prefixLength}`) };
  }

  test.each<[string, string, number, object, string[]]>([
    ['the same stays', '10.1.2.1', 24, {}, ['10.1.2.1/24']],
    ['another is replaced by force', '10.9.0.1', 16, { forceAddress: true }, ['10.1.2.1/24']],
    ['the other family stays', 'fd00::1', 64, {}, ['fd00::1/64', '10.1.2.1/24']],
  ])('%s', (_name, present, length, change, left) => {
    expect(addWith(present, length, change)).toEqual({ outcome: 'success', left });
  });

  test('another IPv4 address is an error', () => {
    expect(addWith('10.9.0.1', 16).outcome).toMatchObject({
      msg: '"cni0" already has an IP address different from 10.1.2.1/24',
    });
  });
});

describe('DEL', () => {
  test('whose caller gave up is carried out, a GC is not', () => {
    const node = new FakeNode();
    run(node, 'ADD');
    const abandoned = (command: string, conf: object) =>
      runVerb(
        {
          env: { ...env, CNI_COMMAND: command },
          readStdin: () => Buffer.from(JSON.stringify(conf)),
          isCallerGone: () => true,
        },
        node,
      );
    const gc = { ...config, cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] };
    expect(errorOf(abandoned('GC', gc))).toMatchObject({ code: 11 });
    expect(node.footprint).not.toEqual(empty);
    expect(errorOf(abandoned('DEL', config))).toBe('success');
    expect(node.footprint).toEqual(empty);
  });

  test.each([
    ['with the namespace', {}],
    ['without CNI_NETNS', { CNI_NETNS: '' }],
    ['with another namespace at the path', { CNI_NETNS: 'elsewhere' }],
  ])('%s removes everything and can be repeated', (_name, change) => {
    const node = new FakeNode();
    run(node, 'ADD');
    expect(run(node, 'DEL', change)).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
    expect(node.footprint).toEqual(empty);
    expect(errorOf(run(node, 'DEL', change))).toBe('success');
  });

  test('of something never added succeeds [81]', () => {
    expect(errorOf(run(new FakeNode(), 'DEL'))).toBe('success');
  });

  test.each([null, 'x', {}, { cniVersion: '9.9.9' }, { ips: [{ address: 'x' }] }])(
    '[43] does not need prevResult %j',
    (prevResult) => {
      const node = new FakeNode();
      run(node, 'ADD');
      const outcome = run(node, 'DEL', { CNI_NETNS: '' }, { ...config, prevResult });
      expect(outcome).toMatchObject({ exitCode: 0, stdout: '' });
      expect(node.footprint).toEqual(new FakeNode().footprint);
    },
  );

  test('does not look at ranges', () => {
    const node = new FakeNode();
    run(node, 'ADD');
    const broken = { ...config, mtu: 'x', ipam: { type: 'host-local', ranges: 5 } };
    expect(errorOf(run(node, 'DEL', { CNI_ARGS: 'x' }, broken))).toBe('success');
    expect(node.footprint).toEqual(empty);
  });

  test('waits once for an ADD in a pod, whatever the number of its interfaces', () => {
    const node = new FakeNode();
    let claims = 0;
    let releases = 0;
    Object.assign(node.kernel, {
      claimNetns: () => {
        claims += 1;
        return () => {
          releases += 1;
        };
      },
    });
    const invocations = ['eth0', 'eth1'].map((ifName) => ({
      env: { ...env, CNI_COMMAND: 'DEL', CNI_IFNAME: ifName },
      readStdin: () => Buffer.from(JSON.stringify(config)),
    }));
    const outcomes = runVerbs(invocations, node);
    expect(outcomes.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect([claims, releases]).toEqual([1, 1]);
  });

  test('spares the link of another pod that the path leads to by now', () => {
    const node = new FakeNode();
    run(node, 'ADD');
    run(node, 'ADD', { CNI_CONTAINERID: 'pod-2', CNI_NETNS: 'second' });
    run(node, 'DEL', { CNI_NETNS: 'second' });
    expect(node.links.map(({ netns, name }) => [netns, name])).toContainEqual(['second', 'eth0']);
    expect(node.links.map(({ netns, name }) => [netns, name])).not.toContainEqual(['pod', 'eth0']);
  });

  test('refuses the namespace of the node', () => {
    expect(errorOf(run(new FakeNode(), 'DEL', { CNI_NETNS: 'host' }))).toMatchObject({ code: 8 });
  });

  test('finds elements although the configuration has no ipMasq any more', () => {
    const node = new FakeNode();
    run(node, 'ADD');
    run(node, 'DEL', {}, { ...config, ipMasq: false });
    expect(node.footprint).toEqual(empty);
  });

  test('sends no nft batch on a node that masquerades nothing', () => {
    const node = new FakeNode();
    run(node, 'ADD', {}, { ...config, ipMasq: false });
    run(node, 'DEL', {}, { ...config, ipMasq: false });
    expect(node.commits).toBe(0);
  });
});

describe('another IPAM plugin', () => {
  const foreign = { ...config, ipam: { type: 'dhcp' } };

  test.each(['ADD', 'DEL', 'CHECK', 'STATUS', 'GC'])(
    '%s is left to the standalone where nothing is executed, before anything is touched',
    (command) => {
      const node = new FakeNode();
      const outcome = run(node, command, {}, { ...foreign, cniVersion: '1.1.0' });
      expect(outcome).toMatchObject({ exitCode: RUN_STANDALONE, stdout: '', stderr: '' });
      expect([node.calls, node.footprint]).toEqual([[], empty]);
    },
  );

  test('gives addresses on ADD and gets them back on DEL, as the last', () => {
    const node = new FakeNode();
    const asked: string[] = [];
    const lease = { ips: [{ address: parseIPWithPrefix('10.1.2.7/24') }], dns: {} };
    const ask = (verb: string) => () => {
      asked.push(`${verb} ${node.links.filter(({ kind }) => kind === 'veth').length}`);
      return lease;
    };
    node.foreignIpam = {
      canExec: true,
      add: ask('ADD'),
      del: ask('DEL'),
      check: ask('CHECK'),
      status: ask('STATUS'),
      gc: ask('GC'),
    };
    expect(run(node, 'ADD', {}, foreign).stdout).toContain('"10.1.2.7/24"');
    expect(errorOf(run(node, 'DEL', {}, foreign))).toBe('success');
    expect(asked).toEqual(['ADD 0', 'DEL 0']);
  });
});

describe('CHECK', () => {
  const without = { ...config, ipMasq: false, isDefaultGateway: false };
  const checked = (version: string, prevResult: unknown, change: object = {}) =>
    errorOf(run(new FakeNode(), 'CHECK', change, { ...without, cniVersion: version, prevResult }));

  test.each([
    ['0.3.1', {}, { code: 1, msg: 'config version does not allow CHECK' }],
    ['0.4.0', undefined, { code: 7, msg: 'Required prevResult missing' }],
    ['0.4.0', { cniVersion: '1.0.0' }, { code: 6 }],
    ['1.0.0', 5, { code: 6, msg: 'could not parse prevResult: result: must be an object' }],
  ])('%s with prevResult %j [11, 34]', (version, prevResult, want) => {
    expect(checked(version, prevResult)).toMatchObject(want);
  });

  test('needs the namespace, which must not be the node’s', () => {
    const prevResult = { cniVersion: '1.0.0' };
    expect(checked('1.0.0', prevResult, { CNI_NETNS: 'host' })).toMatchObject({ code: 8 });
  });
});

describe('GC and STATUS', () => {
  const conf = { ...config, cniVersion: '1.1.0' };

  test.each(['GC', 'STATUS'])('%s needs 1.1.0 [11]', (command) => {
    expect(errorOf(run(new FakeNode(), command))).toMatchObject({
      code: 1,
      msg: `config version does not allow ${command}`,
    });
  });

  test('GC without a list does nothing [47]', () => {
    const node = new FakeNode();
    run(node, 'ADD');
    const before = node.footprint;
    expect(run(node, 'GC', {}, conf)).toMatchObject({ exitCode: 0, stdout: '' });
    expect(node.footprint).toEqual(before);
  });

  test('GC with a list it cannot read does nothing and says so', () => {
    const node = new FakeNode();
    run(node, 'ADD');
    const before = node.footprint;
    const outcome = run(node, 'GC', {}, { ...conf, 'cni.dev/valid-attachments': [{}] });
    expect(errorOf(outcome)).toMatchObject({ code: 7 });
    expect(node.footprint).toEqual(before);
  });

  test('a code of STATUS passes unchanged [48]', () => {
    const node = new FakeNode();
    node.foreignIpam = {
      ...node.foreignIpam,
      canExec: true,
      status: () => {
        throw new CniError(50, 'pool is empty', 'all of it');
      },
    };
    const outcome = run(node, 'STATUS', {}, { ...conf, ipam: { type: 'dhcp' } });
    expect(errorOf(outcome)).toEqual({
      cniVersion: '1.1.0',
      code: 50,
      msg: 'pool is empty',
      details: 'all of it',
    });
  });
});

describe('a type that nobody serves', () => {
  const macvlan = { ...config, type: 'macvlan' };

  test.each(['ADD', 'CHECK'])('%s is refused', (command) => {
    const node = new FakeNode();
    expect(errorOf(run(node, command, {}, macvlan))).toMatchObject({
      code: 2,
      msg: 'unsupported field in network configuration: type = "macvlan"',
    });
    expect(node.calls).toEqual([]);
  });

  test('DEL removes what an earlier configuration made', () => {
    const node = new FakeNode();
    run(node, 'ADD');
    expect(errorOf(run(node, 'DEL', {}, macvlan))).toBe('success');
    expect(node.footprint).toEqual(empty);
  });
});

describe('several at once', () => {
  test('ADDs come first, and each has its own answer', () => {
    const node = new FakeNode();
    const invocation = (command: string, id: string, conf: unknown = config) => ({
      env: { ...env, CNI_COMMAND: command, CNI_CONTAINERID: id, CNI_NETNS: id },
      readStdin: () => Buffer.from(JSON.stringify(conf)),
    });
    run(node, 'ADD', { CNI_CONTAINERID: 'a', CNI_NETNS: 'a' }, { ...config, ipMasq: false });
    node.calls.length = 0;
    const outcomes = runVerbs(
      [
        invocation('DEL', 'a'),
        invocation('DEL', 'never'),
        invocation('DEL', 'b', 'x'),
        invocation('ADD', 'c', { ...config, ipMasq: false }),
        invocation('DEL', 'host'),
      ],
      node,
    );
    expect(outcomes.map(({ exitCode, stdout }) => [exitCode, stdout === ''])).toEqual([
      [0, true],
      [0, true],
      [1, false],
      [0, false],
      [1, false],
    ]);
    expect(node.footprint).toMatchObject({
      links: ['eth0', hostVethName({ ...attachment, containerId: 'c' })],
      unfinished: [],
    });
  });
});

describe('other commands', () => {
  test('a killed ADD that cannot be cleaned stays in the journal', () => {
    const node = new FakeNode();
    run(node, 'ADD');
    node.unfinished.add(attachmentKey(attachment));
    Object.assign(node.ipam, {
      release: () => {
        throw new Error('disk');
      },
    });
    expect(errorOf(run(node, 'ADD'))).toMatchObject({ msg: expect.stringContaining('disk') });
    expect(node.unfinished.size).toBe(1);
  });

  test('VERSION and the about text do not read stdin [14, 16]', () => {
    const readStdin = () => {
      throw new Error('read');
    };
    const node = new FakeNode();
    const version = runVerb({ env: { CNI_COMMAND: 'VERSION' }, readStdin }, node);
    expect(JSON.parse(version.stdout).cniVersion).toBe('1.1.0');
    expect(runVerb({ env: {}, readStdin }, node)).toMatchObject({
      exitCode: 0,
      stdout: '',
      stderr: expect.stringMatching(
        /^CNI weft plugin weft v.*\nCNI protocol versions supported: 0/,
      ),
    });
  });

  test('stdin that cannot be read is code 5', () => {
    const readStdin = () => {
      throw new Error('EIO');
    };
    const outcome = runVerb({ env: { ...env, CNI_COMMAND: 'ADD' }, readStdin }, new FakeNode());
    expect(outcome).toMatchObject({
      exitCode: 1,
      stdout:
        '{\n    "cniVersion": "1.1.0",\n    "code": 5,\n    "msg": "error reading from stdin: EIO"\n}',
      stderr: '',
    });
  });

  test.each([
    ['ADD', { error: 'Permission denied' }, 8],
    ['DEL', { error: 'Permission denied' }, 'success'],
  ])('%s with a namespace the shim could not open', (command, netns, want) => {
    const outcome = runVerb(
      {
        env: { ...env, CNI_COMMAND: command },
        readStdin: () => Buffer.from(JSON.stringify(config)),
        netns,
      },
      new FakeNode(),
    );
    const error = errorOf(outcome);
    expect(typeof error === 'object' ? JSON.parse(outcome.stdout).code : error).toBe(want);
  });
});
