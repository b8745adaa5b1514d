import {
  BusyError,
  ConfigError,
  DecodeError,
  errorCode,
  IoError,
  toError,
} from '../../util/errors.ts';

/** Error codes of the CNI specification ("Error") and of libcni's types.go, which adds 8 and 999. */
export const CNI_ERROR_CODE = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  ioFailure: 5,
  decodingFailure: 6,
  invalidNetworkConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  pluginNotAvailable: 50,
  limitedConnectivity: 51,
  hostPortTaken: 100,
  internal: 999,
} as const;

export type CniErrorCode = (typeof CNI_ERROR_CODE)[keyof typeof CNI_ERROR_CODE];

/** An error with the code the runtime shall see; `details` is the long form, absent when empty. */
export class CniError extends Error {
  /** One of `CNI_ERROR_CODE`, or what a delegate said. */
  readonly cniCode: number;
  readonly details: string | undefined;

  constructor(code: number, message: string, details?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CniError';
    this.cniCode = code;
    this.details = details;
  }
}

/** A key this build knows but does not serve: CNI code 2, whose message names the key and its value. */
export function unsupportedField(key: string, value: unknown): CniError {
  return new CniError(
    CNI_ERROR_CODE.unsupportedField,
    `unsupported field in network configuration: ${key} = ${JSON.stringify(value)}`,
  );
}

/** Gives any thrown value its CNI code; what nothing is known about becomes 999, as in libcni's skel. */
export function toCniError(thrown: unknown): CniError {
  if (thrown instanceof CniError) return thrown;
  const error = toError(thrown);
  return new CniError(codeOf(error), messageOf(error), causeOf(error), { cause: error });
}

function codeOf(error: Error): CniErrorCode {
  if (error instanceof ConfigError) return CNI_ERROR_CODE.invalidNetworkConfig;
  if (error instanceof BusyError) return CNI_ERROR_CODE.tryAgainLater;
  if (error instanceof DecodeError) return CNI_ERROR_CODE.decodingFailure;
  if (error instanceof IoError) return CNI_ERROR_CODE.ioFailure;
  if (errorCode(error) === 'NETNS') return CNI_ERROR_CODE.invalidNetns;
  return CNI_ERROR_CODE.internal;
}

function messageOf(error: Error): string {
  if (!(error instanceof ConfigError) || error.message.includes(error.key)) return error.message;
  return `${error.key}: ${error.message}`;
}

/** Only what the message does not say already. */
function causeOf(error: Error): string | undefined {
  if (error.cause === undefined) return undefined;
  const { message } = toError(error.cause);
  return error.message.includes(message) ? undefined : message;
}
