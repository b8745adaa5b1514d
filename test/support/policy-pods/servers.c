#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "pods.h"

enum { kBacklog = 4096, kChunkBytes = 64, kMaxPushed = 256 };

// Whom data is pushed to: a connection, or the sender of a datagram.
typedef struct {
  int fd;
  Address to;
} Pushed;

static Pushed pushed[kMaxPushed];
static int pushedCount;

static void pushTo(int fd, Address to) {
  if (pushedCount == kMaxPushed) die("too many streams");
  pushed[pushedCount++] = (Pushed){.fd = fd, .to = to};
}

int push(void) {
  static const char chunk[kChunkBytes];
  for (int i = 0; i < pushedCount; i++) {
    const struct sockaddr* to = pushed[i].to.length > 0 ? &pushed[i].to.any : NULL;
    // One that is full or gone is left alone: the other end tells what came.
    (void)!sendto(pushed[i].fd, chunk, sizeof(chunk), MSG_DONTWAIT | MSG_NOSIGNAL, to,
                  pushed[i].to.length);
  }
  return pushedCount > 0;
}

static void forget(Socket* socket) {
  for (int i = 0; i < pushedCount; i++) {
    if (pushed[i].fd == socket->fd) pushed[i] = pushed[--pushedCount];
  }
  close(socket->fd);
  free(socket);
}

static void onRequest(Socket* connection, uint32_t events) {
  (void)events;
  char request;
  ssize_t got = recv(connection->fd, &request, 1, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got == 1) pushTo(connection->fd, (Address){.length = 0});
  if (got < 1) forget(connection);
}

static void onConnection(Socket* listener, uint32_t events) {
  (void)events;
  for (;;) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == ECONNABORTED || errno == EINTR)) continue;
    if (fd < 0) return;
    uint8_t name = listener->party;
    (void)!send(fd, &name, 1, MSG_NOSIGNAL);
    Socket* connection = malloc(sizeof(*connection));
    *connection = (Socket){.onReady = onRequest, .fd = fd, .party = listener->party};
    watch(connection, EPOLLIN);
  }
}

static void onDatagram(Socket* server, uint32_t events) {
  (void)events;
  for (;;) {
    char request;
    Address from = {.length = sizeof(from.v6)};
    if (recvfrom(server->fd, &request, 1, MSG_DONTWAIT, &from.any, &from.length) < 0) return;
    uint8_t name = server->party;
    (void)!sendto(server->fd, &name, 1, MSG_DONTWAIT, &from.any, from.length);
    if (request == 'p') pushTo(server->fd, from);
  }
}

static void listenOn(int party, int type, int port) {
  int off = 0;
  int on = 1;
  int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  Address everywhere = addressOf("::", port);
  if (bind(fd, &everywhere.any, everywhere.length) != 0) die("bind");
  if (type == SOCK_STREAM && listen(fd, kBacklog) != 0) die("listen");
  Socket* server = malloc(sizeof(*server));
  *server = (Socket){
      .onReady = type == SOCK_STREAM ? onConnection : onDatagram, .fd = fd, .party = party};
  watch(server, EPOLLIN);
}

void serve(int party, const int* ports, int count) {
  enter(party);
  for (int i = 0; i < count; i++) {
    listenOn(party, SOCK_STREAM, ports[i]);
    listenOn(party, SOCK_DGRAM, ports[i]);
  }
  static const int families[] = {AF_INET, AF_INET6};
  for (int i = 0; i < 2; i++) {
    int fd = socket(families[i], SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_SCTP);
    if (fd < 0) die("socket of SCTP");
    Socket* server = malloc(sizeof(*server));
    *server = (Socket){.onReady = answerSctpInit, .fd = fd, .party = party};
    watch(server, EPOLLIN);
  }
}
