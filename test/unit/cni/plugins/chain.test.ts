/** `type: weft` and single chain members, on parts that only note what they are asked. */
import { describe, expect, test } from 'vitest';
import type { ChainMember, DelCall, NetnsCall, Plugin } from '../../../../src/cni/plugin.ts';
import { chained } from '../../../../src/cni/plugins/chained.ts';
import { deleteEach, wholeChain } from '../../../../src/cni/plugins/weft.ts';
import type { Result } from '../../../../src/cni/protocol/result.ts';
import { request } from '../builders.ts';
import { FakeNode } from '../fake-node.ts';

const empty: Result = { interfaces: [], ips: [], routes: [], dns: {} };

function withName(previous: Result, name: string): Result {
  return { ...previous, interfaces: [...previous.interfaces, { name }] };
}

class Parts {
  readonly asked: string[] = [];
  /** `<part> <verb>` that throws. */
  readonly failing = new Set<string>();
  readonly members = ['a', 'b', 'c'].map((name) => this.member(name));
  readonly main: Plugin = {
    name: 'main',
    add: () => {
      this.ask('main', 'add');
      return withName(empty, 'main');
    },
    del: () => this.ask('main', 'del'),
    check: () => this.ask('main', 'check'),
    status: () => this.ask('main', 'status'),
    gc: () => this.ask('main', 'gc'),
  };

  member(name: string): ChainMember {
    return {
      name,
      capability: `${name}Capability`,
      isWanted: ({ config }) => config[name] === true,
      add: (_call, previous) => {
        this.ask(name, 'add');
        return withName(previous, name);
      },
      del: () => this.ask(name, 'del'),
      check: (_call, previous) => this.ask(name, `check ${previous.interfaces.length}`),
      status: () => this.ask(name, 'status'),
      gc: () => this.ask(name, 'gc'),
    };
  }

  ask(name: string, verb: string): void {
    this.asked.push(`${name} ${verb}`);
    if (this.failing.has(`${name} ${verb}`)) throw new Error(`${name} failed`);
  }
}

const prevResult = { cniVersion: '1.0.0', interfaces: [{ name: 'x' }, { name: 'y' }] };

function call(config: Readonly<Record<string, unknown>> = {}, verb = 'ADD' as const): NetnsCall {
  const node = new FakeNode();
  const attachment = { network: 'net', containerId: 'pod-1', ifName: 'eth0' };
  return { request: request({ verb, config }), node, attachment, netns: node.netns('pod') };
}

function chainOf(parts: Parts): Plugin {
  return wholeChain('weft', parts.main, parts.members);
}

