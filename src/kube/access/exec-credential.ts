import { execFile } from 'node:child_process';
import type { Clock } from '../../util/clock.ts';
import { DecodeError, IoError } from '../../util/errors.ts';
import { ObjectReader } from '../fields.ts';

/** The `exec` entry of a kubeconfig user; `command` is absolute or looked up in PATH. */
export interface ExecPlugin {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly installHint?: string | undefined;
  /** `spec.cluster` of KUBERNETES_EXEC_INFO; present when the plugin asked for it. */
  readonly cluster?: Readonly<Record<string, unknown>> | undefined;
}

/** `status` of an ExecCredential. */
export interface ExecStatus {
  readonly token?: string | undefined;
  /** PEM. */
  readonly clientCertificate?: string | undefined;
  readonly clientKey?: string | undefined;
  /** Milliseconds since the epoch; undefined is valid until the server refuses it. */
  readonly expiresAt?: number | undefined;
}

export interface ExecOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** A plugin that takes longer is killed. */
  readonly timeoutMs: number;
  /** Told, once for each run, when nothing is known after 5 s. */
  readonly onSlow?: ((command: string, elapsedMs: number) => void) | undefined;
}

const SLOW_MS = 5_000;

const MAX_OUTPUT_BYTES = 1 << 20;
/** Renewed this long before it expires, so that a request in flight is not refused. */
const EXPIRY_MARGIN_MS = 10_000;

/**
 * Runs a client-go credential plugin and keeps what it said until that expires. Follows
 * client.authentication.k8s.io v1 and v1beta1; `interactiveMode` is ignored, there is no terminal.
 */
export class ExecCredentialSource {
  readonly #plugin: ExecPlugin;
  readonly #options: ExecOptions;
  #status: ExecStatus | undefined;
  #running: Promise<ExecStatus> | undefined;

  constructor(plugin: ExecPlugin, options: ExecOptions) {
    this.#plugin = plugin;
    this.#options = options;
  }

  /** Throws IoError when the plugin fails and DecodeError when its output is not usable. */
  async current(): Promise<ExecStatus> {
    if (this.#status !== undefined && !this.#isExpired(this.#status)) return this.#status;
    this.#running ??= this.#run();
    this.#status = await this.#running;
    return this.#status;
  }

  invalidate(): void {
    this.#status = undefined;
  }

  #isExpired({ expiresAt }: ExecStatus): boolean {
    return expiresAt !== undefined && this.#options.clock.now() >= expiresAt - EXPIRY_MARGIN_MS;
  }

  async #run(): Promise<ExecStatus> {
    const { apiVersion, command } = this.#plugin;
    const { clock, onSlow } = this.#options;
    const cancel = clock.schedule(SLOW_MS, () => onSlow?.(command, SLOW_MS));
    try {
      return parseExecCredential(await this.#output(), apiVersion, command);
    } finally {
      cancel();
      this.#running = undefined;
    }
  }

  #output(): Promise<string> {
    const { apiVersion, command, args, env, cluster, installHint } = this.#plugin;
    const info = { apiVersion, kind: 'ExecCredential', spec: { interactive: false, cluster } };
    return new Promise((resolve, reject) => {
      const child = execFile(
        command,
        [...args],
        {
          env: { ...this.#options.environment, ...env, KUBERNETES_EXEC_INFO: JSON.stringify(info) },
          timeout: this.#options.timeoutMs,
          killSignal: 'SIGKILL',
          maxBuffer: MAX_OUTPUT_BYTES,
        },
        (error, stdout, stderr) => {
          if (error === null) return resolve(stdout);
          const hint = installHint === undefined ? '' : ` (${installHint.trim()})`;
          // Neither the error nor its cause is passed on: both quote the arguments, which may be secret.
          const reason = error.killed
            ? `killed, no answer within ${this.#options.timeoutMs} ms or too much output`
            : `exit ${String(error.code)}: ${stderr.trim().slice(-500)}`;
          reject(new IoError(`run exec plugin ${command}: ${reason}${hint}`));
        },
      );
      child.stdin?.end();
      child.once('exit', (_code, signal) => {
        if (signal === null) return;
        // Programs that a killed plugin has started keep its output open, and would be waited for.
        child.stdout?.destroy();
        child.stderr?.destroy();
      });
    });
  }
}

/** Reads an ExecCredential. The text itself never enters an error: it holds the token. */
function parseExecCredential(text: string, apiVersion: string, command: string): ExecStatus {
  const fail = (reason: string) =>
    new DecodeError(`read answer of exec plugin ${command}: ${reason}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw fail('is not JSON');
  }
  const object = new ObjectReader(value, 'strict');
  if (object.optionalString('kind') !== 'ExecCredential') throw fail('kind is not ExecCredential');
  if (object.optionalString('apiVersion') !== apiVersion) {
    throw fail(`apiVersion is not ${apiVersion}, which the kubeconfig asks for`);
  }
  const status = object.object('status');
  const expiry = status.optionalString('expirationTimestamp');
  const expiresAt = expiry === undefined ? undefined : Date.parse(expiry);
  if (Number.isNaN(expiresAt)) throw fail('status.expirationTimestamp is not a date');
  const token = status.optionalString('token');
  const clientCertificate = status.optionalString('clientCertificateData');
  const clientKey = status.optionalString('clientKeyData');
  if ((clientCertificate === undefined) !== (clientKey === undefined)) {
    throw fail('clientCertificateData and clientKeyData must come together');
  }
  if (token === undefined && clientKey === undefined) {
    throw fail('status has neither a token nor a client certificate');
  }
  return { token, clientCertificate, clientKey, expiresAt };
}
