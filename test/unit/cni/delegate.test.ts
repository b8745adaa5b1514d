import { describe, expect, test } from 'vitest';
import { type Ended, type Execution, findPlugin } from '../../../src/cni/delegate.ts';
import { needsExec, openForeignIpam } from '../../../src/cni/foreign-ipam.ts';
import { needsOwnProcess } from '../../../src/cni/own-process.ts';
import type { Verb } from '../../../src/cni/protocol/request.ts';
import { request } from './builders.ts';

const silent = { exitCode: 0, stdout: '', stderr: '' };
const lease = JSON.stringify({ cniVersion: '1.0.0', ips: [{ address: '10.1.2.3/24' }] });
const stdin = Buffer.from('{"cniVersion": "1.0.0",\n "name":"net"}');
const env = { CNI_COMMAND: 'ADD', CNI_ARGS: 'A=1', WEFT_ARGV0: 'bridge', HOME: '/root' };

/** A delegate that answers each verb as told, and what it was called with. */
function delegate(answers: Partial<Record<Verb, Ended>>) {
  const calls: Execution[] = [];
  const ipam = openForeignIpam({
    isRegularFile: (path) => path === '/opt/cni/bin/dhcp',
    run: (execution) => {
      calls.push(execution);
      const verb = verbs.find((one) => one === execution.env['CNI_COMMAND']);
      return (verb && answers[verb]) ?? silent;
    },
  });
  return { calls, ipam };
}

const verbs: readonly Verb[] = ['ADD', 'DEL', 'CHECK', 'STATUS', 'GC'];
const call = request({ env, stdin, path: ['/usr/lib/cni', '/opt/cni/bin'] });

describe('finding a plugin [35]', () => {
  const exec = { isRegularFile: (path: string) => path.startsWith('/b/') || path === '/c/x' };
  test.each([
    ['x', ['/a', '/b', '/c'], '/b/x'],
    ['x', ['/a', '/c'], '/c/x'],
  ])('%s in %j is %s', (name, directories, want) => {
    expect(findPlugin(exec, name, directories)).toBe(want);
  });

  test.each([
    ['', ['/a'], 'no plugin name provided'],
    ['a/b', ['/a'], 'invalid plugin name: a/b'],
    ['x', [], 'no paths provided'],
    ['x', ['/a', '/d'], 'failed to find plugin "x" in path [/a /d]'],
  ])('%j in %j: %s', (name, directories, message) => {
    expect(() => findPlugin(exec, name, directories)).toThrow(message);
  });
});

describe('what a delegate is told', () => {
  test('everything as it came, but the verb and our own name [36]', () => {
    const { calls, ipam } = delegate({ ADD: { ...silent, stdout: lease } });
    ipam.add(call, 'dhcp');
    expect(calls).toEqual([
      {
        file: '/opt/cni/bin/dhcp',
        env: { CNI_COMMAND: 'ADD', CNI_ARGS: 'A=1', HOME: '/root' },
        stdin,
      },
    ]);
  });

  test.each([
    ['del', 'DEL'],
    ['check', 'CHECK'],
    ['status', 'STATUS'],
    ['gc', 'GC'],
  ] as const)('%s runs %s although the environment says ADD [40]', (method, verb) => {
    const { calls, ipam } = delegate({});
    ipam[method](call, 'dhcp');
    expect(calls.map((execution) => execution.env['CNI_COMMAND'])).toEqual([verb]);
  });
});

