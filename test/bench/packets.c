// packets serve: answers short datagrams to the port of one flow, and reads the others at leisure.
// packets HOST COUNT new|same: sends datagrams to HOST, each to another port or all to one that has
// answered once, and prints the CPU time of one in ns. What routers in namespaces of this machine do
// with a packet is part of it: the sender's own thread does it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { kFirstPort = 1024, kPorts = 60000, kWarmUp = 200, kReadEveryUs = 5000 };

static long long cpuNs(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void die(const char* what) {
  perror(what);
  exit(1);
}

// Nobody waits in recv: to wake somebody costs more than what is measured.
static _Noreturn void serve(void) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(kFirstPort)};
  if (bind(fd, (struct sockaddr*)&own, sizeof(own)) != 0) die("bind");
  puts("ready");
  fflush(stdout);
  for (;; usleep(kReadEveryUs)) {
    char data[64];
    struct sockaddr_in from;
    socklen_t length = sizeof(from);
    ssize_t got;
    while ((got = recvfrom(fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr*)&from,
                           &length)) >= 0) {
      if (got == 1) sendto(fd, data, 1, 0, (struct sockaddr*)&from, length);
    }
  }
}

static void establish(int fd, struct sockaddr_in to) {
  struct timeval limit = {.tv_sec = 2};
  char answer;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  to.sin_port = htons(kFirstPort);
  if (sendto(fd, "?", 1, 0, (struct sockaddr*)&to, sizeof(to)) != 1) die("sendto");
  if (recv(fd, &answer, 1, 0) != 1) die("answer");
}

static void sendAll(int fd, struct sockaddr_in to, long first, long count, int isNew) {
  static const char data[32];
  for (long i = 0; i < count; i++) {
    // The first port is that of the server.
    to.sin_port = htons(kFirstPort + (isNew ? 1 + (first + i) % kPorts : 0));
    if (sendto(fd, data, sizeof(data), 0, (struct sockaddr*)&to, sizeof(to)) < 0) die("sendto");
  }
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "serve") == 0) serve();
  if (argc != 4) return 2;
  long count = atol(argv[2]);
  int isNew = strcmp(argv[3], "new") == 0;
  struct sockaddr_in to = {.sin_family = AF_INET};
  if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || count > kPorts - kWarmUp) return 2;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (!isNew) establish(fd, to);
  sendAll(fd, to, 0, kWarmUp, isNew);
  long long startedAt = cpuNs();
  sendAll(fd, to, kWarmUp, count, isNew);
  printf("%.1f\n", (double)(cpuNs() - startedAt) / count);
  return 0;
}
