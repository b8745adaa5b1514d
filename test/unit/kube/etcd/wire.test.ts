import { describe, expect, test } from 'vitest';
import { ApiError } from '../../../../src/kube/api/api-error.ts';
import { failureReason, isListNeeded } from '../../../../src/kube/api/failure.ts';
import { etcdFailureWords } from '../../../../src/kube/etcd/failure-words.ts';
import { History } from '../../../../src/kube/etcd/history.ts';
import {
  encodeText,
  isTokenRefused,
  keyAfter,
  parseFailure,
  parseHeader,
  parseWatchLine,
  prefixEnd,
} from '../../../../src/kube/etcd/wire.ts';

const HEADER = { cluster_id: '14841639068965178418', revision: '7', raft_term: '2' };
const line = (result: object) => JSON.stringify({ result: { header: HEADER, ...result } });

test('keys: what begins with a prefix, and what is behind a key', () => {
  expect(encodeText('/weft/a')).toBe('L3dlZnQvYQ==');
  expect(Buffer.from(prefixEnd('/weft/'), 'base64').toString()).toBe('/weft0');
  const after = keyAfter(Buffer.of(0x2f, 0xff).toString('base64'));
  expect([...Buffer.from(after, 'base64')]).toEqual([0x2f, 0xff, 0]);
});

describe('lines of a watch', () => {
  test('what was put, deleted, and that nothing was', () => {
    const kv = { key: encodeText('/a'), value: encodeText('{}'), mod_revision: '7' };
    const put = { kv: { ...kv, create_revision: '3', version: '2' } };
    const { events } = parseWatchLine(line({ events: [put, { type: 'DELETE', kv }] }), 'w');
    expect(events).toEqual([
      {
        isDeleted: false,
        pair: { key: '/a', value: '{}', createRevision: '3', modRevision: '7', leaseId: '0' },
      },
      {
        isDeleted: true,
        pair: { key: '/a', value: '{}', createRevision: '0', modRevision: '7', leaseId: '0' },
      },
    ]);
    expect(parseWatchLine(line({}), 'w')).toMatchObject({ isCreated: false, events: [] });
    expect(parseWatchLine(line({ created: true }), 'w').isCreated).toBe(true);
  });

  test.each([
    [line({ canceled: true, compact_revision: '3' }), 'expired', true],
    [
      line({ canceled: true, cancel_reason: 'rpc error: code = PermissionDenied desc = x' }),
      'forbidden',
      false,
    ],
    [
      line({ canceled: true, cancel_reason: 'etcdserver: invalid auth token' }),
      'unauthorized',
      false,
    ],
    [line({ canceled: true }), 'server', false],
    [
      '{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}',
      'server',
      false,
    ],
  ])('%s', (text, reason, isList) => {
    const error = thrownBy(() => parseWatchLine(text, 'w'));
    expect([failureReason(error), isListNeeded(error)]).toEqual([reason, isList]);
  });

  test.each(['', '{', '{"result":{}}', '{"result":{"header":{}}}', '[]'])(
    'no answer: %j',
    (text) => {
      expect(() => parseWatchLine(text, 'w')).toThrow(/not an answer|without header/);
    },
  );
});

function thrownBy(call: () => unknown): Error {
  try {
    call();
  } catch (thrown) {
    if (thrown instanceof Error) return thrown;
  }
  throw new Error('nothing was thrown');
}

test.each([
  [{ code: 16, message: 'etcdserver: invalid auth token' }, 401, 401, true],
  [{ code: 3, message: 'etcdserver: user name is empty' }, 400, 400, true],
  [{ code: 3, message: 'etcdserver: revision of auth store is old' }, 400, 400, true],
  [{ code: 3, message: 'etcdserver: authentication failed, invalid user ID' }, 400, 400, false],
  [{ code: 7, error: 'etcdserver: permission denied' }, 403, 403, false],
  [
    { code: 11, message: 'etcdserver: mvcc: required revision has been compacted' },
    400,
    410,
    false,
  ],
])('status %o', (body, http, status, isRefused) => {
  const failure = parseFailure(body, http);
  expect(failure.status).toBe(status);
  expect(isTokenRefused(failure)).toBe(isRefused);
});

test('failures in words with their cure, and without a secret', () => {
  const words = (body: unknown, status: number) => {
    const error = new ApiError('etcd /v3/kv/range', parseFailure(body, status));
    return Object.values(etcdFailureWords(error, { verb: 'list', resource: 'services' })).join(
      ' | ',
    );
  };
  expect(words('404 page not found', 404)).toMatch(
    /gateway is switched off, .*--enable-grpc-gateway/,
  );
  expect(words({ code: 7, message: 'etcdserver: permission denied' }, 403)).toMatch(
    /may not read there \| etcdctl role grant-permission/,
  );
  expect(words({ code: 14, message: 'etcdserver: request timed out' }, 503)).toMatch(
    /server \| etcdserver: request timed out \| see that most members/,
  );
});

describe('history', () => {
  const at = (revision: number, raftTerm = 2, clusterId = 'a') => ({
    clusterId,
    revision,
    raftTerm,
  });

  test('breaks where an answer is older than what was known when it was asked for', () => {
    const history = new History();
    history.noteAgreed(at(5), undefined);
    history.noteAgreed(at(9), history.last);
    expect([history.epoch, history.last?.revision]).toEqual([0, 9]);
    // Asked for before the answer above came.
    history.noteAgreed(at(8), at(5));
    expect([history.epoch, history.last?.revision]).toEqual([0, 9]);
    history.noteAgreed(at(4), history.last);
    expect([history.epoch, history.last?.revision]).toEqual([1, 4]);
  });

  test.each([
    ['another cluster', at(20, 2, 'b'), 1],
    ['an election term of before', at(20, 1), 1],
    ['a new leader', at(10, 3), 0],
  ])('%s', (_, header, epoch) => {
    const history = new History();
    history.noteAgreed(at(10), undefined);
    history.noteAgreed(header, history.last);
    expect(history.epoch).toBe(epoch);
  });

  test('what is not a header', () => {
    expect(() => parseHeader(null)).toThrow('without header');
  });
});
