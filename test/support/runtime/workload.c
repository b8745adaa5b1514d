// What test containers run: prints the addresses of every link that is up, one `link address` per
// line, then `ready`. With a port as argument it goes on to answer each TCP connection to it with
// the same lines, until SIGTERM.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void end(int signal) {
  (void)signal;
  _exit(0);
}

static void printAddresses(FILE* out) {
  struct ifaddrs* first;
  if (getifaddrs(&first) != 0) return;
  for (struct ifaddrs* each = first; each != NULL; each = each->ifa_next) {
    if (each->ifa_addr == NULL || (each->ifa_flags & IFF_UP) == 0) continue;
    int family = each->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    socklen_t length = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    char text[NI_MAXHOST];
    if (getnameinfo(each->ifa_addr, length, text, sizeof(text), NULL, 0, NI_NUMERICHOST) == 0) {
      fprintf(out, "%s %s\n", each->ifa_name, text);
    }
  }
  freeifaddrs(first);
}

int main(int argc, char** argv) {
  // The first process of a namespace gets no signal it has no handler for.
  struct sigaction action = {.sa_handler = end};
  sigaction(SIGTERM, &action, NULL);
  printAddresses(stdout);
  puts("ready");
  fflush(stdout);
  if (argc < 2) return 0;

  int server = socket(AF_INET6, SOCK_STREAM, 0);
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(argv[1]))};
  if (bind(server, (struct sockaddr*)&any, sizeof(any)) != 0 || listen(server, 16) != 0) {
    perror("listen");
    return 1;
  }
  for (;;) {
    int connection = accept(server, NULL, NULL);
    if (connection < 0) continue;
    FILE* out = fdopen(connection, "w");
    printAddresses(out);
    fclose(out);
  }
}
