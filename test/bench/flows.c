// flows serve PORT [::]: takes TCP connections on all IPv4 or IPv6 addresses and throws away what
//   they send.
// flows connect HOST PORT MS: opens and resets connections one after the other. Prints "<count>
//   <wall ns> <median ns> <p99 ns> <max ns> <CPU ns>", three of connect() alone, the last of a whole
//   connection with what routers in namespaces of this machine do for it: this thread does it.
// flows stream HOST PORT MS: sends as fast as one connection takes it. Prints "<bytes> <wall ns>".
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kBacklog = 65535, kBuffer = 1 << 18, kMaxSamples = 1 << 22, kAcceptEveryMs = 20 };

static char buffer[kBuffer];
static uint32_t samples[kMaxSamples];

static void die(const char* what) {
  perror(what);
  exit(1);
}

static long long nowNs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long cpuNs(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

typedef struct {
  socklen_t length;
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  };
} Address;

static Address addressOf(const char* host, const char* port) {
  Address address = {.length = sizeof(address.v4),
                     .v4 = {.sin_family = AF_INET, .sin_port = htons(atoi(port))}};
  if (inet_pton(AF_INET, host, &address.v4.sin_addr) == 1) return address;
  address.length = sizeof(address.v6);
  address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(atoi(port))};
  if (inet_pton(AF_INET6, host, &address.v6.sin6_addr) != 1) die("address");
  return address;
}

// True while the connection lives.
static int drain(int fd) {
  for (;;) {
    ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got > 0) continue;
    if (got < 0 && errno == EAGAIN) return 1;
    close(fd);
    return 0;
  }
}

static void acceptAll(int listener, int poll) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0 && errno == ECONNABORTED) continue;
    if (fd < 0) return;
    if (!drain(fd)) continue;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  }
}

// The kernel completes handshakes by itself. A server that waited for each of them would have to be
// woken each time or not, by chance, which is a third of what a connection costs.
static _Noreturn void serve(Address address) {
  int listener = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int poll = epoll_create1(0);
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(listener, &address.any, address.length) != 0) die("bind");
  if (listen(listener, kBacklog) != 0) die("listen");
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[256];
    int count = epoll_wait(poll, events, 256, kAcceptEveryMs);
    for (int i = 0; i < count; i++) drain(events[i].data.fd);
    acceptAll(listener, poll);
  }
}

static int compareSamples(const void* a, const void* b) {
  uint32_t left = *(const uint32_t*)a;
  uint32_t right = *(const uint32_t*)b;
  return (left > right) - (left < right);
}

// A reset instead of a handshake at the end: no TIME_WAIT that would run out of ports.
static int connectMany(Address address, long long ms) {
  struct linger reset = {.l_onoff = 1, .l_linger = 0};
  size_t count = 0;
  long long startedAt = nowNs();
  long long until = startedAt + ms * 1000000LL;
  long long cpuAt = cpuNs();
  while (count < kMaxSamples) {
    int fd = socket(address.any.sa_family, SOCK_STREAM, 0);
    if (fd < 0) die("socket");
    long long openedAt = nowNs();
    if (openedAt >= until) break;
    if (connect(fd, &address.any, address.length) != 0) die("connect");
    samples[count++] = (uint32_t)(nowNs() - openedAt);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
  }
  long long elapsed = nowNs() - startedAt;
  if (count == 0) return 1;
  long long cpuEach = (cpuNs() - cpuAt) / (long long)count;
  qsort(samples, count, sizeof(samples[0]), compareSamples);
  printf("%zu %lld %u %u %u %lld\n", count, elapsed, samples[count / 2],
         samples[count * 99 / 100], samples[count - 1], cpuEach);
  return 0;
}

static int stream(Address address, long long ms) {
  int fd = socket(address.any.sa_family, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, &address.any, address.length) != 0) die("connect");
  long long bytes = 0;
  long long startedAt = nowNs();
  while (nowNs() - startedAt < ms * 1000000LL) {
    ssize_t sent = send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL);
    if (sent < 0) die("send");
    bytes += sent;
  }
  printf("%lld %lld\n", bytes, nowNs() - startedAt);
  return 0;
}

int main(int argc, char** argv) {
  if (argc >= 3 && strcmp(argv[1], "serve") == 0) {
    serve(addressOf(argc > 3 ? argv[3] : "0.0.0.0", argv[2]));
  }
  if (argc != 5) return 2;
  Address address = addressOf(argv[2], argv[3]);
  if (strcmp(argv[1], "connect") == 0) return connectMany(address, atoll(argv[4]));
  if (strcmp(argv[1], "stream") == 0) return stream(address, atoll(argv[4]));
  return 2;
}
