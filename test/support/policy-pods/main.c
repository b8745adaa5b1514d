// policy-pods PORT,PORT NETNS...: party n has the nth namespace and answers on the ports over TCP,
// UDP and SCTP with its number. Prints `ready`; then, for lines of stdin:
//   PROTOCOL PARTY HOST PORT   a connection to try
//   try MS                     tries them all at once and prints outcomes: the number of the party
//                              that answered, `echo`, `reset`, `prohibited`, `silent` or `errno-N`
//   stream PROTOCOL PARTY HOST PORT   asks for a stream of data
//   streams                    prints how many bytes came of each so far, `N` or `N/closed`
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "pods.h"

enum { kMaxParties = 2048, kMaxPorts = 64, kMaxEvents = 512 };

static int namespaces[kMaxParties];
static int poll;
static int isEnded;

void die(const char* what) {
  perror(what);
  exit(1);
}

double nowMs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

void enter(int party) {
  static int current = -1;
  if (party == current) return;
  if (setns(namespaces[party], CLONE_NEWNET) != 0) die("setns");
  current = party;
}

Address addressOf(const char* host, int port) {
  Address address = {.length = sizeof(address.v4),
                     .v4 = {.sin_family = AF_INET, .sin_port = htons(port)}};
  if (inet_pton(AF_INET, host, &address.v4.sin_addr) == 1) return address;
  address.length = sizeof(address.v6);
  address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
  if (inet_pton(AF_INET6, host, &address.v6.sin6_addr) != 1) die(host);
  return address;
}

void watch(Socket* socket, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = socket};
  if (epoll_ctl(poll, EPOLL_CTL_ADD, socket->fd, &event) != 0) die("epoll_ctl");
}

void step(double ms) {
  struct epoll_event events[kMaxEvents];
  int count = epoll_wait(poll, events, kMaxEvents, ms < 0 ? -1 : (int)(ms + 0.999));
  for (int i = 0; i < count; i++) {
    Socket* socket = events[i].data.ptr;
    socket->onReady(socket, events[i].events);
  }
}

static Protocol protocolOf(const char* name) {
  static const char* const names[] = {"tcp", "udp", "sctp", "icmp"};
  for (int i = kTcp; i <= kIcmp; i++) {
    if (strcmp(names[i], name) == 0) return i;
  }
  fprintf(stderr, "protocol %s\n", name);
  exit(1);
}

static void obey(const char* line) {
  char protocol[8];
  char host[64];
  int party;
  int port;
  double ms;
  if (strcmp(line, "streams") == 0) {
    printStreams();
  } else if (sscanf(line, "try %lf", &ms) == 1) {
    tryAll(ms);
  } else if (sscanf(line, "stream %7s %d %63s %d", protocol, &party, host, &port) == 4) {
    addStream(party, protocolOf(protocol), addressOf(host, port));
  } else if (sscanf(line, "%7s %d %63s %d", protocol, &party, host, &port) == 4) {
    addProbe(party, protocolOf(protocol), addressOf(host, port));
  } else {
    fprintf(stderr, "not understood: %s\n", line);
    exit(1);
  }
}

static char commands[1 << 20];
static size_t commandsLength;

// Only takes them: what they do hands out events of its own.
static void readCommands(Socket* input, uint32_t events) {
  (void)events;
  size_t left = sizeof(commands) - 1 - commandsLength;
  ssize_t got = read(input->fd, commands + commandsLength, left);
  if (got <= 0) isEnded = 1;
  if (got > 0) commandsLength += got;
}

static void obeyAll(void) {
  commands[commandsLength] = 0;
  char* line = commands;
  for (char* end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
    *end = 0;
    obey(line);
  }
  commandsLength -= line - commands;
  memmove(commands, line, commandsLength);
}

int main(int argc, char** argv) {
  if (argc < 3 || argc - 2 > kMaxParties) return 2;
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) die("getrlimit");
  files.rlim_cur = files.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) die("setrlimit");
  poll = epoll_create1(EPOLL_CLOEXEC);
  int ports[kMaxPorts];
  int count = 0;
  for (char* word = strtok(argv[1], ","); word != NULL && count < kMaxPorts;
       word = strtok(NULL, ",")) {
    ports[count++] = atoi(word);
  }
  for (int party = 0; party < argc - 2; party++) {
    namespaces[party] = open(argv[party + 2], O_RDONLY | O_CLOEXEC);
    if (namespaces[party] < 0) die(argv[party + 2]);
    serve(party, ports, count);
  }
  Socket input = {.onReady = readCommands, .fd = STDIN_FILENO};
  watch(&input, EPOLLIN);
  puts("ready");
  fflush(stdout);
  while (!isEnded) {
    step(push() ? 1 : -1);
    obeyAll();
  }
  return 0;
}
