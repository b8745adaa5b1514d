#include <fcntl.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "bindings.h"
#include "environment.h"
#include "netlink_io.h"
#include "unique_fd.h"

namespace weft {

namespace {

// One exchange on a pool thread: a listing that the kernel has to search for holds up no event
// loop. It works on its own descriptor of the socket, so JavaScript may close the other meanwhile.
struct Exchange {
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  UniqueFd fd;
  std::vector<uint8_t> request;
  uint32_t most = 0;
  std::vector<std::vector<uint8_t>> datagrams;
  int error = 0;
  const char* syscall = "";
};

int receive(Exchange& exchange) {
  std::vector<uint8_t> buffer(Environment::kScratchBytes);
  while (exchange.datagrams.size() < exchange.most) {
    size_t length = 0;
    int error = receiveDatagram(exchange.fd.get(), buffer.data(), buffer.size(), &length);
    if (error != 0) return error == EAGAIN ? 0 : error;
    if (length > 0) exchange.datagrams.emplace_back(buffer.data(), buffer.data() + length);
  }
  return 0;
}

void execute(napi_env, void* data) {
  Exchange& exchange = *static_cast<Exchange*>(data);
  const std::vector<uint8_t>& request = exchange.request;
  exchange.syscall = "sendto";
  if (!request.empty()) {
    exchange.error = sendDatagram(exchange.fd.get(), request.data(), request.size());
  }
  if (exchange.error != 0) return;
  exchange.syscall = "recvmsg";
  exchange.error = receive(exchange);
}

void resolve(napi_env env, const Exchange& exchange) {
  napi_value received;
  if (napi_create_array(env, &received) != napi_ok) return;
  uint32_t index = 0;
  for (const std::vector<uint8_t>& datagram : exchange.datagrams) {
    napi_value buffer;
    if (napi_create_buffer_copy(env, datagram.size(), datagram.data(), nullptr, &buffer) !=
            napi_ok ||
        napi_set_element(env, received, index++, buffer) != napi_ok) {
      return;
    }
  }
  napi_resolve_deferred(env, exchange.deferred, received);
}

void reject(napi_env env, const Exchange& exchange) {
  throwErrno(env, exchange.error, exchange.syscall);
  napi_value error;
  if (napi_get_and_clear_last_exception(env, &error) != napi_ok) return;
  napi_reject_deferred(env, exchange.deferred, error);
}

// Called once on the JavaScript thread, also while its environment ends: every call may fail then,
// and nobody is left to be told.
void complete(napi_env env, napi_status status, void* data) {
  std::unique_ptr<Exchange> exchange(static_cast<Exchange*>(data));
  if (status == napi_ok) {
    napi_value probe;
    bool isAlive = napi_create_buffer_copy(env, 0, nullptr, nullptr, &probe) == napi_ok;
    if (isAlive && exchange->error != 0) {
      reject(env, *exchange);
    } else if (isAlive) {
      resolve(env, *exchange);
    }
  }
  napi_delete_async_work(env, exchange->work);
}

// exchangeNetlinkLater(fd, bytes, most) -> Promise<Buffer[]>: sends one datagram, if there is one,
// and receives at most so many.
Napi::Value exchangeNetlinkLater(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto exchange = std::make_unique<Exchange>();
  exchange->fd.reset(fcntl(info[0].As<Napi::Number>().Int32Value(), F_DUPFD_CLOEXEC, 0));
  if (!exchange->fd.valid()) return throwErrno(env, errno, "fcntl");
  Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  exchange->request.assign(bytes.Data(), bytes.Data() + bytes.ByteLength());
  exchange->most = info[2].As<Napi::Number>().Uint32Value();
  napi_value promise;
  Napi::String name = Napi::String::New(env, "weft.netlink");
  if (napi_create_async_work(env, nullptr, name, execute, complete, exchange.get(),
                             &exchange->work) != napi_ok) {
    return throwErrno(env, ENOMEM, "napi_create_async_work");
  }
  // The promise comes last: what is never settled is never freed.
  if (napi_create_promise(env, &exchange->deferred, &promise) != napi_ok ||
      napi_queue_async_work(env, exchange->work) != napi_ok) {
    napi_delete_async_work(env, exchange->work);
    return throwErrno(env, ENOMEM, "napi_queue_async_work");
  }
  exchange.release();
  return Napi::Value(env, promise);
}

}  // namespace

void exportNetlinkLater(Napi::Env env, Napi::Object exports) {
  exports.Set("exchangeNetlinkLater", Napi::Function::New<exchangeNetlinkLater>(env));
}

}  // namespace weft
