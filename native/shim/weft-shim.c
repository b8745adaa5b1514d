// The CNI executable a runtime runs: hands the call to the weft agent over a unix socket, together
// with the open network namespace, and prints the answer. If no agent listens, it dies before it
// has answered, or it says so, the standalone takes over with the same environment and stdin: the
// Node of the installed tree, executed directly because a node need not have a shell.
//
// The frame format is described in src/cni/protocol/frame.ts, its other speaker.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
  kHeaderBytes = 8,
  kMaxStdinBytes = 4 * 1024 * 1024,
  kMaxAnswerBytes = 16 * 1024 * 1024,
  // Below the two minutes after which kubelet kills the plugin.
  kDefaultTimeoutMs = 110 * 1000,
};

enum { kCniIoFailure = 5, kCniTryAgainLater = 11 };

// In place of an exit code: the agent leaves the call to the standalone.
static const size_t kRunStandalone = 0xfffffffe;

static const char kMagic[] = "WFT1";

// Where the installed tree is from the directory the shim itself is in, links resolved.
static const char kNode[] = "/../../weft/bin/node";
static const char kBundle[] = "/../../weft/lib/weft-cni.cjs";
static const char* const kNodeFlags[] = {NODE_FLAGS};
enum { kNodeFlagCount = sizeof(kNodeFlags) / sizeof(kNodeFlags[0]) };

static const char kDefaultRunDirectory[] = "/run/weft";

extern char** environ;

typedef struct {
  unsigned char* bytes;
  size_t length;
  size_t capacity;
} Buffer;

typedef enum { kDone, kAgentGone, kTimedOut } Exchange;

static bool writeAll(int fd, const void* bytes, size_t length) {
  const char* at = bytes;
  while (length > 0) {
    ssize_t written = write(fd, at, length);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    at += written;
    length -= (size_t)written;
  }
  return true;
}

static void printEscaped(FILE* out, const char* text) {
  for (; *text != '\0'; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\') {
      fprintf(out, "\\%c", c);
    } else if (c < 0x20) {
      fprintf(out, "\\u%04x", c);
    } else if (c >= 0x7f) {
      // Paths need not be UTF-8, JSON must be.
      fputs("\\ufffd", out);
    } else {
      fputc(c, out);
    }
  }
}

// The error object of the CNI specification on stdout; never returns.
static _Noreturn void fail(int code, const char* message, const char* details) {
  fprintf(stdout, "{\n    \"cniVersion\": \"1.1.0\",\n    \"code\": %d,\n    \"msg\": \"", code);
  printEscaped(stdout, message);
  fputs("\",\n    \"details\": \"", stdout);
  printEscaped(stdout, details);
  fputs("\"\n}", stdout);
  fflush(stdout);
  _exit(1);
}

static void reserve(Buffer* buffer, size_t more) {
  if (buffer->capacity - buffer->length >= more) return;
  size_t capacity = buffer->capacity == 0 ? 8192 : buffer->capacity;
  while (capacity - buffer->length < more) capacity *= 2;
  unsigned char* bytes = realloc(buffer->bytes, capacity);
  if (bytes == NULL) fail(kCniIoFailure, "out of memory", strerror(errno));
  buffer->bytes = bytes;
  buffer->capacity = capacity;
}

static void append(Buffer* buffer, const void* bytes, size_t length) {
  reserve(buffer, length);
  if (length > 0) memcpy(buffer->bytes + buffer->length, bytes, length);
  buffer->length += length;
}

static void storeUint32(unsigned char* at, size_t value) {
  for (int i = 0; i < 4; i++) at[i] = (unsigned char)(value >> (24 - 8 * i));
}

static size_t loadUint32(const unsigned char* at) {
  return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | (size_t)at[3];
}

static void appendRecord(Buffer* frame, const char* prefix, const char* key, size_t keyLength,
                         const void* value, size_t valueLength) {
  unsigned char lengths[8];
  storeUint32(lengths, strlen(prefix) + keyLength);
  storeUint32(lengths + 4, valueLength);
  append(frame, lengths, sizeof(lengths));
  append(frame, prefix, strlen(prefix));
  append(frame, key, keyLength);
  append(frame, value, valueLength);
}

static void readStdin(Buffer* buffer) {
  for (;;) {
    reserve(buffer, 8192);
    ssize_t got = read(STDIN_FILENO, buffer->bytes + buffer->length, 8192);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(kCniIoFailure, "error reading from stdin", strerror(errno));
    if (got == 0) return;
    buffer->length += (size_t)got;
    if (buffer->length > kMaxStdinBytes) {
      fail(kCniIoFailure, "error reading from stdin", "more than 4194304 bytes");
    }
  }
}

