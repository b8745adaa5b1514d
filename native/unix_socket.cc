#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "bindings.h"
#include "environment.h"
#include "unique_fd.h"

namespace weft {

namespace {

constexpr int kMaxDescriptors = 4;

// listenUnix(path, backlog) -> fd of a non-blocking stream socket.
Napi::Value listenUnix(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path = info[0].As<Napi::String>().Utf8Value();
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return throwErrno(env, ENAMETOOLONG, "bind", path.c_str());
  }
  memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return throwErrno(env, errno, "socket");
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return throwErrno(env, errno, "bind", path.c_str());
  }
  if (listen(fd.get(), info[1].As<Napi::Number>().Int32Value()) != 0) {
    return throwErrno(env, errno, "listen", path.c_str());
  }
  return Napi::Number::New(env, fd.release());
}

// sendUnixDatagram(path, text): one datagram; a path that begins with @ is in the abstract namespace.
Napi::Value sendUnixDatagram(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path = info[0].As<Napi::String>().Utf8Value();
  std::string text = info[1].As<Napi::String>().Utf8Value();
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return throwErrno(env, ENAMETOOLONG, "sendto", path.c_str());
  }
  memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  socklen_t length = offsetof(sockaddr_un, sun_path) + path.size();
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return throwErrno(env, errno, "socket");
  ssize_t sent;
  do {
    sent = sendto(fd.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                  reinterpret_cast<sockaddr*>(&address), length);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return throwErrno(env, errno, "sendto", path.c_str());
  return env.Undefined();
}

// acceptUnix(fd) -> { fd, pid, uid, gid }, or null when nobody waits.
Napi::Value acceptUnix(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int listener = info[0].As<Napi::Number>().Int32Value();
  UniqueFd fd;
  do {
    fd.reset(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  } while (!fd.valid() && (errno == EINTR || errno == ECONNABORTED));
  if (!fd.valid() && errno == EAGAIN) return env.Null();
  if (!fd.valid()) return throwErrno(env, errno, "accept4");
  ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
    return throwErrno(env, errno, "getsockopt");
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("fd", Napi::Number::New(env, fd.release()));
  result.Set("pid", Napi::Number::New(env, peer.pid));
  result.Set("uid", Napi::Number::New(env, peer.uid));
  result.Set("gid", Napi::Number::New(env, peer.gid));
  return result;
}

Napi::Array takeDescriptors(Napi::Env env, msghdr* message) {
  Napi::Array fds = Napi::Array::New(env);
  uint32_t count = 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(message); part != nullptr; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t present = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < present; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      fds.Set(count++, Napi::Number::New(env, fd));
    }
  }
  return fds;
}

// receiveUnix(fd) -> { bytes, fds, isTruncated }, or null when nothing waits; no bytes = closed by
// the peer. More descriptors than kMaxDescriptors: the kernel drops the rest, isTruncated is set.
Napi::Value receiveUnix(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uint8_t* scratch = Environment::of(env)->scratch();
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
  iovec part = {scratch, Environment::kScratchBytes};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t received;
  do {
    received = recvmsg(info[0].As<Napi::Number>().Int32Value(), &message, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0 && errno == EAGAIN) return env.Null();
  if (received < 0) return throwErrno(env, errno, "recvmsg");
  Napi::Object result = Napi::Object::New(env);
  result.Set("bytes", Napi::Buffer<uint8_t>::Copy(env, scratch, static_cast<size_t>(received)));
  result.Set("fds", takeDescriptors(env, &message));
  result.Set("isTruncated", Napi::Boolean::New(env, (message.msg_flags & MSG_CTRUNC) != 0));
  return result;
}

// isPeerGone(fd) -> whether the other end has closed, also when what it sent is not read yet.
Napi::Value isPeerGone(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  pollfd polled = {info[0].As<Napi::Number>().Int32Value(), POLLRDHUP, 0};
  int ready;
  do {
    ready = poll(&polled, 1, 0);
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) return throwErrno(env, errno, "poll");
  return Napi::Boolean::New(env, polled.revents != 0);
}

// sendUnix(fd, bytes) -> bytes taken; 0 when the peer reads too slowly.
Napi::Value sendUnix(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  ssize_t sent;
  do {
    sent = send(info[0].As<Napi::Number>().Int32Value(), bytes.Data(), bytes.ByteLength(),
                MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno != EAGAIN) return throwErrno(env, errno, "send");
  return Napi::Number::New(env, sent < 0 ? 0 : static_cast<double>(sent));
}

}  // namespace

void exportUnixSocket(Napi::Env env, Napi::Object exports) {
  exports.Set("listenUnix", Napi::Function::New<listenUnix>(env));
  exports.Set("sendUnixDatagram", Napi::Function::New<sendUnixDatagram>(env));
  exports.Set("acceptUnix", Napi::Function::New<acceptUnix>(env));
  exports.Set("receiveUnix", Napi::Function::New<receiveUnix>(env));
  exports.Set("isPeerGone", Napi::Function::New<isPeerGone>(env));
  exports.Set("sendUnix", Napi::Function::New<sendUnix>(env));
}

}  // namespace weft
