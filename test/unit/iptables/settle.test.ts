import { describe, expect, test } from 'vitest';
import { type Step, settle, settleSync } from '../../../src/iptables/settle.ts';
import { BusyError } from '../../../src/util/errors.ts';

/** What listings ask for, one after the other; a step that begins with `!` fails. */
function steps(keys: readonly (string | undefined)[]) {
  const applied: string[] = [];
  let looks = 0;
  const next = (): Step<void> | undefined => {
    const key = keys[looks];
    looks += 1;
    if (key === undefined) return undefined;
    return {
      key,
      apply: () => {
        applied.push(key);
        if (key.startsWith('!')) throw new Error(`failed ${key}`);
      },
    };
  };
  return { applied, next };
}

const cases = [
  { what: 'nothing to do', keys: [undefined], want: false, applied: [] },
  { what: 'one step', keys: ['a', 'never looked for'], want: true, applied: ['a'] },
  { what: 'somebody was faster', keys: ['!a', 'b'], want: true, applied: ['!a', 'b'] },
  { what: 'somebody did it', keys: ['!a', undefined], want: false, applied: ['!a'] },
  { what: 'nobody was faster', keys: ['!a', '!a'], want: 'failed !a', applied: ['!a'] },
  {
    what: 'no end to it',
    keys: ['!1', '!2', '!3', '!4', '!5', '!6'],
    want: new BusyError('rules keep changing'),
    applied: ['!1', '!2', '!3', '!4', '!5'],
  },
];

describe.each(cases)('$what', ({ keys, want, applied }) => {
  test('while the thread waits', () => {
    const found = steps(keys);
    const run = () => settleSync('rules', found.next);
    if (typeof want === 'boolean') expect(run()).toBe(want);
    else expect(run).toThrow(want);
    expect(found.applied).toEqual(applied);
  });

  test('waited for', async () => {
    const found = steps(keys);
    const run = settle('rules', async () => {
      const step = found.next();
      return step && { key: step.key, apply: async () => step.apply() };
    });
    if (typeof want === 'boolean') expect(await run).toBe(want);
    else await expect(run).rejects.toThrow(want);
    expect(found.applied).toEqual(applied);
  });
});