static bool isForwarded(const char* name, size_t length) {
  static const char* const kNames[] = {"TRACEPARENT",  "TRACESTATE", "BAGGAGE",
                                       "WEFT_RUN_DIR", "WEFT_ARGV0", "WEFT_CALL"};
  if (length > 4 && strncmp(name, "CNI_", 4) == 0) return true;
  for (size_t i = 0; i < sizeof(kNames) / sizeof(kNames[0]); i++) {
    if (strlen(kNames[i]) == length && strncmp(name, kNames[i], length) == 0) return true;
  }
  return false;
}

static void buildFrame(Buffer* frame, const Buffer* input, const char* netnsError) {
  append(frame, kMagic, 4);
  append(frame, "\0\0\0\0", 4);
  for (char** entry = environ; *entry != NULL; entry++) {
    const char* equals = strchr(*entry, '=');
    if (equals == NULL || !isForwarded(*entry, (size_t)(equals - *entry))) continue;
    appendRecord(frame, "env.", *entry, (size_t)(equals - *entry), equals + 1, strlen(equals + 1));
  }
  appendRecord(frame, "", "stdin", 5, input->bytes, input->length);
  if (netnsError != NULL) {
    appendRecord(frame, "", "netns-error", 11, netnsError, strlen(netnsError));
  }
  storeUint32(frame->bytes + 4, frame->length - kHeaderBytes);
}

static long long nowMs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Bounds the next blocking call on the socket; false when no time is left.
static bool armTimeout(int fd, int option, long long deadline) {
  long long leftMs = deadline - nowMs();
  if (leftMs <= 0) return false;
  struct timeval left = {.tv_sec = leftMs / 1000, .tv_usec = (leftMs % 1000) * 1000};
  return setsockopt(fd, SOL_SOCKET, option, &left, sizeof(left)) == 0;
}

static bool isTimeout(int error) {
  return error == EAGAIN || error == EWOULDBLOCK;
}

// Whoever answers decides what happens to a pod: the socket and its owner must be root's.
static bool isTrusted(int fd, const char* path) {
  struct stat status;
  struct ucred peer;
  socklen_t length = sizeof(peer);
  return stat(path, &status) == 0 && S_ISSOCK(status.st_mode) && status.st_uid == 0 &&
         getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == 0;
}

static Exchange connectAgent(int fd, long long deadline) {
  const char* directory = getenv("WEFT_RUN_DIR");
  if (directory == NULL || *directory == '\0') directory = kDefaultRunDirectory;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/cni.sock", directory);
  if (length < 0 || (size_t)length >= sizeof(address.sun_path)) return kAgentGone;
  if (!armTimeout(fd, SO_SNDTIMEO, deadline)) return kTimedOut;
  if (connect(fd, (const struct sockaddr*)&address, sizeof(address)) != 0) {
    return isTimeout(errno) ? kTimedOut : kAgentGone;
  }
  return isTrusted(fd, address.sun_path) ? kDone : kAgentGone;
}

static Exchange sendFrame(int fd, const Buffer* frame, int netns, long long deadline) {
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr alignment;
  } control;
  size_t sent = 0;
  while (sent < frame->length) {
    struct iovec part = {.iov_base = frame->bytes + sent, .iov_len = frame->length - sent};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (sent == 0 && netns >= 0) {
      memset(&control, 0, sizeof(control));
      message.msg_control = control.bytes;
      message.msg_controllen = sizeof(control.bytes);
      struct cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      memcpy(CMSG_DATA(header), &netns, sizeof(netns));
    }
    if (!armTimeout(fd, SO_SNDTIMEO, deadline)) return kTimedOut;
    ssize_t taken = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (taken < 0 && errno == EINTR) continue;
    if (taken < 0) return isTimeout(errno) ? kTimedOut : kAgentGone;
    sent += (size_t)taken;
  }
  return kDone;
}

static Exchange receiveExactly(int fd, unsigned char* at, size_t length, long long deadline) {
  while (length > 0) {
    if (!armTimeout(fd, SO_RCVTIMEO, deadline)) return kTimedOut;
    ssize_t got = recv(fd, at, length, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && isTimeout(errno)) return kTimedOut;
    if (got <= 0) return kAgentGone;
    at += got;
    length -= (size_t)got;
  }
  return kDone;
}

static Exchange receiveAnswer(int fd, Buffer* answer, long long deadline) {
  unsigned char header[kHeaderBytes];
  Exchange outcome = receiveExactly(fd, header, sizeof(header), deadline);
  if (outcome != kDone) return outcome;
  size_t length = loadUint32(header + 4);
  if (memcmp(header, kMagic, 4) != 0 || length < 8 || length > kMaxAnswerBytes) return kAgentGone;
  reserve(answer, length);
  outcome = receiveExactly(fd, answer->bytes, length, deadline);
  if (outcome != kDone) return outcome;
  answer->length = length;
  return loadUint32(answer->bytes + 4) <= length - 8 ? kDone : kAgentGone;
}

