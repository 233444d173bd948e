/**
 * death_watch.h: finds dead participants, certifies their death, and tells the living. Used by one sentinel thread.
 *
 * WHO WATCHES   Each sentinel sleeps on the robust word of its target, the next participant in circular order that has
 *               a sentinel of its own; the kernel wakes it there when the target's sentinel thread exits.
 * SUSPECTED     A robust word with FUTEX_OWNER_DIED. That is only the bell: other threads of the process may still run.
 * CERTIFIED     The participant's byte lock was seen free: nothing of the process runs any more. Then
 *                 d1  LIFE  generation | LIVE or SCRUBBING -> generation | DEAD, by compare and swap with the value read
 *                           before the byte was probed: a successor in the number has another generation
 *                 d2  ROSTER += 1
 *                 d3  every living participant's bell is rung, ours too
 * HALF WAY      A watcher that dies between d1 and d3 is itself watched, and its own death rings everybody. One that is
 *               stopped there (SIGSTOP) is covered by the clock: a participant with waiters compares all LIFE words
 *               with those it saw last, and rings its own bell if one of them is not alive any more.
 * AUDIT         While this participant has waiters, every living byte is probed about once a second, whatever the robust
 *               word says: before Linux 5.18 the out-of-memory killer could wipe the private memory that holds the robust
 *               list before the kernel read it.
 * All of it is idempotent: any number of watchers may do it at the same time.
 */
#ifndef LOCKTABLE_DEATH_WATCH_H_
#define LOCKTABLE_DEATH_WATCH_H_

#include <cstdint>

#include "native.h"

namespace locktable {

class DeathWatch {
 public:
  static constexpr uint64_t kNever = UINT64_MAX;

  /** `self` is the own number; `fd` the open file that holds the own byte. */
  DeathWatch(Word* words, int fd, uint32_t self) : words_(words), fd_(fd), self_(self) {}

  /**
   * Does what is due; may ring the own bell.
   * @param now  CLOCK_MONOTONIC, nanoseconds.
   * @param scanPeriod  Everybody is looked at when this many nanoseconds have passed; kNever: only when something moved.
   * @param audit  Whether the byte locks are audited.
   */
  void step(uint64_t now, uint64_t scanPeriod, bool audit);

  /** When the next step is due at the latest, if nothing moves. */
  uint64_t deadline(uint64_t scanPeriod, bool audit) const;

  /** The target's robust word, null if there is nobody to watch; the value it had when it was looked at. */
  const Word* targetWord() const { return targetWord_; }
  Word targetValue() const { return targetValue_; }

 private:
  void scan(uint64_t now);
  void retarget();
  void auditBytes();
  void pollDying(uint64_t now);
  void certifyIfGone(uint32_t number);
  void noteLife(uint32_t number, Word life);
  void announce();
  bool isSuspect(uint32_t number, Word life) const;
  Word life(uint32_t number) const;
  Word robust(uint32_t number) const;

  Word* const words_;
  const int fd_;
  const uint32_t self_;

  const Word* targetWord_ = nullptr;
  Word targetValue_ = 0;
  Word rosterSeen_ = 0;
  bool hasScanned_ = false;
  uint64_t scannedAt_ = 0;
  uint64_t auditDueAt_ = 0;

  /** LIFE of everybody as seen last. */
  Word lives_[layout::kParticipantLimit] = {};
  /** Suspected, certificate outstanding. */
  bool dying_[layout::kParticipantLimit] = {};
  uint32_t dyingCount_ = 0;
  uint64_t pollDueAt_ = 0;
  uint64_t pollPeriod_ = 0;

  /** Found during this step: somebody is gone, and who has to hear of it. */
  bool certified_ = false;
  bool departed_ = false;
};

}  // namespace locktable

#endif  // LOCKTABLE_DEATH_WATCH_H_
