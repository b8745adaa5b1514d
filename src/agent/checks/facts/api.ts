import { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import type { ClusterAccess, PlacedCertificate } from '../../../kube/access/access.ts';
import type { Failing } from '../../../kube/api/reflector.ts';
import { BusyError, toError } from '../../../util/errors.ts';
import type { ApiFacts, ReadCertificate } from '../api.ts';
import type { Fact } from '../check.ts';
import type { CheckedNode, CheckedSource } from '../checked-node.ts';

/** A server that restarts, or moves its leader, is back before this. */
const GRACE_MS = 5_000;
const CONNECT_TIMEOUT_MS = 500;
const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** Of a bundle of authorities. */
const MOST_CERTIFICATES = 10;

export async function readApiFacts({ agent }: CheckedNode): Promise<ApiFacts> {
  const source = agent?.source;
  const access = source?.access;
  const failing = source === undefined ? [] : failingOf(source);
  return {
    location: source?.location,
    failing,
    nowMs: source?.nowMs ?? 0,
    isRestored: source?.counts.some(({ isRestored }) => isRestored) ?? false,
    skewMs: source?.skewMs,
    hasCertificates: access !== undefined,
    certificates: access === undefined ? [] : await attempt(() => readCertificates(access)),
    serverCertificate:
      access !== undefined && failing.some(({ kind }) => isOfCertificates(kind))
        ? await attempt(() => readServerCertificate(access))
        : undefined,
    timeMs: source?.timeMs ?? 0,
    nodeProblem: source?.nodeProblem,
  };
}

function isOfCertificates(kind: string): boolean {
  return kind === 'certificate' || kind === 'authority';
}

async function attempt<T>(read: () => Promise<T>): Promise<Fact<T>> {
  try {
    return await read();
  } catch (thrown) {
    return { unread: toError(thrown).message };
  }
}

function failingOf({ counts, nowMs }: CheckedSource): readonly Failing[] {
  return counts.flatMap(({ failing }) =>
    failing === undefined || nowMs - failing.sinceMs < GRACE_MS ? [] : [failing],
  );
}

async function readCertificates({
  credentials,
}: ClusterAccess): Promise<readonly ReadCertificate[]> {
  return (await credentials.certificates()).flatMap(readAll);
}

function readAll({ role, file, text }: PlacedCertificate): readonly ReadCertificate[] {
  const place = file ?? 'the kubeconfig';
  const found = (text.match(PEM) ?? []).slice(0, MOST_CERTIFICATES);
  const read = found.map((pem) => described(new X509Certificate(pem), role, place));
  // Of a client the first one counts; of authorities one that holds is enough.
  if (role === 'client') return read.slice(0, 1);
  return read.toSorted((left, right) => right.untilMs - left.untilMs).slice(0, 1);
}

/** Whatever it is worth: a handshake without trust, and nothing is sent. */
function readServerCertificate(access: ClusterAccess): Promise<ReadCertificate> {
  const { hostname, port } = access.server;
  const { promise, resolve, reject } = Promise.withResolvers<ReadCertificate>();
  const host = hostname.replace(/^\[|\]$/g, '');
  const servername = access.tlsServerName ?? (/^[\d.]+$|:/.test(host) ? '' : host);
  const socket = connect({
    host,
    port: Number(port || 443),
    servername,
    rejectUnauthorized: false,
  });
  socket.setTimeout(CONNECT_TIMEOUT_MS, () => {
    socket.destroy(new BusyError(`TLS: no answer within ${CONNECT_TIMEOUT_MS} ms`));
  });
  socket.once('error', reject);
  socket.once('secureConnect', () => {
    const shown = socket.getPeerX509Certificate();
    if (shown === undefined) reject(new BusyError('TLS: the server shows no certificate'));
    else resolve(described(shown, 'server', `the API server ${access.server.host}`));
    socket.destroy();
  });
  return promise;
}

function described(
  { subject, issuer, validFrom, validTo }: X509Certificate,
  role: ReadCertificate['role'],
  place: string,
): ReadCertificate {
  const oneLine = (name: string | undefined) => (name ?? '').replaceAll('\n', ',');
  return {
    ...{ role, place, subject: oneLine(subject), issuer: oneLine(issuer) },
    ...{ fromMs: Date.parse(validFrom), untilMs: Date.parse(validTo) },
  };
}
