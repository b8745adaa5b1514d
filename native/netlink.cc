#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "bindings.h"
#include "environment.h"
#include "netlink_io.h"
#include "netns.h"

namespace weft {

int receiveDatagram(int fd, uint8_t* buffer, size_t capacity, size_t* length) {
  sockaddr_nl sender;
  iovec part = {buffer, capacity};
  msghdr message = {};
  message.msg_name = &sender;
  message.msg_namelen = sizeof sender;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ssize_t received;
  do {
    received = recvmsg(fd, &message, MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return errno;
  if ((message.msg_flags & MSG_TRUNC) != 0) return EMSGSIZE;
  // Only the kernel (port 0) is listened to; another process may send to our port.
  *length = sender.nl_pid == 0 ? static_cast<size_t>(received) : 0;
  return 0;
}

int sendDatagram(int fd, const uint8_t* bytes, size_t length) {
  sockaddr_nl kernel = {};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent;
  do {
    sent = sendto(fd, bytes, length, 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

namespace {

// The forced variants ignore the system-wide limit but need CAP_NET_ADMIN in the initial user
// namespace; without it the plain ones give as much as the limit allows.
void setBuffer(int fd, int forced, int plain, int bytes) {
  if (bytes <= 0) return;
  if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes) == 0) return;
  setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof bytes);
}

void enable(int fd, int option) {
  int on = 1;
  setsockopt(fd, SOL_NETLINK, option, &on, sizeof on);
}

// openNetlink(protocol, netnsFd, sendBufferBytes, receiveBufferBytes) -> { fd, portId }
Napi::Value openNetlink(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int protocol = info[0].As<Napi::Number>().Int32Value();
  UniqueFd fd;
  int error = runInNetns(info[1].As<Napi::Number>().Int32Value(), [&] {
    fd.reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
    return fd.valid() ? 0 : errno;
  });
  if (error != 0) return throwErrno(env, error, "socket");
  setBuffer(fd.get(), SO_SNDBUFFORCE, SO_SNDBUF, info[2].As<Napi::Number>().Int32Value());
  setBuffer(fd.get(), SO_RCVBUFFORCE, SO_RCVBUF, info[3].As<Napi::Number>().Int32Value());
  enable(fd.get(), NETLINK_EXT_ACK);
  enable(fd.get(), NETLINK_CAP_ACK);
  enable(fd.get(), NETLINK_GET_STRICT_CHK);
  sockaddr_nl self = {};
  self.nl_family = AF_NETLINK;
  socklen_t length = sizeof self;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&self), sizeof self) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&self), &length) != 0) {
    return throwErrno(env, errno, "bind");
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("fd", Napi::Number::New(env, fd.release()));
  result.Set("portId", Napi::Number::New(env, self.nl_pid));
  return result;
}

// joinNetlinkGroup(fd, group)
Napi::Value joinNetlinkGroup(const Napi::CallbackInfo& info) {
  int group = info[1].As<Napi::Number>().Int32Value();
  int fd = info[0].As<Napi::Number>().Int32Value();
  if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
    return throwErrno(info.Env(), errno, "setsockopt");
  }
  return info.Env().Undefined();
}

// Receives what is queued now, at most `most` datagrams unless that is 0. The kernel answers a
// request before sendto returns and continues a dump inside recvmsg, so an empty queue means a
// whole answer; nothing here waits. With `marksGaps` null stands where the kernel dropped some.
Napi::Value receiveQueued(Napi::Env env, int fd, uint32_t most, bool marksGaps) {
  uint8_t* scratch = Environment::of(env)->scratch();
  Napi::Array datagrams = Napi::Array::New(env);
  uint32_t count = 0;
  while (most == 0 || count < most) {
    size_t length = 0;
    int error = receiveDatagram(fd, scratch, Environment::kScratchBytes, &length);
    if (error == EAGAIN) return datagrams;
    if (error == ENOBUFS && marksGaps) {
      datagrams.Set(count++, env.Null());
      continue;
    }
    if (error != 0) return throwErrno(env, error, "recvmsg");
    if (length > 0) datagrams.Set(count++, Napi::Buffer<uint8_t>::Copy(env, scratch, length));
  }
  return datagrams;
}

// drainNetlink(fd, most) -> (Buffer | null)[]
Napi::Value drainNetlink(const Napi::CallbackInfo& info) {
  return receiveQueued(info.Env(), info[0].As<Napi::Number>().Int32Value(),
                       info[1].As<Napi::Number>().Uint32Value(), true);
}

// exchangeNetlink(fd, bytes) -> Buffer[]: sends one datagram, gives all that is queued then.
Napi::Value exchangeNetlink(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  int error =
      sendDatagram(info[0].As<Napi::Number>().Int32Value(), bytes.Data(), bytes.ByteLength());
  if (error != 0) return throwErrno(env, error, "sendto");
  return receiveQueued(env, info[0].As<Napi::Number>().Int32Value(), 0, false);
}

}  // namespace

void exportNetlink(Napi::Env env, Napi::Object exports) {
  exports.Set("openNetlink", Napi::Function::New<openNetlink>(env));
  exports.Set("joinNetlinkGroup", Napi::Function::New<joinNetlinkGroup>(env));
  exports.Set("drainNetlink", Napi::Function::New<drainNetlink>(env));
  exports.Set("exchangeNetlink", Napi::Function::New<exchangeNetlink>(env));
}

}  // namespace weft
