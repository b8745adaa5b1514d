/** Screenshots against those on file. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pixelmatch from 'pixelmatch';
import { PNG } from 'pngjs';

const GOLDEN = new URL('../../golden/ui', import.meta.url).pathname;
/** That one is in the documents too. */
const SHOWN = new URL('../../../docs/ui.png', import.meta.url).pathname;
/** Where a picture that differs is put, to be looked at. */
const FOUND = new URL('../../../dist/ui-pictures', import.meta.url).pathname;
/** How different a pixel is that counts as another one: edges of letters are not drawn the same everywhere. */
const PIXEL_THRESHOLD = 0.2;
/** Share of such pixels that is let pass. */
const MOST_DIFFERENT = 0.004;

/** Undefined, or what differs. With UPDATE_GOLDEN=1 the picture is put on file instead. */
export function pictureDifference(name: string, picture: Uint8Array): string | undefined {
  const path = name === 'desktop-light' ? SHOWN : join(GOLDEN, `${name}.png`);
  if (process.env['UPDATE_GOLDEN'] === '1') {
    mkdirSync(GOLDEN, { recursive: true });
    writeFileSync(path, picture);
    return undefined;
  }
  if (!existsSync(path)) return `${path} is missing: UPDATE_GOLDEN=1 writes it`;
  const [want, found] = [PNG.sync.read(readFileSync(path)), PNG.sync.read(Buffer.from(picture))];
  const { width, height } = want;
  if (found.width !== width || found.height !== height) {
    return `${name} is ${found.width} × ${found.height}, not ${width} × ${height}`;
  }
  const difference = new PNG({ width, height });
  const options = { threshold: PIXEL_THRESHOLD };
  const count = pixelmatch(want.data, found.data, difference.data, width, height, options);
  if (count <= MOST_DIFFERENT * width * height) return undefined;
  mkdirSync(FOUND, { recursive: true });
  writeFileSync(join(FOUND, `${name}.png`), picture);
  writeFileSync(join(FOUND, `${name}-difference.png`), PNG.sync.write(difference));
  return `${name}: ${count} of ${width * height} pixels differ; see ${FOUND}`;
}
