import { describe, expect, test } from 'vitest';
import { ApiError } from '../../../../src/kube/api/api-error.ts';
import { failureWords } from '../../../../src/kube/api/failure-words.ts';
import { BusyError, IoError, WeftError } from '../../../../src/util/errors.ts';

const ASKED = { verb: 'list', resource: 'services' } as const;

/** As the transport wraps what the runtime throws. */
function failed(code: string, message: string): Error {
  const cause = Object.assign(new Error(message), { code });
  return new IoError(`get /api/v1/services: ${message}`, { cause });
}

const api = (status: number, reason = '', message = '') =>
  new ApiError('get /api/v1/services', { status, reason, message });

describe('a failure of the API in words', () => {
  test.each([
    ['ECONNREFUSED', 'refused', 'connection refused'],
    ['EHOSTUNREACH', 'unreachable', 'no route to the host'],
    ['ENETUNREACH', 'unreachable', 'network unreachable'],
    ['ENOTFOUND', 'name', 'its name does not resolve'],
    ['CERT_HAS_EXPIRED', 'certificate', "the server's certificate has expired"],
    ['CERT_NOT_YET_VALID', 'certificate', "the server's certificate is not valid yet"],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'certificate', "the server's certificate is for other names"],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'authority', /unknown authority/],
    ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', 'certificate', /refuses.*certificate expired/],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'closed', /protocol version/],
  ])('%s', (code, kind, words) => {
    expect(failureWords(failed(code, 'x'), ASKED)).toMatchObject({
      kind,
      words: typeof words === 'string' ? words : expect.stringMatching(words),
      cure: expect.stringMatching(/./),
    });
  });

  test("the runtime's advice about its own flags is left out", () => {
    const message =
      'unable to verify the first certificate; if the root CA is installed locally, try running ' +
      'Node.js with --use-system-ca';
    const told = failureWords(failed('UNABLE_TO_VERIFY_LEAF_SIGNATURE', message), ASKED);
    expect(told.kind).toBe('authority');
    expect(JSON.stringify(told)).not.toMatch(/--use-system-ca|Node\.js/);
  });

  test.each([
    [api(401), 'unauthorized', /does not accept our credentials/],
    [api(403, 'Forbidden'), 'forbidden', /^we may not list services \(403\)$/],
    [api(429), 'throttled', /too many requests/],
    [api(404), 'missing', /has no services/],
    [api(500, 'InternalError', 'etcd is gone'), 'server', /500 InternalError: etcd is gone$/],
    [new BusyError('no answer within 60000 ms'), 'timeout', /no answer within/],
    [new WeftError('EXEC', 'plugin aws: exit status 1'), 'credentials', /plugin aws/],
  ])('%s', (error, kind, words) => {
    const told = failureWords(error, ASKED);
    expect([told.kind, told.words]).toEqual([kind, expect.stringMatching(words)]);
  });

  test('one address of several that refused is enough', () => {
    const each = Object.assign(new Error('x'), { code: 'ECONNREFUSED' });
    const error = new IoError('get: ', { cause: new AggregateError([each, each]) });
    expect(failureWords(error, ASKED).kind).toBe('refused');
  });

  test('is bounded, whatever the server says', () => {
    expect(failureWords(api(500, '', 'x'.repeat(100_000)), ASKED).words.length).toBeLessThan(501);
    expect(failureWords(new IoError('x'.repeat(100_000)), ASKED).words).toHaveLength(300);
  });
});
