import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface KeyPair {
  /** PEM. */
  readonly certificate: string;
  readonly key: string;
}

/** A throw-away certificate authority; `issue` signs server and client certificates. */
export interface TestAuthority {
  readonly certificate: string;
  /** `names` are subjectAltName entries such as `IP:127.0.0.1`; the first argument is the CN. */
  issue(commonName: string, names?: readonly string[]): KeyPair;
}

/** A certificate of nobody else that expired a day ago. */
export function expiredPair(commonName: string): KeyPair {
  return withDirectory((path) => {
    const [request, key] = [path('request.pem'), path('key.pem')];
    const subject = ['-subj', `/CN=${commonName}`];
    openssl(['req', ...KEY_OPTIONS, ...subject, '-out', request, '-keyout', key]);
    const signed = ['-req', '-in', request, '-signkey', key, '-days', '-1'];
    openssl(['x509', ...signed, '-out', path('crt.pem')]);
    return readPair(path);
  });
}

const KEY_OPTIONS = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
const DAYS = ['-days', '2'];

/** Makes a new authority with the openssl command; node:crypto can read certificates, not make them. */
export function createAuthority(): TestAuthority {
  const authority = withDirectory((path) => {
    openssl(['req', '-x509', ...KEY_OPTIONS, ...DAYS, '-subj', '/CN=test-ca', ...outputs(path)]);
    return readPair(path);
  });
  return {
    certificate: authority.certificate,
    issue: (commonName, names = []) =>
      withDirectory((path) => {
        const alternatives = names.length === 0 ? 'DNS:unused' : names.join(',');
        openssl([
          ...['req', '-x509', ...KEY_OPTIONS, ...DAYS, '-subj', `/CN=${commonName}`],
          ...outputs(path),
          ...['-CA', write(path, 'ca.crt', authority.certificate)],
          ...['-CAkey', write(path, 'ca.key', authority.key)],
          ...['-addext', `subjectAltName=${alternatives}`, '-addext', 'basicConstraints=CA:FALSE'],
        ]);
        return readPair(path);
      }),
  };
}

function withDirectory<T>(use: (path: (name: string) => string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'weft-certificates-'));
  try {
    return use((name) => join(directory, name));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

type Place = (name: string) => string;

function openssl(args: readonly string[]): void {
  execFileSync('openssl', [...args], { stdio: ['ignore', 'ignore', 'pipe'] });
}

function outputs(path: Place): string[] {
  return ['-out', path('crt.pem'), '-keyout', path('key.pem')];
}

function readPair(path: Place): KeyPair {
  return {
    certificate: readFileSync(path('crt.pem'), 'utf8'),
    key: readFileSync(path('key.pem'), 'utf8'),
  };
}

function write(path: Place, name: string, text: string): string {
  writeFileSync(path(name), text, { mode: 0o600 });
  return path(name);
}