static Exchange askAgent(const Buffer* frame, int netns, long long deadline, Buffer* answer) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return kAgentGone;
  Exchange outcome = connectAgent(fd, deadline);
  if (outcome == kDone) outcome = sendFrame(fd, frame, netns, deadline);
  if (outcome == kDone) outcome = receiveAnswer(fd, answer, deadline);
  close(fd);
  return outcome;
}

static _Noreturn void printAnswer(const Buffer* answer) {
  size_t outputLength = loadUint32(answer->bytes + 4);
  const unsigned char* output = answer->bytes + 8;
  writeAll(STDERR_FILENO, output + outputLength, answer->length - 8 - outputLength);
  bool isWritten = writeAll(STDOUT_FILENO, output, outputLength);
  _exit(isWritten ? (int)loadUint32(answer->bytes) : 1);
}

static void replayStdin(const Buffer* input) {
  int fd = memfd_create("weft-stdin", MFD_CLOEXEC);
  if (fd < 0 || !writeAll(fd, input->bytes, input->length) || lseek(fd, 0, SEEK_SET) != 0 ||
      dup2(fd, STDIN_FILENO) < 0) {
    fail(kCniIoFailure, "cannot pass stdin on to the standalone executable", strerror(errno));
  }
}

static _Noreturn void runStandalone(const Buffer* input) {
  char node[PATH_MAX + sizeof(kNode)];
  char bundle[PATH_MAX + sizeof(kBundle)];
  ssize_t length = readlink("/proc/self/exe", node, PATH_MAX - 1);
  if (length <= 0) fail(kCniIoFailure, "cannot find the executable's own path", strerror(errno));
  node[length] = '\0';
  char* slash = strrchr(node, '/');
  if (slash != NULL) *slash = '\0';
  strcpy(bundle, node);
  strcat(bundle, kBundle);
  strcat(node, kNode);
  if (input != NULL) replayStdin(input);

  // Flags meant for some other Node must not change what runs here.
  unsetenv("NODE_OPTIONS");
  const char* argv[kNodeFlagCount + 3] = {node};
  memcpy(argv + 1, kNodeFlags, sizeof(kNodeFlags));
  argv[kNodeFlagCount + 1] = bundle;
  // execv does not write to what it is given; its type is older than const.
  execv(node, (char* const*)argv);
  char details[sizeof(node) + 64];
  snprintf(details, sizeof(details), "%s: %s", node, strerror(errno));
  fail(kCniTryAgainLater, "the weft agent is not running and the standalone cannot be started",
       details);
}

// The name the runtime called, which chooses the plugin, for agent and standalone alike.
static void exportCalledName(const char* path) {
  const char* slash = strrchr(path, '/');
  if (setenv("WEFT_ARGV0", slash == NULL ? path : slash + 1, 1) != 0) {
    fail(kCniIoFailure, "cannot extend the environment", strerror(errno));
  }
}

// Tells this execution from every other: an agent that dies between its work and its answer leaves
// behind what only the standalone of the same call may take back.
static void exportCall(void) {
  unsigned char bytes[16];
  char text[2 * sizeof(bytes) + 1];
  if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
    fail(kCniIoFailure, "cannot read random bytes", strerror(errno));
  }
  for (size_t i = 0; i < sizeof(bytes); i++) sprintf(text + 2 * i, "%02x", bytes[i]);
  if (setenv("WEFT_CALL", text, 1) != 0) {
    fail(kCniIoFailure, "cannot extend the environment", strerror(errno));
  }
}

static long long timeoutMs(void) {
  const char* text = getenv("WEFT_TIMEOUT_MS");
  char* end = NULL;
  long value = text == NULL ? 0 : strtol(text, &end, 10);
  return value > 0 && value <= INT_MAX && *end == '\0' ? value : kDefaultTimeoutMs;
}

int main(int argc, char** argv) {
  long long deadline = nowMs() + timeoutMs();
  exportCalledName(argc > 0 ? argv[0] : "");
  exportCall();
  const char* command = getenv("CNI_COMMAND");
  bool usesStdin = command != NULL && *command != '\0' && strcmp(command, "VERSION") != 0;
  Buffer input = {0};
  if (usesStdin) readStdin(&input);

  // O_NONBLOCK: the path may be anything, a FIFO among them, and only opening it tells.
  const char* netnsPath = getenv("CNI_NETNS");
  bool usesNetns = usesStdin && netnsPath != NULL && *netnsPath != '\0';
  int netns = usesNetns ? open(netnsPath, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
  const char* netnsError = usesNetns && netns < 0 ? strerror(errno) : NULL;

  Buffer frame = {0};
  Buffer answer = {0};
  buildFrame(&frame, &input, netnsError);
  switch (askAgent(&frame, netns, deadline, &answer)) {
    case kDone:
      if (loadUint32(answer.bytes) == kRunStandalone) break;
      printAnswer(&answer);
    case kTimedOut:
      fail(kCniTryAgainLater, "the weft agent did not answer in time",
           command == NULL ? "" : command);
    case kAgentGone:
      break;
  }
  runStandalone(usesStdin ? &input : NULL);
}
