/** sentinel.cc: see sentinel.h. */
#include "sentinel.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include <sys/prctl.h>

#include "bell.h"

namespace locktable {

namespace {

constexpr size_t kStackBytes = 256 * 1024;
constexpr uint64_t kMillisecond = 1000 * 1000;

/** How long to sleep at most: with waiters, and without. */
struct Periods {
  uint64_t whileWaiting;
  uint64_t whileIdle;
};

/** With futex_waitv deaths wake us; the clock is for the case that whoever should have noticed is stopped. */
constexpr Periods kWithWaitv = {100 * kMillisecond, DeathWatch::kNever};
/** Without it only the own bell does, and the clock is how deaths are found. */
constexpr Periods kWithoutWaitv = {20 * kMillisecond, 250 * kMillisecond};

bool canWaitv() {
  static const bool can = [] {
    const char* forbidden = std::getenv("LOCKTABLE_NO_WAITV");
    return (forbidden == nullptr || forbidden[0] != '1') && probeFutexWaitv();
  }();
  return can;
}

}  // namespace

Sentinel::Sentinel(Word* words, int fd, uint32_t number, std::function<void()> onRing)
    : words_(words),
      bell_(participantWord(words, number, layout::kBellWord)),
      robust_(participantWord(words, number, layout::kRobustWord)),
      number_(number),
      onRing_(std::move(onRing)),
      canWaitv_(canWaitv()),
      watch_(words, fd, number) {
  sem_init(&started_, 0, 0);
}

Sentinel::~Sentinel() {
  abandon();
  sem_destroy(&started_);
}

int Sentinel::start(Word* words, int fd, uint32_t number, std::function<void()> onRing, std::unique_ptr<Sentinel>* started) {
  std::unique_ptr<Sentinel> sentinel(new Sentinel(words, fd, number, std::move(onRing)));
  const int error = sentinel->startThread();
  if (error == 0) *started = std::move(sentinel);
  return error;
}

/** @returns 0 or an errno */
int Sentinel::startThread() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  // The process's signal handlers belong on threads that its author knows of.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&thread_, &attributes, threadMain, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) return error;
  while (sem_wait(&started_) != 0) continue;  // EINTR
  if (startError_ != 0) {
    pthread_join(thread_, nullptr);
    return startError_;
  }
  isRunning_ = true;
  return 0;
}

void Sentinel::end(Ending ending) {
  if (!isRunning_) return;
  isRunning_ = false;
  ending_.store(ending);
  ringBell(words_, number_);
  futexWakeAll(bell_);  // whatever the word says of sleepers: in a damaged table it may say nothing, and we would wait for ever
  pthread_join(thread_, nullptr);  // the kernel has walked the robust list by then
}

void Sentinel::setWaiting(bool waiting) {
  isWaiting_.store(waiting);
  // The thread stores sleepsLong_ and then reads isWaiting_; we do it the other way round, so one of us sees the other.
  if (waiting && sleepsLong_.load()) ringBell(words_, number_);
}

void* Sentinel::threadMain(void* self) {
  auto* sentinel = static_cast<Sentinel*>(self);
  prctl(PR_SET_NAME, "locktable");
  sentinel->startError_ = sentinel->enterRobustList();
  const bool hasStarted = sentinel->startError_ == 0;
  if (hasStarted) sentinel->run();
  else sem_post(&sentinel->started_);
  if (hasStarted && sentinel->ending_.load() == Ending::kLeave) sentinel->leaveRobustList();
  return nullptr;
}

/** @returns 0 or an errno */
int Sentinel::enterRobustList() {
  robustEntry_.next = &robustHead_.list;
  robustHead_.list.next = &robustEntry_;
  robustHead_.futexOffset = reinterpret_cast<char*>(robust_) - reinterpret_cast<char*>(&robustEntry_);
  const int error = setRobustList(&robustHead_);
  // The kernel wakes only if somebody waits; that somebody always may.
  if (error == 0) storeWord(robust_, threadId() | kFutexWaiters);
  return error;
}

/**
 * The word is cleared before the list: killed between the two, the kernel finds a word that names another owner and does
 * nothing; the other way round it would find an empty list, and the word would name a dead thread as if it lived.
 */
void Sentinel::leaveRobustList() {
  storeWord(robust_, 0);
  futexWakeAll(robust_);
  robustHead_.list.next = &robustHead_.list;
}

void Sentinel::run() {
  const Periods* periods = canWaitv_ ? &kWithWaitv : &kWithoutWaitv;
  Word heard = loadWord(bell_) & ~layout::kBellFlags;
  uint64_t waitedAt = 0;
  sem_post(&started_);
  for (;;) {
    const Word bell = loadWord(bell_);
    // After the bell was read: whoever ends us rings afterwards, which the sleep below then notices.
    if (ending_.load() != Ending::kNone) return;
    if ((bell & ~layout::kBellFlags) != heard) {
      heard = bell & ~layout::kBellFlags;
      onRing_();
    }
    if (!canWaitv_) periods = &kWithoutWaitv;
    const uint64_t now = monotonicNanoseconds();
    const bool isWaiting = isWaiting_.load();
    if (isWaiting) waitedAt = now;
    const uint64_t scanPeriod = isWaiting ? periods->whileWaiting : periods->whileIdle;
    watch_.step(now, scanPeriod, isWaiting);
    uint64_t deadline = watch_.deadline(scanPeriod, isWaiting);
    // Short sleeps go on for a while after the last wait: setWaiting(true) then needs no system call to wake us.
    const uint64_t shortDeadline = now + periods->whileWaiting;
    const bool isLong = deadline > shortDeadline && now - waitedAt >= periods->whileWaiting;
    if (!isLong) deadline = std::min(deadline, shortDeadline);
    sleep(bell, deadline, isLong);
  }
}

/**
 * Sleeps while the bell holds `bell`, the target lives and the time is not up; may return early. Behind a muted bell without a word: to
 * ask for a wake-up would undo the muting, and each ring would bring us here again. Unmuting asks in our place.
 */
void Sentinel::sleep(Word bell, uint64_t deadline, bool isLong) {
  const Word expected = (bell & layout::kBellMuted) != 0 ? bell : bell | layout::kBellSentinel;
  if (bell != expected && !swapWord(bell_, bell, expected)) return;
  if (isLong) {
    sleepsLong_.store(true);
    if (isWaiting_.load()) deadline = 0;
  }
  const timespec time = toTimespec(deadline);
  const timespec* limit = deadline == DeathWatch::kNever ? nullptr : &time;
  if (canWaitv_ && watch_.targetWord() != nullptr) {
    const FutexWaitvEntry entries[] = {futexWaitvEntry(bell_, expected),
                                       futexWaitvEntry(watch_.targetWord(), watch_.targetValue())};
    const int error = futexWaitv(entries, 2, limit);
    if (error == ENOSYS || error == EPERM) canWaitv_ = false;
  } else {
    futexWait(bell_, expected, limit);
  }
  if (isLong) sleepsLong_.store(false);
}

}  // namespace locktable