describe('what its answer means', () => {
  test.each([
    ['in the configuration’s version [39]', lease],
    ['without a version [39]', '{"ips":[{"address":"10.1.2.3/24"}]}'],
    ['in an older version', '{"cniVersion":"0.2.0","ip4":{"ip":"10.1.2.3/24"}}'],
    ['with an interface [71]', '{"ips":[{"address":"10.1.2.3/24","interface":7}]}'],
    ['with an interface of null [72]', '{"ips":[{"address":"10.1.2.3/24","interface":null}]}'],
  ])('addresses %s', (_name, stdout) => {
    const { ipam } = delegate({ ADD: { ...silent, stdout } });
    expect(ipam.add(call, 'dhcp')).toEqual({
      ips: [{ address: '10.1.2.3/24' }],
      routes: [],
      dns: {},
    });
  });

  test('routes and dns are its own', () => {
    const stdout = JSON.stringify({ routes: [{ dst: '::/0' }], dns: { domain: 'a' } });
    const { ipam } = delegate({ ADD: { ...silent, stdout } });
    expect(ipam.add(call, 'dhcp')).toEqual({
      ips: [],
      routes: [{ dst: '::/0' }],
      dns: { domain: 'a' },
    });
  });

  const failed = { exitCode: 1, stdout: '', stderr: '' };
  test.each<[string, Ended, object]>([
    [
      'its own error',
      { ...failed, stdout: '{"code":11,"msg":"later","details":"full"}' },
      { cniCode: 11, message: 'later', details: 'full' },
    ],
    ['a code of its own', { ...failed, stdout: '{"code":107,"msg":"x"}' }, { cniCode: 107 }],
    ['code 0', { ...failed, stdout: '{"msg":"x"}' }, { cniCode: 999, message: 'x' }],
    [
      'only stderr [37]',
      { ...failed, stderr: 'panic: "x"' },
      { cniCode: 999, message: 'netplugin failed: "panic: \\"x\\"": exit status 1' },
    ],
    ['nothing [37]', failed, { message: 'netplugin failed with no error message: exit status 1' }],
    [
      'something else [37]',
      { ...failed, stdout: 'oops' },
      { message: expect.stringMatching(/^netplugin failed but error parsing its .*"oops": /) },
    ],
    [
      'it was killed [41]',
      { exitCode: undefined, stdout: '', stderr: '', problem: 'no answer within 100 s' },
      { message: 'netplugin failed with no error message: no answer within 100 s' },
    ],
    [
      'a result that is none [25]',
      { ...silent, stdout: 'x' },
      { cniCode: 6, message: expect.stringMatching(/^invalid result of the IPAM plugin: /) },
    ],
  ])('%s; DEL follows', (_name, answer, want) => {
    const { calls, ipam } = delegate({ ADD: answer });
    expect(() => ipam.add(call, 'dhcp')).toThrow(expect.objectContaining(want));
    expect(calls.map((execution) => execution.env['CNI_COMMAND'])).toEqual(['ADD', 'DEL']);
  });

  test('a DEL that fails after a failed ADD is told in the details', () => {
    const { ipam } = delegate({
      ADD: { ...failed, stdout: '{"code":11,"msg":"later","details":"full"}' },
      DEL: { ...failed, stdout: '{"code":5,"msg":"disk"}' },
    });
    expect(() => ipam.add(call, 'dhcp')).toThrow(
      expect.objectContaining({
        cniCode: 11,
        message: 'later',
        details: 'full; DEL after it failed too: disk',
      }),
    );
  });
});

describe('where it is executed', () => {
  test.each([
    [{}, false],
    [{ ipam: {} }, false],
    [{ ipam: { type: '' } }, false],
    [{ ipam: { type: 'host-local' } }, false],
    [{ ipam: { type: 'static' } }, false],
    [{ IPAM: { TYPE: 'dhcp' } }, true],
    [{ ipam: { type: 5 } }, false],
  ])('%j needs another executable: %s', (config, want) => {
    expect(needsExec(request({ config }))).toBe(want);
  });

  test.each([
    ['ADD', {}, false],
    ['ADD', { ipam: { type: 'dhcp' } }, true],
    ['STATUS', { ipMasqBackend: 'nftables' }, false],
    ['STATUS', { ipMasqBackend: 'iptables' }, true],
    ['DEL', { IPMasqBackend: 'iptables' }, true],
    ['ADD', { enabledad: true }, true],
    ['ADD', { enabledad: false }, false],
    ['DEL', { enabledad: true }, false],
  ] as const)('%s with %j needs a process of its own: %s', (verb, config, want) => {
    expect(needsOwnProcess(request({ verb, config }))).toBe(want);
  });

  test('never without leave to', () => {
    const ipam = openForeignIpam(undefined);
    expect(ipam.canExec).toBe(false);
    expect(() => ipam.del(call, 'dhcp')).toThrow('"dhcp" cannot be executed in this process');
  });

  test('static never is', () => {
    const config = { ipam: { type: 'static', addresses: [{ address: '10.1.2.3/24' }] } };
    const { calls, ipam } = delegate({});
    const found = ipam.add({ ...call, config }, 'static');
    ipam.del({ ...call, config }, 'static');
    ipam.gc({ ...call, config }, 'static');
    expect([found.ips, calls]).toEqual([[{ address: '10.1.2.3/24' }], []]);
  });
});
