import type { Clock } from '../../util/clock.ts';
import type { Credential, Credentials, PlacedCertificate } from './access.ts';
import type { ExecCredentialSource } from './exec-credential.ts';
import { FILE_MAX_AGE_MS, type TextSource } from './file-cache.ts';

/** What the readers of credentials need of their surroundings. */
export interface AccessOptions {
  readonly clock: Clock;
  /** Environment of exec plugins and source of KUBERNETES_SERVICE_HOST and _PORT. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Age at which token and certificate files are read again. */
  readonly fileMaxAgeMs?: number;
  readonly execTimeoutMs?: number;
  /** Told, once for each run, of an exec plugin that takes its time. */
  readonly onSlowPlugin?: (command: string, elapsedMs: number) => void;
}

const EXEC_TIMEOUT_MS = 30_000;

/** The options with every default filled in. */
export function accessTimings(options: AccessOptions): {
  fileMaxAgeMs: number;
  execTimeoutMs: number;
} {
  return {
    fileMaxAgeMs: options.fileMaxAgeMs ?? FILE_MAX_AGE_MS,
    execTimeoutMs: options.execTimeoutMs ?? EXEC_TIMEOUT_MS,
  };
}

/** The ways to identify that a kubeconfig user or a service account can combine. */
export interface CredentialParts {
  readonly certificateAuthority?: TextSource | undefined;
  readonly clientCertificate?: TextSource | undefined;
  readonly clientKey?: TextSource | undefined;
  readonly token?: TextSource | undefined;
  readonly basic?: { readonly username: string; readonly password: string } | undefined;
  readonly exec?: ExecCredentialSource | undefined;
}

/** Credentials put together from files, fixed texts and an exec plugin, each read when needed. */
export class CombinedCredentials implements Credentials {
  readonly #parts: CredentialParts;

  constructor(parts: CredentialParts) {
    this.#parts = parts;
  }

  async current(): Promise<Credential> {
    const { certificateAuthority, clientCertificate, clientKey, token, basic, exec } = this.#parts;
    const status = await exec?.current();
    const bearer = (await token?.read()) ?? status?.token;
    return {
      authorization: bearer === undefined ? basicAuthorization(basic) : `Bearer ${bearer}`,
      certificateAuthority: await certificateAuthority?.read(),
      clientCertificate: (await clientCertificate?.read()) ?? status?.clientCertificate,
      clientKey: (await clientKey?.read()) ?? status?.clientKey,
    };
  }

  async authority(): Promise<string | undefined> {
    return this.#parts.certificateAuthority?.read();
  }

  async certificates(): Promise<readonly PlacedCertificate[]> {
    const { clientCertificate, certificateAuthority } = this.#parts;
    const roles = [
      ['client', clientCertificate],
      ['authority', certificateAuthority],
    ] as const;
    const found = roles.map(async ([role, source]) => {
      if (source === undefined) return [];
      return [{ role, file: source.path, text: await source.read() }];
    });
    return (await Promise.all(found)).flat();
  }

  invalidate(): void {
    const { certificateAuthority, clientCertificate, clientKey, token, exec } = this.#parts;
    for (const part of [certificateAuthority, clientCertificate, clientKey, token, exec]) {
      part?.invalidate();
    }
  }
}

function basicAuthorization(basic: CredentialParts['basic']): string | undefined {
  if (basic === undefined) return undefined;
  return `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString('base64')}`;
}
