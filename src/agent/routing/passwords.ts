import { whyNoPassword } from '../../routing/bird-text.ts';
import type { PeerSettings } from '../../routing/settings.ts';
import { errorCode, toError } from '../../util/errors.ts';
import { readBeginning } from '../../util/files.ts';

const MOST_BYTES = 4_096;

/** Reads the passwords of neighbours from their files, where a Secret is mounted. */
export class Passwords {
  #problems: readonly string[] = [];

  /** By the neighbour's name; read anew, as a Secret may have been replaced. */
  read(peers: readonly PeerSettings[]): ReadonlyMap<string, string> {
    const problems: string[] = [];
    const passwords = new Map<string, string>();
    for (const { name, passwordFile } of peers) {
      if (passwordFile === undefined) continue;
      const found = readPassword(passwordFile);
      if ('password' in found) passwords.set(name, found.password);
      else problems.push(`BGP neighbour ${name}: password in ${passwordFile}: ${found.problem}`);
    }
    this.#problems = problems;
    return passwords;
  }

  /** Of the last reading; none of them tells a password. */
  problems(): readonly string[] {
    return this.#problems;
  }
}

function readPassword(path: string): { readonly password: string } | { readonly problem: string } {
  try {
    const password = readBeginning(path, MOST_BYTES).text.replace(/\r?\n$/, '');
    const problem = whyNoPassword(password);
    return problem === undefined ? { password } : { problem };
  } catch (thrown) {
    return { problem: errorCode(thrown) ?? toError(thrown).message };
  }
}
