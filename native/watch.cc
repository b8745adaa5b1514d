#include <uv.h>

#include <cerrno>
#include <memory>

#include "bindings.h"
#include "environment.h"

namespace weft {

namespace {

// One descriptor watched for readability on the environment's event loop. The uv handle must
// outlive the object until libuv has run the close callback, hence its own allocation.
class Watch : public Napi::ObjectWrap<Watch> {
 public:
  static void define(Napi::Env env, Napi::Object exports) {
    exports.Set("Watch", DefineClass(env, "Watch", {InstanceMethod<&Watch::close>("close")}));
  }

  // new Watch(fd, listener): `listener` is called whenever `fd` is readable, level-triggered.
  explicit Watch(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Watch>(info) {
    Napi::Env env = info.Env();
    uv_loop_t* loop = nullptr;
    if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
      throwErrno(env, ENOSYS, "napi_get_uv_event_loop");
      return;
    }
    listener_ = Napi::Persistent(info[1].As<Napi::Function>());
    context_ = std::make_unique<Napi::AsyncContext>(env, "weft.watch");
    poll_ = new uv_poll_t;
    int status = uv_poll_init(loop, poll_, info[0].As<Napi::Number>().Int32Value());
    if (status != 0) {
      delete poll_;
      poll_ = nullptr;
      throwErrno(env, -status, "uv_poll_init");
      return;
    }
    poll_->data = this;
    start();
    napi_add_env_cleanup_hook(env, &Watch::onEnvironmentEnd, this);
    hasHook_ = true;
    Ref();
  }

  ~Watch() override { stop(); }

 private:
  static void onReadable(uv_poll_t* poll, int status, int) {
    auto* self = static_cast<Watch*>(poll->data);
    Napi::HandleScope scope(self->Env());
    self->isCalling_ = true;
    self->callListener();
    self->isCalling_ = false;
    if (self->poll_ == nullptr) self->forget();
    // libuv stops watching a descriptor with a pending error; for a netlink socket that is only
    // an overflow (ENOBUFS), which the listener has read by now.
    if (status != 0 && self->poll_ != nullptr) self->start();
  }

  void start() { uv_poll_start(poll_, UV_READABLE | UV_DISCONNECT, &Watch::onReadable); }

  void callListener() {
    Napi::Env env = Env();
    napi_value result;
    napi_status status =
        napi_make_callback(env, *context_, Value(), listener_.Value(), 0, nullptr, &result);
    if (status != napi_pending_exception) return;
    // A listener that throws ends like any uncaught exception instead of being lost here.
    napi_value thrown;
    if (napi_get_and_clear_last_exception(env, &thrown) == napi_ok) {
      napi_fatal_exception(env, thrown);
    }
  }

  static void onEnvironmentEnd(void* self) {
    static_cast<Watch*>(self)->hasHook_ = false;
    static_cast<Watch*>(self)->stop();
  }

  // close(): after it the listener is never called again; the descriptor stays open.
  Napi::Value close(const Napi::CallbackInfo& info) {
    if (poll_ != nullptr) {
      stop();
      if (!isCalling_) forget();
      Unref();
    }
    return info.Env().Undefined();
  }

  // The listener knows its owner, and the owner this object: a listener kept would keep them all.
  void forget() {
    listener_.Reset();
    context_.reset();
  }

  void stop() {
    if (hasHook_) napi_remove_env_cleanup_hook(Env(), &Watch::onEnvironmentEnd, this);
    hasHook_ = false;
    if (poll_ == nullptr) return;
    uv_poll_stop(poll_);
    uv_close(reinterpret_cast<uv_handle_t*>(poll_),
             [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
    poll_ = nullptr;
  }

  uv_poll_t* poll_ = nullptr;
  bool hasHook_ = false;
  // Inside the listener: what its call uses must outlive it.
  bool isCalling_ = false;
  Napi::FunctionReference listener_;
  std::unique_ptr<Napi::AsyncContext> context_;
};

}  // namespace

void exportWatch(Napi::Env env, Napi::Object exports) {
  Watch::define(env, exports);
}

}  // namespace weft
