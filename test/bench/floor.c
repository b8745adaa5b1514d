// floor ROUNDS POD_NETNS BRIDGE_INDEX: what the kernel alone takes for one pod, without any program
// around it: a veth whose ends are a bridge port and `eth0` of the pod, both up, two addresses and two
// default routes; then its deletion. Prints "<add ns> <delete ns>" for every round.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kPodIndex = 1000, kNodeIndex = 1001, kPodLifeUs = 50 * 1000 };

typedef struct {
  struct nlmsghdr header;
  unsigned char payload[1024];
} Message;

static void die(const char* what) {
  perror(what);
  exit(1);
}

static void* append(Message* message, const void* bytes, size_t length) {
  unsigned char* at = (unsigned char*)message + NLMSG_ALIGN(message->header.nlmsg_len);
  if (bytes != NULL) memcpy(at, bytes, length);
  message->header.nlmsg_len = (at - (unsigned char*)message) + length;
  return at;
}

static struct rtattr* attribute(Message* message, int type, const void* bytes, size_t length) {
  struct rtattr head = {.rta_len = RTA_LENGTH(length), .rta_type = type};
  struct rtattr* at = append(message, &head, sizeof(head));
  if (length > 0) append(message, bytes, length);
  return at;
}

static void endNested(Message* message, struct rtattr* at) {
  at->rta_len = (unsigned char*)message + message->header.nlmsg_len - (unsigned char*)at;
}

static void start(Message* message, int type, int flags) {
  memset(message, 0, sizeof(*message));
  message->header = (struct nlmsghdr){
      .nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags};
}

static void request(int fd, Message* message, const char* what) {
  if (send(fd, message, message->header.nlmsg_len, 0) < 0) die(what);
  struct {
    struct nlmsghdr header;
    struct nlmsgerr error;
    unsigned char rest[1024];
  } reply;
  if (recv(fd, &reply, sizeof(reply), 0) < 0) die(what);
  if (reply.error.error == 0) return;
  fprintf(stderr, "%s: %s\n", what, strerror(-reply.error.error));
  exit(1);
}

static void addVeth(int fd, int bridge, int pod) {
  Message message;
  start(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  struct ifinfomsg node = {.ifi_index = kNodeIndex, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  struct ifinfomsg peer = {.ifi_index = kPodIndex};
  append(&message, &node, sizeof(node));
  attribute(&message, IFLA_IFNAME, "floor0", 7);
  attribute(&message, IFLA_MASTER, &bridge, sizeof(bridge));
  struct rtattr* info = attribute(&message, IFLA_LINKINFO, NULL, 0);
  attribute(&message, IFLA_INFO_KIND, "veth", 4);
  struct rtattr* data = attribute(&message, IFLA_INFO_DATA, NULL, 0);
  struct rtattr* end = attribute(&message, VETH_INFO_PEER, NULL, 0);
  append(&message, &peer, sizeof(peer));
  attribute(&message, IFLA_IFNAME, "eth0", 5);
  attribute(&message, IFLA_NET_NS_FD, &pod, sizeof(pod));
  endNested(&message, end);
  endNested(&message, data);
  endNested(&message, info);
  request(fd, &message, "add veth");
}

// The peer cannot be up before both ends exist: veth_open in drivers/net/veth.c.
static void setPodUp(int fd) {
  Message message;
  start(&message, RTM_NEWLINK, 0);
  struct ifinfomsg pod = {.ifi_index = kPodIndex, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  append(&message, &pod, sizeof(pod));
  request(fd, &message, "set up");
}

static void addAddress(int fd, int family, const char* text, int prefix, const char* gateway) {
  unsigned char bytes[16];
  size_t length = family == AF_INET ? 4 : 16;
  int index = kPodIndex;
  Message message;
  start(&message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  struct ifaddrmsg address = {
      .ifa_family = family, .ifa_prefixlen = prefix, .ifa_flags = IFA_F_NODAD, .ifa_index = index};
  append(&message, &address, sizeof(address));
  inet_pton(family, text, bytes);
  attribute(&message, IFA_LOCAL, bytes, length);
  attribute(&message, IFA_ADDRESS, bytes, length);
  request(fd, &message, "add address");

  start(&message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
  struct rtmsg route = {.rtm_family = family,
                        .rtm_table = RT_TABLE_MAIN,
                        .rtm_protocol = RTPROT_STATIC,
                        .rtm_type = RTN_UNICAST};
  append(&message, &route, sizeof(route));
  inet_pton(family, gateway, bytes);
  attribute(&message, RTA_GATEWAY, bytes, length);
  attribute(&message, RTA_OIF, &index, sizeof(index));
  request(fd, &message, "add route");
}

static void deleteVeth(int fd) {
  Message message;
  start(&message, RTM_DELLINK, 0);
  struct ifinfomsg node = {.ifi_index = kNodeIndex};
  append(&message, &node, sizeof(node));
  request(fd, &message, "delete veth");
}

static int openSocket(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) die("socket");
  return fd;
}

static long long nowNs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  int pod = open(argv[2], O_RDONLY | O_CLOEXEC);
  int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (pod < 0 || own < 0) die("open namespace");
  int onNode = openSocket();
  if (setns(pod, CLONE_NEWNET) != 0) die("setns");
  int inPod = openSocket();
  if (setns(own, CLONE_NEWNET) != 0) die("setns");
  for (int round = atoi(argv[1]); round > 0; round--) {
    long long startedAt = nowNs();
    addVeth(onNode, atoi(argv[3]), pod);
    setPodUp(inPod);
    addAddress(inPod, AF_INET, "10.25.0.2", 16, "10.25.0.1");
    addAddress(inPod, AF_INET6, "fd00:25::2", 64, "fd00:25::1");
    long long addedAt = nowNs();
    usleep(kPodLifeUs);
    long long deletedAt = nowNs();
    deleteVeth(onNode);
    printf("%lld %lld\n", addedAt - startedAt, nowNs() - deletedAt);
  }
  return 0;
}
