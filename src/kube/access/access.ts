/** What proves who we are, and whom we trust; valid for one request. */
export interface Credential {
  /** Value of the Authorization header. */
  readonly authorization?: string | undefined;
  /** PEM. */
  readonly clientCertificate?: string | undefined;
  readonly clientKey?: string | undefined;
  /** PEM bundle; undefined trusts the bundle Node ships. */
  readonly certificateAuthority?: string | undefined;
}

/** Certificates that are given, and where they are from. */
export interface PlacedCertificate {
  readonly role: 'client' | 'authority';
  /** The file; undefined: the kubeconfig itself holds it. */
  readonly file: string | undefined;
  /** PEM; one after the other. */
  readonly text: string;
}

/** Gives the credential to use now. Implementations re-read files and repeat expired exec plugins. */
export interface Credentials {
  /** Throws IoError or ConfigError; the messages never hold secrets. */
  current(): Promise<Credential>;
  /** The CA bundle alone (PEM); works without network. Throws IoError. */
  authority(): Promise<string | undefined>;
  /** What of it are certificates, for people who look when they expire; never a key. */
  certificates(): Promise<readonly PlacedCertificate[]>;
  /** The server refused the last credential (401): the next call reads everything anew. */
  invalidate(): void;
}

/** Everything needed to reach one API server. */
export interface ClusterAccess {
  /** http or https, with a path prefix if the server has one. */
  readonly server: URL;
  readonly credentials: Credentials;
  /** Name the server's certificate must carry instead of the host of `server`. */
  readonly tlsServerName?: string | undefined;
  readonly isTlsVerified: boolean;
  /** http or https URL of a CONNECT proxy. */
  readonly proxyUrl?: string | undefined;
  /** Sent with every request (impersonation). */
  readonly headers?: Readonly<Record<string, string | string[]>> | undefined;
}
