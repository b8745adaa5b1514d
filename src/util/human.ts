/** Numbers and times as people say them. */

/** `1 pod`, `2 pods` */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `41 s`, `7 min`, `3 h 20 min`, `5 d 2 h` */
export function spanText(seconds: number): string {
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (minutes === 0) return `${seconds} s`;
  if (hours === 0) return `${minutes} min`;
  const [rest, days] = [minutes % 60, Math.floor(hours / 24)];
  if (days === 0) return rest === 0 ? `${hours} h` : `${hours} h ${rest} min`;
  return hours % 24 === 0 ? `${days} d` : `${days} d ${hours % 24} h`;
}

/** How long something has been; RFC 3339, or milliseconds since the epoch. */
export function ageText(since: string, now: string | number): string {
  const nowMs = typeof now === 'number' ? now : Date.parse(now);
  return spanText(Math.max(0, Math.round((nowMs - Date.parse(since)) / 1000)));
}
