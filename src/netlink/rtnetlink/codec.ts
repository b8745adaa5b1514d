/** Glue to the codecs of the npm package `netlink`: values in, request payloads out. */
import structs from 'netlink/dist/structs.js';

/** AF_* numbers of include/linux/socket.h that rtnetlink uses. */
export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_BRIDGE = 7;
export const AF_INET6 = 10;

/** The address family number of an IP family. */
export function addressFamily(family: 4 | 6): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** Runs a message formatter of the package and gives its bytes. */
export function encodeWith<T>(
  format: (message: T, out: structs.AttrStream) => void,
  message: T,
): Buffer {
  const stream = new structs.AttrStream();
  format(message, stream);
  return Buffer.concat(stream.bufs);
}
