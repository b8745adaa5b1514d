import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { markReady, noteAwaited, openBootGate } from '../../../src/cni/boot-gate.ts';
import { runVerb } from '../../../src/cni/call.ts';
import { FakeNode } from './fake-node.ts';

let runDirectory: string;
beforeEach(() => {
  runDirectory = mkdtempSync(join(tmpdir(), 'wt-gate-'));
});
afterEach(() => rmSync(runDirectory, { recursive: true }));

const inBoot = (id: string) => ({ component: 'fabric' as const, runDirectory, bootId: () => id });
const awaitedIn = (id: string) => openBootGate(inBoot(id)).awaited();

describe('the gate', () => {
  test('is shut where no agent has said anything', () => {
    expect(awaitedIn('one')).toContain('no weft agent with the component fabric');
    rmSync(runDirectory, { recursive: true });
    expect(awaitedIn('one')).toContain('no weft agent with the component fabric');
    mkdirSync(runDirectory);
  });

  test('tells what the agent waits for, and is opened by it', () => {
    noteAwaited(inBoot('one'), 'no podCIDRs\nyet');
    expect(awaitedIn('one')).toBe('no podCIDRs yet');
    markReady(inBoot('one'));
    expect(awaitedIn('one')).toBeUndefined();
  });

  test('stays open while an agent that has started again waits', () => {
    markReady(inBoot('one'));
    noteAwaited(inBoot('one'), 'objects are not read yet');
    expect(awaitedIn('one')).toBeUndefined();
  });

  test('believes nothing of an earlier boot', () => {
    noteAwaited(inBoot('one'), 'no podCIDRs');
    markReady(inBoot('one'));
    expect(awaitedIn('two')).toContain('no weft agent with the component fabric');
  });

  test.each(['', '\n', 'on', 'one two\n'])('is shut by a spoilt file: %j', (text) => {
    writeFileSync(join(runDirectory, 'fabric-ready'), text);
    expect(awaitedIn('one')).toBeDefined();
  });

  test('keeps the words short', () => {
    noteAwaited(inBoot('one'), 'x'.repeat(10_000));
    expect(awaitedIn('one')).toHaveLength(500);
  });
});

describe('calls of a network that waits for the fabric', () => {
  const config = {
    cniVersion: '1.1.0',
    name: 'net',
    type: 'weft',
    isDefaultGateway: true,
    fabric: true,
    ipam: { type: 'host-local', subnet: '10.1.2.0/24' },
  };
  const call = (node: FakeNode, command: string, change: object = {}) =>
    runVerb(
      {
        env: {
          CNI_COMMAND: command,
          CNI_CONTAINERID: 'pod-1',
          CNI_NETNS: 'pod',
          CNI_IFNAME: 'eth0',
          CNI_PATH: '/opt/cni/bin',
        },
        readStdin: () => Buffer.from(JSON.stringify({ ...config, ...change })),
      },
      node,
    );
  const shut = () => {
    const node = new FakeNode();
    node.awaited = 'this Node has no podCIDRs';
    return node;
  };

  test.each([
    ['ADD', 11],
    ['STATUS', 50],
  ])('%s is refused with code %i and what is awaited, and leaves nothing', (verb, code) => {
    const node = shut();
    const { footprint } = node;
    const { exitCode, stdout } = call(node, verb);
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      code,
      msg: 'the fabric of this node is not ready yet: this Node has no podCIDRs',
    });
    expect(node.footprint).toEqual(footprint);
  });

  test('DEL and GC work all the same', () => {
    const node = shut();
    expect(call(node, 'DEL').exitCode).toBe(0);
    expect(call(node, 'GC', { 'cni.dev/valid-attachments': [] }).exitCode).toBe(0);
  });

  test('CHECK looks at what is there', () => {
    const node = new FakeNode();
    const prevResult = JSON.parse(call(node, 'ADD').stdout);
    node.awaited = 'the objects are not read yet';
    const { stdout } = call(node, 'CHECK', { prevResult });
    expect(stdout).not.toContain('fabric');
  });

  test.each([false, undefined])('nobody else waits: fabric %s', (fabric) => {
    const node = shut();
    expect(call(node, 'ADD', { fabric }).exitCode).toBe(0);
    expect(call(node, 'STATUS', { fabric }).stdout).toBe('');
  });

  test('the key has its type, in whatever case it is written', () => {
    const { stdout } = call(shut(), 'ADD', { fabric: undefined, Fabric: true });
    expect(JSON.parse(stdout).code).toBe(11);
    expect(JSON.parse(call(shut(), 'ADD', { fabric: 'yes' }).stdout)).toMatchObject({
      code: 7,
      msg: expect.stringContaining('"fabric" must be boolean'),
    });
  });
});
