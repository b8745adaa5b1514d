/** Names of metrics in an expression of PromQL; of a histogram that of the whole. */
export function metricsIn(expr: string): readonly string[] {
  const bare = expr
    .replace(/\{[^}]*\}/g, '')
    .replace(/\[[^\]]*\]/g, '')
    .replace(/\b(by|on|without|ignoring)\s*\([^)]*\)/g, '');
  const words = bare.match(/[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\()\b/g) ?? [];
  const names = words.filter((word) => word.includes('_') || word === 'up');
  return names
    .filter((name) => !new RegExp(`\\b${name}\\s*\\(`).test(bare))
    .map((name) => name.replace(/_(bucket|count|sum)$/, ''));
}
