#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

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

// A frame that is looked at here is short; of a longer one the beginning.
constexpr size_t kFrameBytes = 256;

// openPacket(netnsFd, ifindex, etherType, filter): a socket for frames of that type that come in by one
// link and pass the filter, struct sock_filter after struct sock_filter (linux/filter.h); none of them is
// taken from anybody else.
Napi::Value openPacket(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int ifindex = info[1].As<Napi::Number>().Int32Value();
  uint16_t type = htons(static_cast<uint16_t>(info[2].As<Napi::Number>().Uint32Value()));
  Napi::Uint8Array bytes = info[3].As<Napi::Uint8Array>();
  // The caller's bytes need not be aligned.
  std::array<sock_filter, 32> instructions = {};
  size_t count = bytes.ByteLength() / sizeof(sock_filter);
  if (count == 0 || count > instructions.size() || bytes.ByteLength() % sizeof(sock_filter) != 0) {
    return throwErrno(env, EINVAL, "setsockopt");
  }
  std::memcpy(instructions.data(), bytes.Data(), bytes.ByteLength());
  sock_fprog filter = {static_cast<unsigned short>(count), instructions.data()};
  UniqueFd fd;
  int error = runInNetns(info[0].As<Napi::Number>().Int32Value(), [&] {
    // Protocol 0 until it is bound: nothing comes in before the filter is there.
    fd.reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return fd.valid() ? 0 : errno;
  });
  if (error != 0) return throwErrno(env, error, "socket");
  if (setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0) {
    return throwErrno(env, errno, "setsockopt");
  }
  sockaddr_ll address = {};
  address.sll_family = AF_PACKET;
  address.sll_protocol = type;
  address.sll_ifindex = ifindex;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return throwErrno(env, errno, "bind");
  }
  return Napi::Number::New(env, fd.release());
}

// joinEthernetGroup(fd, ifindex, mac): frames to a multicast address come in, as long as the socket lives.
Napi::Value joinEthernetGroup(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array mac = info[2].As<Napi::Uint8Array>();
  packet_mreq request = {};
  request.mr_ifindex = info[1].As<Napi::Number>().Int32Value();
  request.mr_type = PACKET_MR_MULTICAST;
  if (mac.ByteLength() != 6) return throwErrno(env, EINVAL, "setsockopt");
  request.mr_alen = 6;
  std::memcpy(request.mr_address, mac.Data(), 6);
  int fd = info[0].As<Napi::Number>().Int32Value();
  if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request) != 0) {
    return throwErrno(env, errno, "setsockopt");
  }
  return env.Undefined();
}

// receivePackets(fd, most): the frames that wait, at most so many, without those that this node sent.
Napi::Value receivePackets(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int fd = info[0].As<Napi::Number>().Int32Value();
  uint32_t most = info[1].As<Napi::Number>().Uint32Value();
  Napi::Array frames = Napi::Array::New(env);
  std::array<uint8_t, kFrameBytes> bytes;
  for (uint32_t i = 0; i < most; i++) {
    sockaddr_ll from = {};
    socklen_t length = sizeof from;
    ssize_t received = recvfrom(fd, bytes.data(), bytes.size(), MSG_DONTWAIT,
                                reinterpret_cast<sockaddr*>(&from), &length);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (received < 0) return throwErrno(env, errno, "recvfrom");
    if (from.sll_pkttype == PACKET_OUTGOING) continue;
    frames.Set(frames.Length(), Napi::Buffer<uint8_t>::Copy(env, bytes.data(), received));
  }
  return frames;
}

}  // namespace

void exportPacket(Napi::Env env, Napi::Object exports) {
  exports.Set("sendFrames", Napi::Function::New<sendFrames>(env));
  exports.Set("openPacket", Napi::Function::New<openPacket>(env));
  exports.Set("joinEthernetGroup", Napi::Function::New<joinEthernetGroup>(env));
  exports.Set("receivePackets", Napi::Function::New<receivePackets>(env));
}

}  // namespace weft
