import type { HttpStream } from '../http/http.ts';

/** Of an answer that is a stream of events (HTML standard, server-sent events). */
export const EVENTS_HEAD: Omit<HttpStream, 'open'> = {
  contentType: 'text/event-stream',
  headers: { 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' },
};

/** JSON has no line breaks, which end an event. */
export function serverEvent(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
