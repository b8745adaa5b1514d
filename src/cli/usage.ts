import { WeftError } from '../util/errors.ts';

/** The command line is wrong; the message names the flag and the cure. Ends with exit code 2. */
export class UsageError extends WeftError {
  constructor(message: string, options?: ErrorOptions) {
    super('USAGE', message, options);
  }
}
