import { errorCode } from '../../util/errors.ts';
import { ApiError } from './api-error.ts';
import { failureReason } from './failure.ts';

/** What went wrong with a request, for people. */
export interface FailureWords {
  /** Which row of the table below, or the reason that metrics count. */
  readonly kind: string;
  /** `connection refused` */
  readonly words: string;
  readonly cure: string;
}

/** What was asked for. */
export interface Asked {
  readonly verb: 'list' | 'watch' | 'get' | 'patch';
  /** `services`, `nodes/status`, or `endpointslices.discovery.k8s.io`. */
  readonly resource: string;
}

/** The rule of a Role that is missing, in YAML (rbac.authorization.k8s.io/v1, PolicyRule). */
export function missingRule({ verb, resource }: Asked): string {
  const [plural = '', ...group] = resource.split('.');
  const verbs = needed(verb).replace(' and ', ', ');
  return `- {apiGroups: ["${group.join('.')}"], resources: [${plural}], verbs: [${verbs}]}`;
}

const REACH = 'see that the API server runs, and that its address and the route to it are right';
const AUTHORITY =
  "the certificate authority of the kubeconfig or service account is not the server's: renew it there";

/** By the code of an error or of one of its causes. */
const BY_CODE: Readonly<Record<string, FailureWords>> = {
  ECONNREFUSED: { kind: 'refused', words: 'connection refused', cure: REACH },
  ECONNRESET: { kind: 'closed', words: 'connection closed by the other side', cure: REACH },
  EPIPE: { kind: 'closed', words: 'connection closed by the other side', cure: REACH },
  EHOSTUNREACH: { kind: 'unreachable', words: 'no route to the host', cure: REACH },
  ENETUNREACH: { kind: 'unreachable', words: 'network unreachable', cure: REACH },
  ETIMEDOUT: { kind: 'unreachable', words: 'no answer to the connection', cure: REACH },
  ENOTFOUND: { kind: 'name', words: 'its name does not resolve', cure: 'check the name and DNS' },
  EAI_AGAIN: { kind: 'name', words: 'DNS does not answer', cure: 'check the DNS of the node' },
  CERT_HAS_EXPIRED: {
    kind: 'certificate',
    words: "the server's certificate has expired",
    cure: "renew the server's certificate, and check the clock of this node",
  },
  CERT_NOT_YET_VALID: {
    kind: 'certificate',
    words: "the server's certificate is not valid yet",
    cure: 'check the clock of this node',
  },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    kind: 'certificate',
    words: "the server's certificate is for other names",
    cure: 'use a name or an address of the certificate, or tls-server-name in the kubeconfig',
  },
};

const UNTRUSTED: FailureWords = {
  kind: 'authority',
  words: "the server's certificate is of an unknown authority",
  cure: AUTHORITY,
};
const UNTRUSTED_CODES: readonly string[] = [
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
];

/** A server, and whoever stands between, may say anything. */
const MOST_CHARACTERS = 300;
/** Causes of causes that are looked at. */
const MOST_CAUSES = 5;

/** A failure of the API as its own words, with what to do; never the runtime's advice. */
export function failureWords(error: Error, asked: Asked): FailureWords {
  const kind = failureReason(error);
  if (error instanceof ApiError) return statusWords(error, kind, asked);
  for (const code of codesOf(error)) {
    const found = UNTRUSTED_CODES.includes(code) ? UNTRUSTED : BY_CODE[code];
    if (found !== undefined) return found;
    if (/^ERR_SSL_.*ALERT/.test(code)) return alertWords(code);
  }
  const words = error.message.slice(0, MOST_CHARACTERS);
  const cure = kind === 'credentials' ? 'check the user of the kubeconfig' : REACH;
  return { kind, words, cure };
}

function statusWords({ status, message }: ApiError, kind: string, { verb, resource }: Asked) {
  const { words, cure } = ((): Omit<FailureWords, 'kind'> => {
    switch (kind) {
      case 'unauthorized':
        return {
          words: 'the server does not accept our credentials (401)',
          cure: 'check that the token or client certificate has not expired, and who signed it',
        };
      case 'forbidden':
        return {
          words: `we may not ${verb} ${resource} (403)`,
          cure: `add to the rules of this user or service account (RBAC): ${missingRule({ verb, resource })}`,
        };
      case 'throttled':
        return { words: 'the server has too many requests (429)', cure: 'it passes by itself' };
      case 'missing':
        return { words: `the server has no ${resource} (404)`, cure: 'upgrade the API server' };
      default:
        return {
          words: message.slice(0, MOST_CHARACTERS),
          cure: status >= 500 ? "see the API server's own log" : 'report it: we asked wrongly',
        };
    }
  })();
  return { kind, words, cure };
}

/** A watch is of no use without the list that it continues. */
function needed(verb: Asked['verb']): string {
  return verb === 'list' || verb === 'watch' ? 'list and watch' : verb;
}

/** `ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED`: the server told us before it hung up. */
function alertWords(code: string): FailureWords {
  const alert = code
    .replace(/^.*_ALERT_/, '')
    .replaceAll('_', ' ')
    .toLowerCase();
  const isOurs = alert.includes('certificate') || alert.includes('unknown ca');
  return {
    kind: isOurs ? 'certificate' : 'closed',
    words: `the server refuses the connection: ${alert}`,
    cure: isOurs ? 'renew the client certificate of the kubeconfig' : REACH,
  };
}

function* codesOf(error: unknown): Generator<string> {
  let cause: unknown = error;
  for (let depth = 0; depth < MOST_CAUSES && cause instanceof Error; depth++) {
    const code = errorCode(cause);
    if (code !== undefined) yield code;
    // Tried addresses of one name fail together; the first says enough.
    cause = cause instanceof AggregateError ? (cause.cause ?? cause.errors[0]) : cause.cause;
  }
}
