/**
 * ringer.h: a participant's sentinel (sentinel.h) whose rings run JavaScript on the event loop of its environment.
 */
#ifndef LOCKTABLE_RINGER_H_
#define LOCKTABLE_RINGER_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include <napi.h>

#include "sentinel.h"

namespace locktable {

class Ringer {
 public:
  /** Starts the sentinel. Throws if the system refuses a thread or its robust list. */
  static std::unique_ptr<Ringer> start(Napi::Env env, Word* words, int fd, uint32_t number, Napi::Function onRing);

  /** Abandons the sentinel if it still runs. */
  ~Ringer() { abandon(); }

  Ringer(const Ringer&) = delete;
  Ringer& operator=(const Ringer&) = delete;

  /** End the sentinel as it says there, and what it rings. Idempotent. */
  void leave();
  void abandon();

  /** While true, the event loop is kept alive and deaths are also looked for by the clock. JavaScript thread only. */
  void setWaiting(bool waiting);

 private:
  explicit Ringer(Napi::Env env) : env_(env) {}

  void create(Napi::Function onRing);
  void release();

  const Napi::Env env_;
  napi_threadsafe_function function_ = nullptr;
  /** True from a call of the function until JavaScript runs it: rings in between merge. Owned by the function. */
  std::atomic<bool>* pending_ = nullptr;
  bool isCreated_ = false;
  bool isReferenced_ = false;
  std::unique_ptr<Sentinel> sentinel_;
};

}  // namespace locktable

#endif  // LOCKTABLE_RINGER_H_
