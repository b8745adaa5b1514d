import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { ConfigError, errorCode, IoError, toError } from '../../util/errors.ts';
import { FieldError, type FieldPath, formatPath, ObjectReader } from '../fields.ts';
import type { ClusterAccess } from './access.ts';
import {
  type AccessOptions,
  accessTimings,
  CombinedCredentials,
  type CredentialParts,
} from './credentials.ts';
import { environmentProxy } from './environment-proxy.ts';
import { ExecCredentialSource, type ExecPlugin } from './exec-credential.ts';
import { CachedFile, fixedText, type TextSource } from './file-cache.ts';

const EXEC_API_VERSIONS = [
  'client.authentication.k8s.io/v1',
  'client.authentication.k8s.io/v1beta1',
];
/** Where client-go looks for the plugin's own configuration inside a cluster entry. */
const EXEC_EXTENSION = 'client.authentication.k8s.io/exec';

/**
 * Reads a kubeconfig file and takes its current context. Relative paths are relative to the file.
 * Throws ConfigError with the key that is wrong, IoError when a file cannot be read; no message
 * quotes contents. Follows client-go's clientcmd api/v1.
 */
export async function readKubeconfig(path: string, options: AccessOptions): Promise<ClusterAccess> {
  return readingKubeconfig(path, options, (reader) => reader.access());
}

/** What a kubeconfig says of the server, and nothing of the user. */
export interface KubeconfigCluster {
  readonly server: URL;
  readonly tlsServerName: string | undefined;
  /** Undefined where it names none. */
  readonly authority: TextSource | undefined;
}

/**
 * The cluster of a kubeconfig's current context; the user is not looked at. Absolute paths in it are
 * below `root`. Throws as `readKubeconfig`.
 */
export async function readKubeconfigCluster(
  path: string,
  root: string,
  options: AccessOptions,
): Promise<KubeconfigCluster> {
  return readingKubeconfig(path, options, async (reader) => reader.cluster(), root);
}

async function readingKubeconfig<T>(
  path: string,
  options: AccessOptions,
  read: (reader: KubeconfigReader) => Promise<T>,
  root = '/',
): Promise<T> {
  const document = await readRoot(path);
  try {
    return await read(new KubeconfigReader(document, path, options, root));
  } catch (thrown) {
    if (!(thrown instanceof FieldError)) throw thrown;
    const key = formatPath(thrown.path);
    throw new ConfigError(key, `read kubeconfig ${path}: ${key} ${thrown.reason}`);
  }
}

async function readRoot(path: string): Promise<ObjectReader> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (thrown) {
    const reason = errorCode(thrown) === 'ENOENT' ? 'no such file' : toError(thrown).message;
    throw new IoError(`read kubeconfig ${path}: ${reason}`, { cause: thrown });
  }
  const lineCounter = new LineCounter();
  // Pretty errors quote the line, and the line may hold a token.
  const document = parseDocument(text, { lineCounter, prettyErrors: false, merge: true });
  const error = document.errors[0];
  if (error !== undefined) {
    const { line, col } = lineCounter.linePos(error.pos[0]);
    throw new ConfigError('', `read kubeconfig ${path}:${line}:${col}: ${error.code}`);
  }
  try {
    return new ObjectReader(document.toJS(), 'strict');
  } catch {
    throw new ConfigError('', `read kubeconfig ${path}: is not a mapping`);
  }
}

class KubeconfigReader {
  readonly #root: ObjectReader;
  readonly #directory: string;
  readonly #options: AccessOptions;
  /** Of the file system that absolute paths belong to. */
  readonly #fileRoot: string;

  constructor(root: ObjectReader, path: string, options: AccessOptions, fileRoot: string) {
    this.#root = root;
    this.#directory = dirname(resolve(path));
    this.#options = options;
    this.#fileRoot = fileRoot;
  }

  cluster(): KubeconfigCluster {
    const { cluster } = this.#current();
    return {
      server: parseServer(cluster.string('server'), [...cluster.path, 'server']),
      tlsServerName: cluster.optionalString('tls-server-name') || undefined,
      authority: this.#pem(cluster, 'certificate-authority'),
    };
  }

