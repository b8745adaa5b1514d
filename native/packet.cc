#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>

#include "bindings.h"
#include "environment.h"
#include "netns.h"

namespace weft {

namespace {

// sendFrame(netnsFd, ifindex, bytes): one whole Ethernet frame out of a link. The socket is for
// protocol 0, so it never receives anything.
Napi::Value sendFrame(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array bytes = info[2].As<Napi::Uint8Array>();
  UniqueFd fd;
  int error = runInNetns(info[0].As<Napi::Number>().Int32Value(), [&] {
    fd.reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    return fd.valid() ? 0 : errno;
  });
  if (error != 0) return throwErrno(env, error, "socket");
  sockaddr_ll link = {};
  link.sll_family = AF_PACKET;
  link.sll_ifindex = info[1].As<Napi::Number>().Int32Value();
  ssize_t sent;
  do {
    sent = sendto(fd.get(), bytes.Data(), bytes.ByteLength(), MSG_DONTWAIT,
                  reinterpret_cast<sockaddr*>(&link), sizeof link);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return throwErrno(env, errno, "sendto");
  return env.Undefined();
}

}  // namespace

void exportPacket(Napi::Env env, Napi::Object exports) {
  exports.Set("sendFrame", Napi::Function::New<sendFrame>(env));
}

}  // namespace weft
