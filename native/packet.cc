#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>

#include "bindings.h"
#include "environment.h"
#include "netns.h"

namespace weft {

namespace {

// sendFrames(netnsFd, ifindexes, frames): whole Ethernet frames, each out of its link; gives an errno
// for each, 0 for one that was sent. The socket is for protocol 0, so it never receives anything, and
// is one for all: to close one takes the kernel a grace period.
Napi::Value sendFrames(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array links = info[1].As<Napi::Array>();
  Napi::Array frames = info[2].As<Napi::Array>();
  UniqueFd fd;
  int error = runInNetns(info[0].As<Napi::Number>().Int32Value(), [&] {
    fd.reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    return fd.valid() ? 0 : errno;
  });
  if (error != 0) return throwErrno(env, error, "socket");
  uint32_t count = frames.Length();
  Napi::Array outcomes = Napi::Array::New(env, count);
  for (uint32_t i = 0; i < count; i++) {
    Napi::HandleScope scope(env);
    Napi::Uint8Array bytes = frames.Get(i).As<Napi::Uint8Array>();
    sockaddr_ll link = {};
    link.sll_family = AF_PACKET;
    link.sll_ifindex = links.Get(i).As<Napi::Number>().Int32Value();
    ssize_t sent;
    do {
      sent = sendto(fd.get(), bytes.Data(), bytes.ByteLength(), MSG_DONTWAIT,
                    reinterpret_cast<sockaddr*>(&link), sizeof link);
    } while (sent < 0 && errno == EINTR);
    outcomes.Set(i, Napi::Number::New(env, sent < 0 ? errno : 0));
  }
  return outcomes;
}

}  // namespace

void exportPacket(Napi::Env env, Napi::Object exports) {
  exports.Set("sendFrames", Napi::Function::New<sendFrames>(env));
}

}  // namespace weft
