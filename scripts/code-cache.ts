/**
 * code-cache.ts SOURCE TARGET: the source behind V8's compiled form of all of it, in one file, so
 * that neither can be replaced without the other. Run with the flags that the reader has too.
 *
 * Format: length of the cache (32 bits, little-endian), 4 zero bytes, the cache, the source (ASCII).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

const [source = '', target = ''] = process.argv.slice(2);
const text = readFileSync(source, 'utf8');
if (/[^\0-\x7f]/.test(text)) throw new Error(`${source}: not ASCII`);

// Every function, also those that no run before has called. The flag is part of what V8 compares.
setFlagsFromString('--no-lazy');
const script = new Script(text);
setFlagsFromString('--lazy');
const cachedData = script.createCachedData();
if (new Script(text, { cachedData }).cachedDataRejected !== false) {
  throw new Error(`${source}: V8 does not take its own code cache`);
}
const header = Buffer.alloc(8);
header.writeUInt32LE(cachedData.length);
writeFileSync(target, Buffer.concat([header, cachedData, Buffer.from(text)]));
