import { DecodeError } from '../util/errors.ts';

const [QUOTE, BACKSLASH, COLON, COMMA] = Buffer.from('"\\:,');
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST] = Buffer.from('{}[]');
const SPACE = 0x20;
/** Depth of what stands directly in `items`. */
const ITEMS_DEPTH = 2;

/** An element of `items` as it stands in the text. */
export interface JsonItem {
  readonly bytes: Buffer;
  /** Bytes before it. */
  readonly offset: number;
}

/** `rest`: outside of `items`; `gap`: between two elements of it; `item`: inside of one. */
type Place = 'rest' | 'gap' | 'item';

/**
 * Cuts the JSON text of a list, such as one of Kubernetes, into the elements of `field` and the rest, while it
 * arrives, so that nobody has to parse megabytes in one go. Finds the borders of elements only;
 * whoever parses them finds what is wrong inside. Throws DecodeError for elements that are no
 * objects or lists, and when one of them, or the rest, is longer than `maxBytes`.
 */
export class JsonListSplitter {
  readonly #maxBytes: number;
  readonly #field: Buffer;
  #place: Place = 'rest';
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  /** How much of `field` the last string at depth 1 spelled; -1 for another string. */
  #spelled = -1;
  #isItemsKey = false;
  /** Pieces of the current element or of the rest from earlier chunks. */
  readonly #pieces: Record<'rest' | 'item', Buffer[]> = { rest: [], item: [] };
  /** Where in the current chunk the current place began. */
  #start = 0;
  #itemOffset = 0;
  #bytesBefore = 0;

  constructor(maxBytes: number, field = 'items') {
    this.#maxBytes = maxBytes;
    this.#field = Buffer.from(field);
  }

  /** The elements that `chunk` completes. */
  push(chunk: Buffer): JsonItem[] {
    const items: JsonItem[] = [];
    this.#start = 0;
    const strings = new StringSkipper(chunk);
    for (let index = 0; index < chunk.length; index++) {
      if (this.#isInString && this.#depth > 1 && !this.#isEscaped) index = strings.skip(index);
      const byte = chunk[index];
      if (byte === undefined) break;
      if (this.#isInString) this.#inString(byte);
      else if (byte === QUOTE) this.#openString();
      else if (byte === OPEN_OBJECT || byte === OPEN_LIST) this.#open(byte, chunk, index);
      else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
        const item = this.#close(chunk, index);
        if (item !== undefined) items.push(item);
      } else if (this.#depth === 1) this.#punctuate(byte);
      else if (this.#place === 'gap' && byte > SPACE && byte !== COMMA) throw notObjects();
    }
    this.#keep(chunk.subarray(this.#start));
    this.#bytesBefore += chunk.length;
    return items;
  }

  /** The list without its elements, as JSON text. Throws DecodeError when the list is not whole. */
  rest(): string {
    if (this.#depth !== 0 || this.#isInString) throw new DecodeError('read list: it is cut off');
    return Buffer.concat(this.#pieces.rest).toString('utf8');
  }

  #inString(byte: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (byte === BACKSLASH) this.#isEscaped = true;
    else if (byte === QUOTE) {
      this.#isInString = false;
      return;
    }
    if (this.#depth !== 1) return;
    this.#spelled = byte === this.#field[this.#spelled] ? this.#spelled + 1 : -1;
  }

  #openString(): void {
    if (this.#place === 'gap') throw notObjects();
    this.#isInString = true;
    if (this.#depth === 1) this.#spelled = 0;
  }

  #punctuate(byte: number): void {
    if (byte === COLON) this.#isItemsKey = this.#spelled === this.#field.length;
    else if (byte === COMMA) this.#isItemsKey = false;
  }

  #open(byte: number, chunk: Buffer, index: number): void {
    this.#depth++;
    if (this.#place === 'gap') {
      this.#place = 'item';
      this.#start = index;
      this.#itemOffset = this.#bytesBefore + index;
    } else if (this.#isItemsKey && this.#depth === ITEMS_DEPTH && byte === OPEN_LIST) {
      this.#keep(chunk.subarray(this.#start, index + 1));
      this.#place = 'gap';
    }
  }

  #close(chunk: Buffer, index: number): JsonItem | undefined {
    this.#depth--;
    if (this.#place === 'item' && this.#depth === ITEMS_DEPTH) {
      this.#keep(chunk.subarray(this.#start, index + 1));
      const bytes = Buffer.concat(this.#pieces.item.splice(0));
      this.#place = 'gap';
      return { bytes, offset: this.#itemOffset };
    }
    if (this.#place === 'gap') {
      this.#place = 'rest';
      this.#isItemsKey = false;
      this.#start = index;
    }
    return undefined;
  }

  #keep(piece: Buffer): void {
    if (this.#place === 'gap' || piece.length === 0) return;
    this.#pieces[this.#place].push(piece);
    const bytes = this.#pieces[this.#place].reduce((sum, { length }) => sum + length, 0);
    if (bytes > this.#maxBytes) {
      throw new DecodeError(`read list: more than ${this.#maxBytes} bytes in one piece`);
    }
  }
}

/** Finds the ends of strings with the native search, for most of the bytes are in strings. */
class StringSkipper {
  readonly #chunk: Buffer;
  /** The first backslash at or behind the last place asked for; often there is none at all. */
  #backslash = -1;

  constructor(chunk: Buffer) {
    this.#chunk = chunk;
  }

  /** From within a string to the next quote or backslash, or to the end of the chunk. */
  skip(index: number): number {
    const { length } = this.#chunk;
    if (this.#backslash < index && this.#backslash !== length) {
      this.#backslash = this.#find(BACKSLASH, index);
    }
    return Math.min(this.#backslash, this.#find(QUOTE, index));
  }

  #find(byte: number | undefined, index: number): number {
    // The constants of this file are numbers; indexing them makes them optional.
    const found = this.#chunk.indexOf(byte as number, index);
    return found === -1 ? this.#chunk.length : found;
  }
}

const STEP_BYTES = 8 << 10;

/** A text in pieces small enough for one turn, also when the code that reads them is still cold. */
export function* inSteps(bytes: Buffer): Generator<Buffer, void> {
  for (let start = 0; start < bytes.length; start += STEP_BYTES) {
    yield bytes.subarray(start, start + STEP_BYTES);
  }
}

function notObjects(): DecodeError {
  return new DecodeError('read list: items are not objects');
}
