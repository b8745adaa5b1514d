import type { Logger } from '../../util/log.ts';
import { ensurePrivateDirectory } from '../../util/private-directory.ts';

/** What others could write there would be served as this cluster's Services: then it is not used. */
export function stateDirectoryOf(path: string, log: Logger): { readonly stateDirectory?: string } {
  try {
    ensurePrivateDirectory('state directory', path, process.getuid?.() ?? 0);
    return { stateDirectory: path };
  } catch (err) {
    log.warn({ err }, 'last known objects are neither read nor kept');
    return {};
  }
}
