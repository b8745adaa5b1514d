#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "pods.h"

enum { kMaxProbes = 1 << 16, kFirstSource = 20000, kSources = 40000, kEchoBytes = 8 };

typedef struct {
  Socket socket;
  Protocol protocol;
  Address to;
  // The source port of SCTP, the identifier of an echo.
  uint16_t own;
  char outcome[16];
} Probe;

static Probe* probes[kMaxProbes];
static int probeCount;
static int openCount;

static void finish(Probe* probe, const char* outcome) {
  struct linger reset = {.l_onoff = 1, .l_linger = 0};
  snprintf(probe->outcome, sizeof(probe->outcome), "%s", outcome);
  // No TIME_WAIT that would run out of ports.
  if (probe->protocol == kTcp) {
    setsockopt(probe->socket.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  }
  close(probe->socket.fd);
  probe->socket.fd = -1;
  openCount--;
}

static void fail(Probe* probe, int error) {
  char text[16];
  snprintf(text, sizeof(text), "errno-%d", error);
  int isProhibited = error == EHOSTUNREACH || error == EACCES;
  finish(probe, error == ECONNREFUSED ? "reset" : isProhibited ? "prohibited" : text);
}

static int isEcho(const uint8_t* packet, ptrdiff_t length, const Probe* probe) {
  uint8_t reply = probe->to.any.sa_family == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
  return length >= kEchoBytes && packet[0] == reply &&
         memcmp(packet + 4, &probe->own, sizeof(probe->own)) == 0;
}

// Raw sockets get the errors that others of their protocol caused, too.
static int isOwnError(const Probe* probe) {
  if (probe->protocol == kTcp || probe->protocol == kUdp) return 1;
  uint8_t sent[64];
  int isOwn = 0;
  for (;;) {
    ptrdiff_t length = recv(probe->socket.fd, sent, sizeof(sent), MSG_DONTWAIT | MSG_ERRQUEUE);
    if (length < 0) return isOwn;
    if (length < kEchoBytes) continue;
    uint16_t source = htons(probe->own);
    isOwn |= probe->protocol == kSctp ? memcmp(sent, &source, sizeof(source)) == 0
                                      : memcmp(sent + 4, &probe->own, sizeof(probe->own)) == 0;
  }
}

static void onAnswer(Socket* socket, uint32_t events) {
  Probe* probe = (Probe*)socket;
  (void)events;
  while (socket->fd >= 0) {
    uint8_t buffer[512];
    ptrdiff_t length = recv(socket->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (length < 0 && errno == EAGAIN) return;
    if (length < 0) {
      int error = errno;
      if (isOwnError(probe)) fail(probe, error);
      continue;
    }
    char text[16];
    int isRaw = probe->protocol == kSctp || probe->protocol == kIcmp;
    int isHeaded = isRaw && probe->to.any.sa_family == AF_INET;
    const uint8_t* packet = isHeaded ? payloadOf(buffer, &length) : buffer;
    int party = isRaw ? sctpAnswer(packet, length, probe->own) : length == 0 ? -1 : packet[0];
    snprintf(text, sizeof(text), "%d", party);
    if (probe->protocol == kIcmp) {
      if (isEcho(packet, length, probe)) finish(probe, "echo");
    } else if (party >= 0) {
      finish(probe, text);
    } else if (!isRaw) {
      finish(probe, "closed");
    }
  }
}

static void sendEcho(int fd, int family, uint16_t own) {
  uint8_t request[kEchoBytes] = {family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST};
  memcpy(request + 4, &own, sizeof(own));
  uint32_t sum = 0;
  // The kernel fills in that of ICMPv6.
  for (int i = 0; i < kEchoBytes; i += 2) sum += request[i] << 8 | request[i + 1];
  uint16_t checksum = htons(~(sum + (sum >> 16)));
  if (family == AF_INET) memcpy(request + 2, &checksum, sizeof(checksum));
  (void)!send(fd, request, sizeof(request), MSG_DONTWAIT);
}

static int openSocket(Protocol protocol, int family) {
  int type = protocol == kTcp ? SOCK_STREAM : protocol == kUdp ? SOCK_DGRAM : SOCK_RAW;
  int echo = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
  int number = protocol == kSctp ? IPPROTO_SCTP : protocol == kIcmp ? echo : 0;
  int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, number);
  if (fd < 0) die("socket");
  int on = 1;
  if (type == SOCK_RAW) {
    setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
  }
  return fd;
}

static void begin(Probe* probe) {
  static int next;
  int family = probe->to.any.sa_family;
  uint16_t port = ntohs(probe->to.v4.sin_port);
  enter(probe->socket.party);
  probe->own = kFirstSource + next++ % kSources;
  probe->socket.fd = openSocket(probe->protocol, family);
  openCount++;
  Address to = probe->to;
  // A raw socket of IPv6 takes the port for a protocol.
  if (probe->protocol == kSctp || probe->protocol == kIcmp) to.v4.sin_port = 0;
  if (connect(probe->socket.fd, &to.any, to.length) != 0 && errno != EINPROGRESS) {
    fail(probe, errno);
    return;
  }
  watch(&probe->socket, EPOLLIN);
  if (probe->protocol == kUdp) (void)!send(probe->socket.fd, "?", 1, MSG_DONTWAIT);
  if (probe->protocol == kSctp) sendSctpInit(probe->socket.fd, probe->own, port);
  if (probe->protocol == kIcmp) sendEcho(probe->socket.fd, family, probe->own);
}

void addProbe(int party, Protocol protocol, Address to) {
  if (probeCount == kMaxProbes) die("too many probes");
  Probe* probe = calloc(1, sizeof(*probe));
  *probe = (Probe){.socket = {.onReady = onAnswer, .fd = -1, .party = party},
                   .protocol = protocol,
                   .to = to,
                   .outcome = "silent"};
  probes[probeCount++] = probe;
}

void tryAll(double ms) {
  // What has to do with each other is begun in small groups, so that queues of packets stay short.
  for (int i = 0; i < probeCount; i++) {
    begin(probes[i]);
    if (i % 64 == 63) step(0);
  }
  double until = nowMs() + ms;
  for (double left = ms; openCount > 0 && left > 0; left = until - nowMs()) {
    step(push() && left > 1 ? 1 : left);
  }
  // What came while this program had no turn came in time.
  step(0);
  for (int i = 0; i < probeCount; i++) {
    if (probes[i]->socket.fd >= 0) finish(probes[i], "silent");
    printf("%s%s", i == 0 ? "" : " ", probes[i]->outcome);
  }
  puts("");
  fflush(stdout);
  for (int i = 0; i < probeCount; i++) free(probes[i]);
  probeCount = 0;
}