describe('the whole chain [2]', () => {
  test.each([
    [{}, ['main']],
    [{ a: true, c: true }, ['main', 'a', 'c']],
    [{ c: true, b: true, a: true }, ['main', 'a', 'b', 'c']],
  ])('ADD of %j goes through %j, each on the result of the last', (config, want) => {
    const parts = new Parts();
    const result = chainOf(parts).add(call(config), []);
    expect(result.interfaces.map(({ name }) => name)).toEqual(want);
    expect(parts.asked).toEqual(want.map((name) => `${name} add`));
  });

  test('a configuration that a member cannot read is refused before anything is made', () => {
    const parts = new Parts();
    const bad: ChainMember = {
      ...parts.member('d'),
      isWanted: () => {
        throw new Error('bad');
      },
    };
    const chain = wholeChain('weft', parts.main, [...parts.members, bad]);
    expect(() => chain.add(call(), [])).toThrow('bad');
    expect(parts.asked).toEqual([]);
  });

  const backwards = ['c del', 'b del', 'a del', 'main del'];
  test.each<[string[], string | undefined]>([
    [[], undefined],
    [['b del'], 'b failed'],
    [['c del', 'a del'], 'DEL was not complete: c failed; a failed'],
    [['a del', 'main del'], 'DEL was not complete: a failed; main failed'],
  ])('DEL asks everybody, in reverse, although %j fail', (failing, message) => {
    for (const verb of failing) parts.failing.add(verb);
    const outcome = deleteEach(chainOf(parts), [call()]);
    expect([outcome[0]?.message, parts.asked]).toEqual([message, backwards]);
    parts.failing.clear();
    parts.asked.length = 0;
  });
  const parts = new Parts();

  test('several DELs share the main plugin’s wait, and each has its own error', () => {
    const shared: Plugin = {
      ...parts.main,
      delMany: (calls: readonly DelCall[]) => {
        parts.ask('main', `del ${calls.length}`);
        return calls.map((_one, index) => (index === 1 ? new Error('main failed') : undefined));
      },
    };
    parts.asked.length = 0;
    const chain = wholeChain('weft', shared, parts.members);
    const errors = deleteEach(chain, [call(), call(), call()]);
    expect(errors.map((error) => error?.message)).toEqual([undefined, 'main failed', undefined]);
    expect(parts.asked.filter((asked) => asked.startsWith('main'))).toEqual(['main del 3']);
    expect(parts.asked.filter((asked) => asked === 'a del')).toHaveLength(3);
  });

  test('a member with a wait of its own has one for all of them', () => {
    const chain = new Parts();
    const [a, ...others] = chain.members;
    if (a === undefined) throw new Error('no members');
    const shared: ChainMember = {
      ...a,
      delMany: (calls) => {
        chain.ask('a', `del ${calls.length}`);
        return calls.map((_one, index) => (index === 0 ? new Error('a failed') : undefined));
      },
    };
    const plugin = wholeChain('weft', chain.main, [shared, ...others]);
    const errors = deleteEach(plugin, [call(), call()]);
    expect(errors.map((error) => error?.message)).toEqual(['a failed', undefined]);
    expect(chain.asked).toEqual([
      ...['c del', 'c del', 'b del', 'b del', 'a del 2', 'main del', 'main del'],
    ]);
    expect(deleteEach(chained(shared), [call(), call()])).toHaveLength(2);
    expect(chain.asked.at(-1)).toBe('a del 2');
  });

  test('CHECK asks who is wanted, with the final result', () => {
    const chain = new Parts();
    chainOf(chain).check(call({ b: true, prevResult }));
    expect(chain.asked).toEqual(['main check', 'b check 2']);
  });

  test('GC asks everybody and joins what failed', () => {
    const chain = new Parts();
    chain.failing.add('c gc').add('main gc');
    const { request: asked, node } = call();
    const run = () =>
      chainOf(chain).gc({
        request: asked,
        node,
        isValid: () => true,
        isValidContainer: () => true,
      });
    expect(run).toThrow('GC was not complete: c failed; main failed');
    expect(chain.asked).toEqual(['c gc', 'b gc', 'a gc', 'main gc']);
  });

  test.each<[object | undefined, string[]]>([
    [undefined, ['main', 'a', 'b', 'c']],
    [{}, ['main']],
    [{ bCapability: true, aCapability: false }, ['main', 'b']],
  ])('STATUS with capabilities %j asks %j', (capabilities, want) => {
    const chain = new Parts();
    const { request: asked, node } = call({ capabilities });
    chainOf(chain).status({ request: asked, node });
    expect(chain.asked).toEqual(want.map((name) => `${name} status`));
  });
});

describe('a member of its own [53]', () => {
  const alone = (chain: Parts) => chained(chain.member('a'));

  test('adds to prevResult', () => {
    const chain = new Parts();
    const result = alone(chain).add(call({ a: true, prevResult }), []);
    expect(result.interfaces.map(({ name }) => name)).toEqual(['x', 'y', 'a']);
  });

  test('passes prevResult on when nothing is asked of it', () => {
    const chain = new Parts();
    expect(alone(chain).add(call({ prevResult }), []).interfaces).toEqual(prevResult.interfaces);
    alone(chain).check(call({ prevResult }));
    expect(chain.asked).toEqual([]);
  });

  test('needs prevResult for ADD, and none for DEL', () => {
    const chain = new Parts();
    expect(() => alone(chain).add(call({ a: true }), [])).toThrow(
      'must be called as chained plugin',
    );
    alone(chain).del(call({ prevResult: 5 }));
    expect(chain.asked).toEqual(['a del']);
  });
});
