/** JSON patches (RFC 6902) of YAML documents, which keep their comments. */
import { type Document, isSeq, type Node, parseDocument } from 'yaml';

export interface Operation {
  readonly op: 'add' | 'replace' | 'remove';
  /** JSON pointer (RFC 6901); `-` is the end of a list. */
  readonly path: string;
  readonly value?: unknown;
  /** Goes with the value into the document. */
  readonly comment?: string | undefined;
}

/** The operations that YAML or JSON lists, each with the comment above it. */
export function parseOperations(text: string): readonly Operation[] {
  const list = parseDocument(text).contents;
  if (!isSeq<Node>(list)) throw new RangeError('patch: expected a list of operations');
  // An operation that is none is refused where it is carried out.
  const operations = list.toJSON() as readonly Operation[];
  return operations.map((operation, index) => {
    const comment =
      list.items[index]?.commentBefore ?? (index === 0 ? list.commentBefore : undefined);
    return { ...operation, comment: comment ?? undefined };
  });
}

/** Changes the document. Throws RangeError for a path that leads nowhere. */
export function applyOperation(document: Document, operation: Operation): void {
  const { op, path, value, comment } = operation;
  const steps = path.split('/').slice(1).map(unescaped);
  const [last = '', ...above] = steps.toReversed();
  const parentPath = above.toReversed();
  const parent = document.getIn(parentPath, true);
  const isThere = document.hasIn(steps);
  if (parent === undefined || (op !== 'add' && !isThere))
    throw new RangeError(`${op} ${path}: none`);
  const node = document.createNode(value);
  if (comment !== undefined) node.commentBefore = comment;
  if (op === 'remove') document.deleteIn(steps);
  else if (isSeq(parent) && last === '-') parent.add(node);
  else document.setIn(steps, node);
}

function unescaped(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}
