import { Ajv, type AnySchema, type ErrorObject, type ValidateFunction } from 'ajv';
import type { KeyPath } from './document.ts';
import { parseGoDuration } from './go-duration.ts';
import { suggestion } from './nearest.ts';

/** Something in a configuration that its schema does not allow. */
export interface SchemaFinding {
  readonly kind: 'unknownKey' | 'wrongValue';
  readonly path: KeyPath;
  /** The reason alone, without the key: `expected string, found number 10249`. */
  readonly reason: string;
}

/**
 * A function that compares a value with a JSON schema and gives every deviation, in schema order.
 * `referenced` are schemas that `schema` reaches by `$ref` to their `$id`.
 */
export function createSchemaCheck(
  schema: AnySchema,
  referenced: readonly AnySchema[] = [],
): (value: unknown) => readonly SchemaFinding[] {
  const ajv = new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true });
  ajv.addFormat('go-duration', (text: string) => parseGoDuration(text) !== undefined);
  ajv.addSchema([...referenced]);
  let validate: ValidateFunction | undefined;
  return (value) => {
    // Compiled on first use: most command lines read no file.
    validate ??= ajv.compile(schema);
    return validate(value) ? [] : (validate.errors ?? []).map(toFinding);
  };
}

function toFinding(error: ErrorObject): SchemaFinding {
  const path = error.instancePath.split('/').slice(1).map(decodePointer);
  if (error.keyword === 'additionalProperties') {
    const key = String(error.params['additionalProperty']);
    const known = Object.keys(error.parentSchema?.['properties'] ?? {});
    const reason = `unknown key${suggestion(key, known)}`;
    return { kind: 'unknownKey', path: [...path, key], reason };
  }
  return { kind: 'wrongValue', path, reason: reasonOf(error) };
}

function reasonOf(error: ErrorObject): string {
  const found = describeValue(error.data);
  switch (error.keyword) {
    case 'type':
      return `expected ${error.params['type']}, found ${found}`;
    case 'format':
      return `expected a duration such as 30s or 1h30m, found ${found}`;
    case 'enum':
      return `expected one of ${listed(error.params['allowedValues'])}, found ${found}`;
    default:
      return `${error.message ?? error.keyword}, found ${found}`;
  }
}

function listed(values: unknown): string {
  return Array.isArray(values) ? values.map((value) => JSON.stringify(value)).join(', ') : '';
}

/** `string "yes"`, `number 7`, `list`, `mapping`: enough to recognise the value, never a dump. */
function describeValue(value: unknown): string {
  if (Array.isArray(value)) return 'list';
  if (typeof value === 'object') return 'mapping';
  const text = JSON.stringify(value) ?? String(value);
  return `${typeof value} ${text.length > 60 ? `${text.slice(0, 60)}…` : text}`;
}

/** JSON pointer escapes (RFC 6901). */
function decodePointer(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}
