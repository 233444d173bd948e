/**
 * sentinel.h: the thread of a participant. It sleeps on the bell and says so when it rings; its exit is what the others hear. Knows nothing of
 * JavaScript (ringer.h does), so that test/native/tsan can run it in a program of its own.
 *
 * The kernel walks a thread's robust list when the thread exits, however it exits. The sentinel has nothing else to do
 * with robust locks, so it replaces the list that libc registered for it by one with a single entry: the participant's
 * robust word. Head and entry lie in private memory, the word in the table: the kernel adds `futexOffset`, any signed
 * number, to the entry's address, so the table never holds a pointer.
 *
 * ENDINGS   leave()     the word is cleared first: nobody hears a death.
 *           abandon()   the word stays: the kernel reports a death, as it would after kill -9. The byte lock must be
 *                       released (by closing the file) afterwards, never before.
 */
#ifndef LOCKTABLE_SENTINEL_H_
#define LOCKTABLE_SENTINEL_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include <pthread.h>
#include <semaphore.h>

#include "death_watch.h"
#include "futex.h"

namespace locktable {

class Sentinel {
 public:
  /**
   * Starts the thread; returns when the robust word is set. `onRing` is called on the thread after every ring; rings may be merged.
   * @returns 0, or the errno with which the system refused a thread or its list
   */
  static int start(Word* words, int fd, uint32_t number, std::function<void()> onRing, std::unique_ptr<Sentinel>* started);

  /** Abandons the thread if it still runs. */
  ~Sentinel();

  Sentinel(const Sentinel&) = delete;
  Sentinel& operator=(const Sentinel&) = delete;

  /** Ends and joins the thread in good order. Idempotent, as abandon(). */
  void leave() { end(Ending::kLeave); }
  void abandon() { end(Ending::kAbandon); }

  /** While true, deaths are also looked for by the clock. */
  void setWaiting(bool waiting);

 private:
  enum class Ending : int { kNone, kLeave, kAbandon };

  Sentinel(Word* words, int fd, uint32_t number, std::function<void()> onRing);

  int startThread();
  void end(Ending ending);

  // On the thread.
  static void* threadMain(void* self);
  int enterRobustList();
  void run();
  void sleep(Word bell, uint64_t deadline, bool isLong);
  void leaveRobustList();

  Word* const words_;
  Word* const bell_;
  Word* const robust_;
  const uint32_t number_;

  const std::function<void()> onRing_;

  pthread_t thread_ = {};
  bool isRunning_ = false;
  sem_t started_;
  int startError_ = 0;

  std::atomic<Ending> ending_{Ending::kNone};
  /** Written by the owner's thread, read by ours. */
  std::atomic<bool> isWaiting_{false};
  /** Written by our thread: it may sleep longer than a waiting participant can bear. */
  std::atomic<bool> sleepsLong_{false};

  // The thread's own.
  bool canWaitv_;
  DeathWatch watch_;
  RobustHead robustHead_ = {};
  RobustEntry robustEntry_ = {};
};

}  // namespace locktable

#endif  // LOCKTABLE_SENTINEL_H_
