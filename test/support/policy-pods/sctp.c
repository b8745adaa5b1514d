// The first two packets of an association (RFC 9260 3.3.2): the kernel may have no SCTP sockets.
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "pods.h"

enum { kPacketBytes = 32, kInit = 1, kInitAck = 2, kVerificationTag = 4, kChecksum = 8, kTag = 16 };

static const uint32_t kCrc32c = 0x82f63b78;

static void putU16(uint8_t* at, uint16_t value) {
  value = htons(value);
  memcpy(at, &value, sizeof(value));
}

static uint16_t u16(const uint8_t* at) { return at[0] << 8 | at[1]; }

static uint32_t crc32c(const uint8_t* bytes, size_t length) {
  uint32_t crc = ~0U;
  for (size_t i = 0; i < length; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? kCrc32c : 0);
  }
  return ~crc;
}

// `tag` is the sender's own.
static void fill(uint8_t* packet, uint16_t source, uint16_t destination, uint8_t type,
                 uint32_t tag) {
  static const uint8_t windowAndStreams[] = {0, 1, 0, 0, 0, 10, 0, 10, 0, 0, 0, 1};
  memset(packet, 0, kPacketBytes);
  putU16(packet, source);
  putU16(packet + 2, destination);
  packet[12] = type;
  putU16(packet + 14, kPacketBytes - 12);
  tag = htonl(tag);
  memcpy(packet + kTag, &tag, sizeof(tag));
  memcpy(packet + kTag + 4, windowAndStreams, sizeof(windowAndStreams));
}

// Little endian as the table of RFC 9260 appendix A gives it.
static void sign(uint8_t* packet) {
  uint32_t crc = crc32c(packet, kPacketBytes);
  for (int i = 0; i < 4; i++) packet[kChecksum + i] = crc >> (8 * i);
}

void sendSctpInit(int fd, uint16_t source, uint16_t port) {
  uint8_t packet[kPacketBytes];
  fill(packet, source, port, kInit, 1);
  sign(packet);
  (void)!send(fd, packet, sizeof(packet), MSG_DONTWAIT);
}

const uint8_t* payloadOf(const uint8_t* packet, ptrdiff_t* length) {
  if (*length < 20 || packet[0] >> 4 != 4) return packet;
  int header = (packet[0] & 15) * 4;
  *length -= header;
  return packet + header;
}

void answerSctpInit(Socket* server, uint32_t events) {
  (void)events;
  for (;;) {
    uint8_t buffer[512];
    Address from = {.length = sizeof(from.v6)};
    ptrdiff_t length =
        recvfrom(server->fd, buffer, sizeof(buffer), MSG_DONTWAIT, &from.any, &from.length);
    if (length < 0) return;
    const uint8_t* init = from.any.sa_family == AF_INET ? payloadOf(buffer, &length) : buffer;
    if (length < kPacketBytes || init[12] != kInit) continue;
    uint8_t answer[kPacketBytes];
    fill(answer, u16(init + 2), u16(init), kInitAck, server->party + 1);
    memcpy(answer + kVerificationTag, init + kTag, 4);
    sign(answer);
    // A raw socket of IPv6 takes the port for a protocol.
    if (from.any.sa_family == AF_INET6) from.v6.sin6_port = 0;
    (void)!sendto(server->fd, answer, sizeof(answer), MSG_DONTWAIT, &from.any, from.length);
  }
}

int sctpAnswer(const uint8_t* packet, ptrdiff_t length, uint16_t source) {
  if (length < kPacketBytes || packet[12] != kInitAck || u16(packet + 2) != source) return -1;
  uint32_t tag;
  memcpy(&tag, packet + kTag, sizeof(tag));
  return (int)ntohl(tag) - 1;
}
