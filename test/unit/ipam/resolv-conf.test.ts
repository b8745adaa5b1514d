import { describe, expect, test } from 'vitest';
import { parseResolvConf, readResolvConf } from '../../../src/ipam/resolv-conf.ts';

const empty = { nameservers: [], domain: undefined, search: [], options: [] };

describe('[116] resolv.conf', () => {
  test.each([
    [
      'simple',
      'nameserver 192.0.2.0\nnameserver 192.0.2.1',
      { nameservers: ['192.0.2.0', '192.0.2.1'] },
    ],
    [
      'comments',
      '# nameserver 192.0.2.0\n;search a\n  #x\nnameserver 192.0.2.1 # kept as is',
      { nameservers: ['192.0.2.1'] },
    ],
    [
      'all keywords',
      'nameserver fd00::53\r\ndomain old.example\ndomain example.com\nsearch a.example b.example\nsearch c.example\noptions ndots:5 timeout:1\n\toptions rotate\n',
      {
        nameservers: ['fd00::53'],
        domain: 'example.com',
        search: ['a.example', 'b.example', 'c.example'],
        options: ['ndots:5', 'timeout:1', 'rotate'],
      },
    ],
    ['no value and unknown keyword', 'search\nnameserver\nsortlist 10.0.0.0\n\n', {}],
    ['empty', '', {}],
  ])('%s', (_name, text, want) => expect(parseResolvConf(text)).toEqual({ ...empty, ...want }));

  test('a missing file is an error', () =>
    expect(() => readResolvConf('/nonexistent/resolv.conf')).toThrow(
      expect.objectContaining({ code: 'IO', message: expect.stringContaining('ENOENT') }),
    ));
});
