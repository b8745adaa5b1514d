import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConfigFiles } from '../../routing/speaker.ts';
import { readIfThere, replaceFile } from '../../util/files.ts';
import { ensurePrivateDirectory } from '../../util/private-directory.ts';

/** Passwords of neighbours are in it. */
const MODE = 0o600;

/** BIRD's files in a directory of ours, which is made. Throws where it cannot be. */
export function openConfigFiles(directory: string, ownerUid: number): ConfigFiles {
  ensurePrivateDirectory('the directory of BIRD', directory, ownerUid);
  const path = join(directory, 'bird.conf');
  const candidate = join(directory, 'candidate.conf');
  return {
    path,
    read: () => readIfThere(path),
    writeCandidate: (text) => {
      writeFileSync(candidate, text, { mode: MODE });
      return candidate;
    },
    replace: (text) => replaceFile(path, text, { mode: MODE }),
  };
}
