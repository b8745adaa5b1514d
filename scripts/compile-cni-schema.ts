/**
 * Compiles src/cni/bridge/config.schema.json to plain code, so that the CNI executable starts without
 * ajv. Run after every change of the schema: `node scripts/compile-cni-schema.ts`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { Ajv } from 'ajv';
import standalone from 'ajv/dist/standalone/index.js';

const SCHEMA_URL = new URL('../src/cni/bridge/config.schema.json', import.meta.url);
const OUTPUT_URL = new URL('../src/cni/bridge/config-validator.generated.ts', import.meta.url);

/** The module text for the schema now on disk. */
export function compileSchema(): string {
  const schema: unknown = JSON.parse(readFileSync(SCHEMA_URL, 'utf8'));
  if (typeof schema !== 'object' || schema === null) throw new Error('schema is not an object');
  const ajv = new Ajv({ code: { source: true, esm: true, optimize: true } });
  const code = standalone.default(ajv, ajv.compile(schema));
  const header =
    '// @ts-nocheck: written by scripts/compile-cni-schema.ts from config.schema.json\n';
  return `${header}${code.replace('"use strict";', '').replace(/export default \w+;/, '')}\n`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(OUTPUT_URL, compileSchema());
}
