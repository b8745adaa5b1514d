import { DecodeError } from '../../util/errors.ts';

/** Cuts a byte stream into lines of UTF-8 text, however the bytes are chunked. */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #pieces: Buffer[] = [];
  #pendingBytes = 0;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** The lines that `chunk` completes, without their ends; empty ones are left out. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      const line = this.#finish(chunk.subarray(start, end));
      if (line !== '') lines.push(line);
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return lines;
  }

  /** What follows the last line end. */
  rest(): string {
    return this.#finish(Buffer.alloc(0));
  }

  #keep(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pendingBytes += piece.length;
    if (this.#pendingBytes > this.#maxLineBytes) {
      throw new DecodeError(`read line: longer than ${this.#maxLineBytes} bytes`);
    }
    this.#pieces.push(piece);
  }

  #finish(lastPiece: Buffer): string {
    const line =
      this.#pieces.length === 0 ? lastPiece : Buffer.concat([...this.#pieces, lastPiece]);
    this.#pieces = [];
    this.#pendingBytes = 0;
    return line.toString('utf8').trimEnd();
  }
}
