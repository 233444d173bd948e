/**
 * futex.h: the raw futex and robust-list system calls, no policy.
 *
 * The constants are restated because <linux/futex.h> is missing from plain musl installations and, in its older
 * versions, knows nothing of futex_waitv. They are kernel ABI and do not change. All futexes are shared ones: the words
 * lie in a file that other processes map, and the kernel's wake at the end of a robust owner is a shared wake too.
 */
#ifndef LOCKTABLE_FUTEX_H_
#define LOCKTABLE_FUTEX_H_

#include <cerrno>
#include <climits>
#include <cstdint>
#include <ctime>

#include <sys/syscall.h>
#include <unistd.h>

#include "native.h"

namespace locktable {

constexpr int kFutexWake = 1;
constexpr int kFutexWaitBitset = 9;
constexpr uint32_t kFutexMatchAny = 0xffffffff;

// The word of a robust owner: thread id | waiters | owner died.
constexpr uint32_t kFutexWaiters = 0x80000000;
constexpr uint32_t kFutexOwnerDied = 0x40000000;
constexpr uint32_t kFutexTidMask = 0x3fffffff;

constexpr long kFutexWaitvCall = 449;  // one number on every architecture
constexpr uint32_t kFutexWaitvSize32 = 2;

/** struct futex_waitv. */
struct FutexWaitvEntry {
  uint64_t value;
  uint64_t address;
  uint32_t flags;
  uint32_t reserved;
};
static_assert(sizeof(FutexWaitvEntry) == 24, "kernel ABI");

/** struct robust_list. */
struct RobustEntry {
  RobustEntry* next;
};

/** struct robust_list_head. */
struct RobustHead {
  RobustEntry list;
  long futexOffset;
  RobustEntry* pending;
};
static_assert(sizeof(RobustHead) == 24, "kernel ABI");

/** @returns 0 or an errno */
inline int setRobustList(RobustHead* head) {
  return syscall(SYS_set_robust_list, head, sizeof(*head)) == 0 ? 0 : errno;
}

inline uint32_t threadId() { return static_cast<uint32_t>(syscall(SYS_gettid)); }

inline void futexWakeAll(Word* word) { syscall(SYS_futex, word, kFutexWake, INT_MAX, nullptr, nullptr, 0); }

/**
 * Sleeps while `word` holds `expected`, until woken or CLOCK_MONOTONIC reaches `deadline` (null: for ever).
 * @returns 0 when woken, else an errno: EAGAIN, EINTR, ETIMEDOUT
 */
inline int futexWait(const Word* word, Word expected, const timespec* deadline) {
  return syscall(SYS_futex, word, kFutexWaitBitset, expected, deadline, nullptr, kFutexMatchAny) == 0 ? 0 : errno;
}

inline FutexWaitvEntry futexWaitvEntry(const Word* word, Word expected) {
  return {expected, reinterpret_cast<uintptr_t>(word), kFutexWaitvSize32, 0};
}

/** As futexWait, for several words at once. */
inline int futexWaitv(const FutexWaitvEntry* entries, unsigned count, const timespec* deadline) {
  return syscall(kFutexWaitvCall, entries, count, 0, deadline, CLOCK_MONOTONIC) >= 0 ? 0 : errno;
}

/** True if the kernel knows futex_waitv and no filter forbids it: an empty set is then a wrong argument. */
inline bool probeFutexWaitv() { return futexWaitv(nullptr, 0, nullptr) == EINVAL; }

inline uint64_t monotonicNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

inline timespec toTimespec(uint64_t nanoseconds) {
  return {static_cast<time_t>(nanoseconds / 1000000000u), static_cast<long>(nanoseconds % 1000000000u)};
}

}  // namespace locktable

#endif  // LOCKTABLE_FUTEX_H_
