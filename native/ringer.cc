/** ringer.cc: see ringer.h. */
#include "ringer.h"

#include "napi_util.h"

namespace locktable {

namespace {

/** Runs on JavaScript's thread; `env` is null when the environment is going away. */
void callOnRing(napi_env env, napi_value onRing, void* context, void*) {
  if (env == nullptr) return;
  // Before the call: a ring after this line causes another call, so what preceded any ring is never missed.
  static_cast<std::atomic<bool>*>(context)->store(false);
  napi_value receiver;
  napi_value result;
  if (napi_get_undefined(env, &receiver) != napi_ok) return;
  if (napi_call_function(env, receiver, onRing, 0, nullptr, &result) != napi_pending_exception) return;
  napi_value error;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

void deletePending(napi_env, void*, void* context) { delete static_cast<std::atomic<bool>*>(context); }

void abandonAtExit(void* ringer) { static_cast<Ringer*>(ringer)->abandon(); }

}  // namespace

std::unique_ptr<Ringer> Ringer::start(Napi::Env env, Word* words, int fd, uint32_t number, Napi::Function onRing) {
  std::unique_ptr<Ringer> ringer(new Ringer(env));
  ringer->create(onRing);
  const napi_threadsafe_function function = ringer->function_;
  std::atomic<bool>* const pending = ringer->pending_;
  const auto deliver = [function, pending] {
    if (!pending->exchange(true)) napi_call_threadsafe_function(function, nullptr, napi_tsfn_nonblocking);
  };
  const int error = Sentinel::start(words, fd, number, deliver, &ringer->sentinel_);
  if (error != 0) throwErrno(env, error, "startSentinel");
  return ringer;
}

void Ringer::create(Napi::Function onRing) {
  pending_ = new std::atomic<bool>(false);
  const napi_status status =
      napi_create_threadsafe_function(env_, onRing, nullptr, Napi::String::New(env_, "locktable"), 0, 1, pending_,
                                      deletePending, pending_, callOnRing, &function_);
  if (status != napi_ok) delete pending_;
  checkStatus(env_, status);
  isCreated_ = true;
  napi_unref_threadsafe_function(env_, function_);
  // Hooks run last in, first out, and the function has one of its own, after which it must not be called any more:
  // registered here, ours joins the thread before that.
  napi_add_env_cleanup_hook(env_, abandonAtExit, this);
}

void Ringer::leave() {
  if (sentinel_ != nullptr) sentinel_->leave();
  release();
}

void Ringer::abandon() {
  if (sentinel_ != nullptr) sentinel_->abandon();
  release();
}

/** The sentinel has ended: nobody calls the function any more. */
void Ringer::release() {
  if (!isCreated_) return;
  isCreated_ = false;
  napi_remove_env_cleanup_hook(env_, abandonAtExit, this);
  napi_release_threadsafe_function(function_, napi_tsfn_abort);
}

void Ringer::setWaiting(bool waiting) {
  if (waiting == isReferenced_) return;
  isReferenced_ = waiting;
  sentinel_->setWaiting(waiting);
  if (waiting) napi_ref_threadsafe_function(env_, function_);
  else napi_unref_threadsafe_function(env_, function_);
}

}  // namespace locktable
