import { expect, test } from 'vitest';
import { createLogger } from '../../../src/util/log.ts';
import { logText } from '../../../src/util/log-text.ts';

const time = '2030-01-02T03:04:05.678Z';
const PLAIN = { hasColors: false };

test.each([
  {
    name: 'time, level, component, message, then fields',
    line: { level: 'info', time, component: 'cni', pods: 3, node: 'a', why: 'x y', msg: 'served' },
    want: '03:04:05.678 info  cni: served pods=3 node=a why="x y"\n',
  },
  {
    name: 'of an error its message',
    line: {
      level: 'error',
      time,
      err: { type: 'Error', message: 'no "way"', stack: 'at' },
      msg: 'm',
    },
    want: '03:04:05.678 error m err="no \\"way\\""\n',
  },
  {
    name: 'no escape sequences of others',
    line: { level: 'warn', time, msg: '\u001b[2J', what: '\u001b[1m' },
    want: '03:04:05.678 warn  ?[2J what="\\u001b[1m"\n',
  },
])('$name', ({ line, want }) => {
  expect(logText(`${JSON.stringify(line)}\n`, PLAIN)).toBe(want);
});

test('colours are for warnings and errors', () => {
  const lineOf = (level: string) => `${JSON.stringify({ level, time, msg: 'm', a: 1 })}\n`;
  const colored = (level: string) => logText(lineOf(level), { hasColors: true });
  expect(colored('info')).toBe('03:04:05.678 info  m a=1\n');
  expect(colored('warn')).toBe('\u001b[33m03:04:05.678 warn  m\u001b[0m a=1\n');
  expect(colored('error')).toContain('\u001b[31m');
});

test('what is no JSON stays', () => {
  expect(logText('half a line', PLAIN)).toBe('half a line\n');
});

test('a line of the logger', () => {
  let text = '';
  const log = createLogger('info', { write: (line) => (text += logText(line, PLAIN)) });
  log.child({ component: 'proxy' }).warn({ services: 2 }, 'late');
  expect(text).toMatch(/^\d\d:\d\d:\d\d\.\d{3} warn {2}proxy: late services=2\n$/);
});
