import { describe, expect, test } from 'vitest';
import { CniError } from '../../../../src/cni/protocol/errors.ts';
import { parseCall, parseRequest } from '../../../../src/cni/protocol/request.ts';

const complete = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'pod-1',
  CNI_NETNS: '/run/netns/pod-1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin:/usr/lib/cni',
  CNI_ARGS: 'IgnoreUnknown=1',
};
const config = '{"cniVersion":"1.0.0","name":"net"}';

function outcome(run: () => unknown): unknown {
  try {
    run();
    return 'accepted';
  } catch (thrown) {
    if (!(thrown instanceof CniError)) throw thrown;
    const { cniCode, message, details } = thrown;
    return { code: cniCode, msg: message, ...(details === undefined ? {} : { details }) };
  }
}

describe('environment [3, 4, 5, 6, 7, 8, 9, 16]', () => {
  const invalid = (msg: string, details?: string) => ({
    code: 4,
    msg,
    ...(details === undefined ? {} : { details }),
  });
  test.each<[string, Record<string, string>, unknown]>([
    ['ADD complete', {}, 'accepted'],
    ['ADD without args', { CNI_ARGS: '' }, 'accepted'],
    [
      'ADD without id',
      { CNI_CONTAINERID: '' },
      invalid('required env variables [CNI_CONTAINERID] missing'),
    ],
    ['ADD without netns', { CNI_NETNS: '' }, invalid('required env variables [CNI_NETNS] missing')],
    [
      'ADD without ifname',
      { CNI_IFNAME: '' },
      invalid('required env variables [CNI_IFNAME] missing'),
    ],
    ['ADD without path', { CNI_PATH: '' }, invalid('required env variables [CNI_PATH] missing')],
    [
      'several missing',
      { CNI_CONTAINERID: '', CNI_NETNS: '', CNI_PATH: '' },
      invalid('required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_PATH] missing'),
    ],
    [
      'CHECK needs the netns',
      { CNI_COMMAND: 'CHECK', CNI_NETNS: '' },
      invalid('required env variables [CNI_NETNS] missing'),
    ],
    ['DEL does not need the netns', { CNI_COMMAND: 'DEL', CNI_NETNS: '' }, 'accepted'],
    [
      'DEL needs the rest',
      { CNI_COMMAND: 'DEL', CNI_CONTAINERID: '', CNI_IFNAME: '', CNI_PATH: '' },
      invalid('required env variables [CNI_CONTAINERID,CNI_IFNAME,CNI_PATH] missing'),
    ],
    [
      'GC needs only the path',
      { CNI_COMMAND: 'GC', CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '' },
      'accepted',
    ],
    [
      'STATUS without path',
      { CNI_COMMAND: 'STATUS', CNI_PATH: '' },
      invalid('required env variables [CNI_PATH] missing'),
    ],
    [
      'id characters',
      { CNI_CONTAINERID: 'a/b' },
      invalid('invalid characters in containerID', 'a/b'),
    ],
    ['id start', { CNI_CONTAINERID: '-a' }, invalid('invalid characters in containerID', '-a')],
    [
      'ifname of 16 bytes',
      { CNI_IFNAME: 'eth4567890123456' },
      invalid('interface name is too long', 'interface name should be less than 16 characters'),
    ],
    ['ifname of 15 bytes', { CNI_IFNAME: 'eth456789012345' }, 'accepted'],
    [
      'ifname of 16 bytes in 8 letters',
      { CNI_IFNAME: 'éééééééé' },
      invalid('interface name is too long', 'interface name should be less than 16 characters'),
    ],
    ['ifname .', { CNI_IFNAME: '.' }, invalid('interface name is . or ..')],
    ['ifname ..', { CNI_IFNAME: '..' }, invalid('interface name is . or ..')],
    [
      'ifname with slash',
      { CNI_IFNAME: 'a/b' },
      invalid('interface name contains / or : or whitespace characters'),
    ],
    [
      'ifname with colon',
      { CNI_IFNAME: 'eth0:1' },
      invalid('interface name contains / or : or whitespace characters'),
    ],
    [
      'ifname with no-break space',
      { CNI_IFNAME: 'a\u00a0b' },
      invalid('interface name contains / or : or whitespace characters'),
    ],
    ['an unknown verb is refused later', { CNI_COMMAND: 'NOPE', CNI_PATH: '' }, 'accepted'],
  ])('%s', (_name, change, want) => {
    expect(outcome(() => parseCall({ ...complete, ...change }))).toEqual(want);
  });

  test.each([
    ['VERSION', { kind: 'version' }],
    ['', { kind: 'about' }],
    ['ADD', { kind: 'verb', command: 'ADD' }],
  ])('command %j', (command, want) => {
    expect(parseCall({ ...complete, CNI_COMMAND: command })).toEqual(want);
  });
});