  async access(): Promise<ClusterAccess> {
    const { context, cluster } = this.#current();
    const userName = context.optionalString('user') ?? '';
    const user = userName === '' ? undefined : this.#entry('users', userName, 'user');
    const authority = this.#pem(cluster, 'certificate-authority');
    const isTlsVerified = cluster.optionalBoolean('insecure-skip-tls-verify') !== true;
    if (!isTlsVerified && authority !== undefined) {
      throw new FieldError(
        [...cluster.path, 'insecure-skip-tls-verify'],
        'must not be set together with a certificate authority',
      );
    }
    const server = parseServer(cluster.string('server'), [...cluster.path, 'server']);
    return {
      server,
      credentials: new CombinedCredentials({
        certificateAuthority: authority,
        ...(user === undefined ? {} : await this.#parts(user, cluster)),
      }),
      tlsServerName: cluster.optionalString('tls-server-name') || undefined,
      isTlsVerified,
      proxyUrl: readProxyUrl(cluster) ?? environmentProxy(server, this.#options.environment),
      headers: user && impersonationHeaders(user),
    };
  }

  #current() {
    const context = this.#entry('contexts', this.#root.string('current-context'), 'context');
    return { context, cluster: this.#entry('clusters', context.string('cluster'), 'cluster') };
  }

  /** The value under `key` of the entry called `name` in one of the three lists. */
  #entry(list: string, name: string, key: string): ObjectReader {
    const entries = this.#root.optionalObjects(list) ?? [];
    const entry = entries.find((candidate) => candidate.optionalString('name') === name);
    if (entry === undefined) throw new FieldError([list], `has no entry ${JSON.stringify(name)}`);
    return entry.object(key);
  }

  async #parts(user: ObjectReader, cluster: ObjectReader): Promise<CredentialParts> {
    if (user.optionalObject('auth-provider') !== undefined) {
      throw new FieldError(
        [...user.path, 'auth-provider'],
        'is not supported since Kubernetes 1.26, use exec',
      );
    }
    const clientCertificate = this.#pem(user, 'client-certificate');
    const clientKey = this.#pem(user, 'client-key');
    if ((clientCertificate === undefined) !== (clientKey === undefined)) {
      throw new FieldError(
        user.path,
        'must have both client-certificate and client-key or neither',
      );
    }
    const exec = user.optionalObject('exec');
    const username = user.optionalString('username');
    return {
      clientCertificate,
      clientKey,
      token: this.#token(user),
      basic: username ? { username, password: user.optionalString('password') ?? '' } : undefined,
      exec: exec && (await this.#exec(exec, cluster)),
    };
  }

  /** Of both, the file wins once it could be read. */
  #token(user: ObjectReader): TextSource | undefined {
    const token = user.optionalString('token') || undefined;
    const tokenFile = user.optionalString('tokenFile');
    if (tokenFile) return this.#file(tokenFile, token);
    return token === undefined ? undefined : fixedText(token);
  }

  /** `<key>-data` (base64) or the file named by `<key>`; the data wins. */
  #pem(object: ObjectReader, key: string): TextSource | undefined {
    const data = object.optionalString(`${key}-data`);
    if (data) {
      const text = Buffer.from(data, 'base64').toString('utf8');
      if (text.includes('-----BEGIN')) return fixedText(text);
      throw new FieldError([...object.path, `${key}-data`], 'is not PEM in base64');
    }
    const file = object.optionalString(key);
    return file ? this.#file(file) : undefined;
  }

  #file(path: string, initialText?: string): CachedFile {
    const { fileMaxAgeMs: maxAgeMs } = accessTimings(this.#options);
    const absolute = isAbsolute(path) ? join(this.#fileRoot, path) : join(this.#directory, path);
    return new CachedFile(absolute, { clock: this.#options.clock, maxAgeMs, initialText });
  }

  async #exec(exec: ObjectReader, cluster: ObjectReader): Promise<ExecCredentialSource> {
    const command = exec.string('command');
    const env = exec.optionalObjects('env') ?? [];
    const plugin: ExecPlugin = {
      apiVersion: exec.choice('apiVersion', EXEC_API_VERSIONS),
      // As in client-go: only a command with a slash is a path, all others are looked up in PATH.
      command: command.includes('/') ? resolve(this.#directory, command) : command,
      args: exec.optionalStrings('args') ?? [],
      env: Object.fromEntries(
        env.map((entry) => [entry.string('name'), entry.optionalString('value') ?? '']),
      ),
      installHint: exec.optionalString('installHint'),
      cluster: exec.optionalBoolean('provideClusterInfo')
        ? await this.#clusterForPlugin(cluster)
        : undefined,
    };
    return new ExecCredentialSource(plugin, {
      clock: this.#options.clock,
      environment: this.#options.environment,
      timeoutMs: accessTimings(this.#options).execTimeoutMs,
      onSlow: this.#options.onSlowPlugin,
    });
  }

  async #clusterForPlugin(cluster: ObjectReader): Promise<Record<string, unknown>> {
    const authority = await this.#pem(cluster, 'certificate-authority')?.read();
    const extension = cluster
      .optionalObjects('extensions')
      ?.find((entry) => entry.optionalString('name') === EXEC_EXTENSION);
    return {
      server: cluster.string('server'),
      'tls-server-name': cluster.optionalString('tls-server-name'),
      'insecure-skip-tls-verify': cluster.optionalBoolean('insecure-skip-tls-verify'),
      'certificate-authority-data': authority && Buffer.from(authority).toString('base64'),
      'proxy-url': cluster.optionalString('proxy-url'),
      config: extension?.value('extension'),
    };
  }
}

function parseServer(text: string, path: FieldPath): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new FieldError(path, 'must be an http or https URL');
  }
  if (url.username !== '' || url.password !== '') {
    throw new FieldError(path, 'must not hold a user name or password');
  }
  return url;
}

function readProxyUrl(cluster: ObjectReader): string | undefined {
  const text = cluster.optionalString('proxy-url');
  if (!text) return undefined;
  const protocol = URL.canParse(text) ? new URL(text).protocol : undefined;
  if (protocol === 'http:' || protocol === 'https:') return text;
  throw new FieldError([...cluster.path, 'proxy-url'], 'must be an http or https URL');
}

function impersonationHeaders(user: ObjectReader): Record<string, string | string[]> | undefined {
  const name = user.optionalString('as');
  if (!name) return undefined;
  const uid = user.optionalString('as-uid');
  return {
    'Impersonate-User': name,
    ...(uid ? { 'Impersonate-Uid': uid } : {}),
    'Impersonate-Group': [...(user.optionalStrings('as-groups') ?? [])],
  };
}
