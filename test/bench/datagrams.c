// datagrams HOST COUNT RATE: sends COUNT datagrams, each to another port, from HOST on upwards, RATE a
// second or, for 0, as fast as it goes: each is a connection of its own. Prints "<count> <wall ns>".
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { kFirstPort = 1024, kPorts = 60000, kBatch = 20 };

static long long nowNs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void waitUntil(long long ns) {
  struct timespec until = {ns / 1000000000LL, ns % 1000000000LL};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

int main(int argc, char** argv) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  if (argc != 4 || inet_aton(argv[1], &to.sin_addr) == 0) return 2;
  long count = atol(argv[2]);
  long rate = atol(argv[3]);
  unsigned first = ntohl(to.sin_addr.s_addr);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  long long startNs = nowNs();
  for (long i = 0; i < count; i++) {
    to.sin_addr.s_addr = htonl(first + i / kPorts);
    to.sin_port = htons(kFirstPort + i % kPorts);
    if (sendto(fd, "x", 1, 0, (struct sockaddr*)&to, sizeof to) < 0) perror("sendto");
    if (rate > 0 && i % kBatch == 0) waitUntil(startNs + i * 1000000000LL / rate);
  }
  printf("%ld %lld\n", count, nowNs() - startNs);
  return 0;
}
