const collator = new Intl.Collator('en', { numeric: true });

/** As people count: node-2 before node-10. */
export function byName(one: string, other: string): number {
  return collator.compare(one, other);
}
