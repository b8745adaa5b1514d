/** Server-sent events out of the answer to a request, as the HTML standard has them: of each its name and data. */

export interface ServerEvent {
  readonly name: string;
  readonly data: string;
}

/** A snapshot of a large node is a hundredth of it. */
const MOST_CHARACTERS = 1 << 28;

/** Collects text until events are whole. */
export class EventText {
  #rest = '';

  /** Events that end in this text; comments are none. Throws for one that does not end. */
  take(text: string): readonly ServerEvent[] {
    const parts = (this.#rest + text).split('\n\n');
    this.#rest = parts.pop() ?? '';
    if (this.#rest.length > MOST_CHARACTERS) throw new Error('an event does not end');
    return parts.flatMap((part) => eventOf(part) ?? []);
  }
}

function eventOf(part: string): ServerEvent | undefined {
  let name = 'message';
  const data: string[] = [];
  for (const line of part.split('\n')) {
    const [, field, value = ''] = /^(event|data): ?(.*)$/s.exec(line) ?? [];
    if (field === 'event') name = value;
    else if (field === 'data') data.push(value);
  }
  return data.length === 0 ? undefined : { name, data: data.join('\n') };
}

/**
 * Reads an answer to its end. `onSign` is called whenever something comes, also a comment: the other side
 * lives.
 */
export async function readEvents(
  body: ReadableStream<Uint8Array>,
  onEvent: (event: ServerEvent) => void,
  onSign: () => void,
): Promise<void> {
  const text = new EventText();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onSign();
    for (const event of text.take(decoder.decode(value, { stream: true }))) onEvent(event);
  }
}