describe('stdin [10, 11, 12, 13, 15, 32]', () => {
  test.each<[string, string, string, unknown]>([
    ['good', 'ADD', config, 'accepted'],
    [
      'no JSON',
      'ADD',
      '{',
      { code: 6, msg: expect.stringContaining('error unmarshall network config: ') },
    ],
    [
      'nothing',
      'ADD',
      '',
      { code: 6, msg: 'error unmarshall network config: unexpected end of JSON input' },
    ],
    [
      'an array',
      'ADD',
      '[]',
      {
        code: 6,
        msg: 'error unmarshall network config: the configuration is not a JSON object',
      },
    ],
    ['null', 'ADD', 'null', { code: 7, msg: 'missing network name' }],
    ['no name', 'ADD', '{"cniVersion":"1.0.0"}', { code: 7, msg: 'missing network name' }],
    ['name null', 'ADD', '{"name":null}', { code: 7, msg: 'missing network name' }],
    [
      'bad name',
      'ADD',
      '{"name":"a b"}',
      { code: 7, msg: 'invalid characters found in network name', details: 'a b' },
    ],
    [
      'name of a wrong type',
      'ADD',
      '{"name":5}',
      {
        code: 7,
        msg: 'invalid network configuration: key "name" must be string',
        details: 'got 5',
      },
    ],
    [
      'version of a wrong type',
      'ADD',
      '{"name":"n","cniVersion":1}',
      {
        code: 7,
        msg: 'invalid network configuration: key "cniVersion" must be string',
        details: 'got 1',
      },
    ],
    ['no version is 0.1.0', 'ADD', '{"name":"n"}', 'accepted'],
    ['name and version in other case', 'ADD', '{"NAME":"n","CNIVersion":"0.4.0"}', 'accepted'],
    ['unknown verb', 'NOPE', config, { code: 4, msg: 'unknown CNI_COMMAND: NOPE' }],
    ['unknown verb after bad stdin', 'NOPE', '{}', { code: 7, msg: 'missing network name' }],
    [
      'unknown version',
      'ADD',
      '{"name":"n","cniVersion":"1.2.0"}',
      {
        code: 1,
        msg: 'incompatible CNI versions',
        details:
          'config is "1.2.0", plugin supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]',
      },
    ],
    [
      'short version',
      'DEL',
      '{"name":"n","cniVersion":"1.0"}',
      expect.objectContaining({ code: 1 }),
    ],
    [
      'CHECK of 0.3.1',
      'CHECK',
      '{"name":"n","cniVersion":"0.3.1"}',
      { code: 1, msg: 'config version does not allow CHECK' },
    ],
    ['CHECK of 0.4.0', 'CHECK', '{"name":"n","cniVersion":"0.4.0"}', 'accepted'],
    ['GC of 1.0.0', 'GC', config, { code: 1, msg: 'config version does not allow GC' }],
    ['STATUS of 1.0.0', 'STATUS', config, { code: 1, msg: 'config version does not allow STATUS' }],
    ['STATUS of 1.1.0', 'STATUS', '{"name":"n","cniVersion":"1.1.0"}', 'accepted'],
    [
      'CHECK of a malformed version',
      'CHECK',
      '{"name":"n","cniVersion":"one"}',
      { code: 6, msg: 'failed to parse CNI version one' },
    ],
  ])('%s', (_name, command, stdin, want) => {
    const run = () => parseRequest(command, complete, Buffer.from(stdin));
    expect(outcome(run)).toEqual(want);
  });

  test('a request carries everything the verbs read [1]', () => {
    expect(parseRequest('ADD', complete, Buffer.from(config))).toMatchObject({
      verb: 'ADD',
      containerId: 'pod-1',
      netnsPath: '/run/netns/pod-1',
      ifName: 'eth0',
      args: 'IgnoreUnknown=1',
      path: ['/opt/cni/bin', '/usr/lib/cni'],
      mayUseOwnNetns: false,
      cniVersion: '1.0.0',
      network: 'net',
      config: { cniVersion: '1.0.0', name: 'net' },
    });
  });

  test.each([
    ['TRUE', true],
    ['true', true],
    ['1', true],
    ['yes', false],
    ['', false],
  ])('CNI_NETNS_OVERRIDE=%s [19]', (value, want) => {
    const env = { ...complete, CNI_NETNS_OVERRIDE: value };
    expect(parseRequest('ADD', env, Buffer.from(config)).mayUseOwnNetns).toBe(want);
  });

  test('more than 4 MiB is an error of reading', () => {
    const big = Buffer.alloc(4 * 1024 * 1024 + 1, ' ');
    expect(outcome(() => parseRequest('ADD', complete, big))).toMatchObject({ code: 5 });
  });
});
