import { ApiError } from '../api/api-error.ts';
import { failureReason } from '../api/failure.ts';
import { type Asked, type FailureWords, failureWords } from '../api/failure-words.ts';
import { NO_GATEWAY } from './wire.ts';

const REACH = 'see that etcd runs, and that --etcd has its client URLs';
const AUTHORITY = "etcd's certificate is not of the authority in --etcd-ca";
const MOST_CHARACTERS = 300;

/** A failure of etcd as its own words, with what to do. */
export function etcdFailureWords(error: Error, asked: Asked): FailureWords {
  const kind = failureReason(error);
  if (error instanceof ApiError) return { kind, ...statusWords(error, kind) };
  const found = failureWords(error, asked);
  switch (found.kind) {
    case 'authority':
      return { ...found, cure: AUTHORITY };
    case 'certificate':
      return isOfClient(found) ? { ...found, cure: 'renew --etcd-cert and --etcd-key' } : found;
    case 'credentials':
      return { ...found, cure: 'check --etcd-cert, --etcd-key and --etcd-password-file' };
    case 'name':
      return found;
    default:
      return { ...found, cure: REACH };
  }
}

function isOfClient({ words }: FailureWords): boolean {
  return words.startsWith('the server refuses');
}

function statusWords(
  { status, reason, message }: ApiError,
  kind: string,
): Omit<FailureWords, 'kind'> {
  const said = message.replace(/^[^:]*: \d+ \S*: /, '').slice(0, MOST_CHARACTERS);
  if (reason === NO_GATEWAY) {
    return {
      words: "etcd's JSON gateway is switched off, or etcd is older than 3.4 (404)",
      cure: 'start etcd with --enable-grpc-gateway=true',
    };
  }
  if (said.includes('authentication failed')) {
    return {
      words: 'etcd refuses user and password',
      cure: 'check --etcd-user and the file of --etcd-password-file',
    };
  }
  if (said.includes('user name is empty')) {
    return {
      words: 'etcd asks who we are',
      // The gateway does not take the user from a client certificate.
      cure: 'give --etcd-user and --etcd-password-file',
    };
  }
  switch (kind) {
    case 'unauthorized':
      return { words: 'etcd does not accept our token', cure: 'it is renewed by itself' };
    case 'forbidden':
      return {
        words: 'the user may not read there',
        cure: 'etcdctl role grant-permission ROLE read PREFIX --prefix, for each prefix in use',
      };
    case 'expired':
      return { words: 'etcd has compacted that revision', cure: 'all is read again by itself' };
    case 'rewound':
      return {
        words: 'etcd went back to older data',
        cure: 'all is read again by itself; a member that lags behind the others catches up',
      };
    default:
      return {
        words: said === '' ? `status ${status}` : said,
        cure: status >= 500 ? 'see that most members of etcd run, and reach each other' : REACH,
      };
  }
}
