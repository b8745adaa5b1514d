// The standalone CNI executable, started by the shim: runs the code in weft-cni.bin, whose format
// scripts/code-cache.ts describes. V8 refuses a cache that another release or other flags made, and
// compiles the source.
'use strict';
const { readFileSync, writeSync } = require('node:fs');
const { Script } = require('node:vm');

try {
  const file = `${__dirname}/weft-cni.bin`;
  const bytes = readFileSync(file);
  const end = 8 + bytes.readUInt32LE(0);
  const script = new Script(bytes.latin1Slice(end), {
    filename: file,
    cachedData: bytes.subarray(8, end),
  });
  script.runInThisContext()(require, `file://${__filename}`);
} catch (error) {
  // A damaged installation: the runtime still gets an error object.
  const msg = `the weft standalone cannot run: ${error.message}`;
  writeSync(1, JSON.stringify({ cniVersion: '1.1.0', code: 5, msg }));
  process.exitCode = 1;
}
