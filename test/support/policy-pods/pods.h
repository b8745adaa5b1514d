// Pods and hosts of the policy lab: one process has the sockets of all, each in its own namespace.
#ifndef POLICY_PODS_H
#define POLICY_PODS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

typedef enum { kTcp, kUdp, kSctp, kIcmp } Protocol;

typedef struct {
  socklen_t length;
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  };
} Address;

// A socket and what is done when something came.
typedef struct Socket Socket;
struct Socket {
  void (*onReady)(Socket*, uint32_t events);
  int fd;
  int party;
};

_Noreturn void die(const char* what);
double nowMs(void);

// Sockets that are opened next are of this party.
void enter(int party);
Address addressOf(const char* host, int port);
void watch(Socket* socket, uint32_t events);
// Hands out what has come, and waits for it if need be.
void step(double ms);

// Answers on all ports of a party, with its number.
void serve(int party, const int* ports, int count);
// Sends to those who have asked for a stream. True if there is anybody.
int push(void);

// `fd` is a raw socket without a header of its own.
void sendSctpInit(int fd, uint16_t source, uint16_t port);
void answerSctpInit(Socket* server, uint32_t events);
// The number of the party that answered `source`, or -1 if it is no such answer.
int sctpAnswer(const uint8_t* packet, ptrdiff_t length, uint16_t source);
// What follows the IPv4 header that a raw socket gives too.
const uint8_t* payloadOf(const uint8_t* packet, ptrdiff_t* length);

// A connection to try; outcomes are printed by `tryAll`, in order.
void addProbe(int party, Protocol protocol, Address to);
void tryAll(double ms);

// Asks for a stream; `printStreams` prints how many bytes came of each, `closed` if it has ended.
void addStream(int party, Protocol protocol, Address to);
void printStreams(void);

#endif
