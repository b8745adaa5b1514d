/** Glue to the codecs of the npm package `netlink`: values in, request payloads out. */
import structs from 'netlink/dist/structs.js';

/** Runs a message formatter of the package and gives its bytes. */
export function encodeWith<T>(
  format: (message: T, out: structs.AttrStream) => void,
  message: T,
): Buffer {
  const stream = new structs.AttrStream();
  format(message, stream);
  return Buffer.concat(stream.bufs);
}
