#ifndef WEFT_NATIVE_NETLINK_IO_H_
#define WEFT_NATIVE_NETLINK_IO_H_

#include <cstddef>
#include <cstdint>

namespace weft {

// Receives one datagram without waiting: EAGAIN when the queue is empty, else 0 or the errno.
// `length` is 0 for a datagram that is not from the kernel.
int receiveDatagram(int fd, uint8_t* buffer, size_t capacity, size_t* length);

// Sends one datagram to the kernel: 0 or the errno.
int sendDatagram(int fd, const uint8_t* bytes, size_t length);

}  // namespace weft

#endif  // WEFT_NATIVE_NETLINK_IO_H_
