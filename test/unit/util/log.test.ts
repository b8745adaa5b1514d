import { expect, test } from 'vitest';
import { createLogger } from '../../../src/util/log.ts';

function lineOf(fields: object): string {
  const lines: string[] = [];
  createLogger('info', { write: (text) => lines.push(text) }).warn(fields, 'failed');
  return lines.join('');
}

const HUGE = 'x'.repeat(1_000_000);

test.each([
  { name: 'a message', fields: { err: new Error(HUGE) } },
  { name: 'a cause', fields: { err: new Error('a', { cause: new Error(HUGE) }) } },
  {
    name: 'bytes that came',
    fields: { err: Object.assign(new Error('a'), { rawPacket: Buffer.alloc(100_000) }) },
  },
  {
    name: 'a member',
    fields: { err: Object.assign(new Error('a'), { header: HUGE, list: HUGE.split('') }) },
  },
  { name: 'many errors', fields: { err: new AggregateError([new Error(HUGE), new Error(HUGE)]) } },
  { name: 'a reason', fields: { reason: HUGE, error: HUGE } },
])('$name of any length is a line of bounded length', ({ fields }) => {
  expect(lineOf(fields).length).toBeLessThan(20_000);
});

test('an ordinary error is told as it is', () => {
  const cause = Object.assign(new Error('inner'), { code: 'ENOENT' });
  const line = JSON.parse(lineOf({ err: new Error('outer', { cause }), reason: 'short' }));
  expect(line).toMatchObject({
    reason: 'short',
    err: { type: 'Error', message: 'outer', cause: { message: 'inner', code: 'ENOENT' } },
  });
});

test('the stack of one errno is told once in a while, a fault of ours always', () => {
  const lines: string[] = [];
  const log = createLogger('info', { write: (text) => void lines.push(text) });
  const refused = () => Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
  const wrapped = new Error('server', { cause: refused() });
  const errors = [
    refused(),
    refused(),
    wrapped,
    Object.assign(new Error('full'), { code: 'ENOSPC' }),
  ];
  for (const err of [...errors, new TypeError('ours'), new TypeError('ours')])
    log.warn({ err }, 'm');
  const told = lines.map((line) => JSON.parse(line).err);
  expect(told.map(({ message, stack }) => [message, stack !== undefined])).toEqual([
    ['refused', true],
    ['refused', false],
    ['server', false],
    ['full', true],
    ['ours', true],
    ['ours', true],
  ]);
});
