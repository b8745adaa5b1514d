#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "pods.h"

enum { kMaxStreams = 256 };

typedef struct {
  Socket socket;
  Protocol protocol;
  long long received;
  int isAsked;
  int isClosed;
} Stream;

static Stream* streams[kMaxStreams];
static int streamCount;

static void onData(Socket* socket, uint32_t events) {
  Stream* stream = (Stream*)socket;
  if (stream->isClosed) return;
  if (!stream->isAsked && (events & EPOLLOUT)) {
    stream->isAsked = send(socket->fd, "p", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
  }
  for (;;) {
    static char buffer[1 << 16];
    ssize_t got = recv(socket->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) {
      stream->received += got;
      continue;
    }
    // Of UDP, an ICMP error: others may come yet.
    if (stream->protocol == kUdp) continue;
    stream->isClosed = 1;
    close(socket->fd);
    return;
  }
}

void addStream(int party, Protocol protocol, Address to) {
  if (streamCount == kMaxStreams) die("too many streams");
  enter(party);
  int type = protocol == kTcp ? SOCK_STREAM : SOCK_DGRAM;
  Stream* stream = calloc(1, sizeof(*stream));
  *stream = (Stream){.protocol = protocol, .socket = {.onReady = onData, .party = party}};
  stream->socket.fd = socket(to.any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (stream->socket.fd < 0) die("socket of a stream");
  if (connect(stream->socket.fd, &to.any, to.length) != 0 && errno != EINPROGRESS) die("connect");
  watch(&stream->socket, EPOLLIN | EPOLLOUT | EPOLLET);
  streams[streamCount++] = stream;
}

void printStreams(void) {
  for (int i = 0; i < streamCount; i++) {
    if (!streams[i]->isClosed) onData(&streams[i]->socket, 0);
    printf("%s%lld%s", i == 0 ? "" : " ", streams[i]->received,
           streams[i]->isClosed ? "/closed" : "");
  }
  puts("");
  fflush(stdout);
}
