/**
 * condition.h: a condition variable whose waits end by CLOCK_MONOTONIC.
 *
 * std::condition_variable waits by the real-time clock where the C library has no pthread_cond_clockwait (musl, glibc before 2.30): a
 * step of the clock would then end a wait early, or hours late.
 */
#ifndef LOCKTABLE_CONDITION_H_
#define LOCKTABLE_CONDITION_H_

#include <pthread.h>
#include <time.h>

#include <cerrno>
#include <chrono>
#include <mutex>

class Condition {
 public:
  Condition() {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&condition_, &attributes);
    pthread_condattr_destroy(&attributes);
  }
  ~Condition() { pthread_cond_destroy(&condition_); }
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  void notify_one() { pthread_cond_signal(&condition_); }
  void notify_all() { pthread_cond_broadcast(&condition_); }

  template <typename Predicate>
  void wait(std::unique_lock<std::mutex>& lock, Predicate isDone) {
    while (!isDone()) pthread_cond_wait(&condition_, lock.mutex()->native_handle());
  }

  /** False: the time is up. */
  bool waitFor(std::unique_lock<std::mutex>& lock, std::chrono::duration<double> time) {
    const timespec end = deadline(time);
    return waitUntil(lock, end);
  }

  /** What the predicate says in the end. */
  template <typename Predicate>
  bool waitFor(std::unique_lock<std::mutex>& lock, std::chrono::duration<double> time, Predicate isDone) {
    const timespec end = deadline(time);
    while (!isDone()) if (!waitUntil(lock, end)) return isDone();
    return true;
  }

 private:
  static timespec deadline(std::chrono::duration<double> time) {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const double seconds = time.count() < 1e9 ? time.count() : 1e9;  // 30 years will do
    const auto whole = static_cast<time_t>(seconds);
    now.tv_sec += whole;
    now.tv_nsec += static_cast<long>((seconds - static_cast<double>(whole)) * 1e9);
    if (now.tv_nsec >= 1000000000) {
      now.tv_sec++;
      now.tv_nsec -= 1000000000;
    }
    return now;
  }

  bool waitUntil(std::unique_lock<std::mutex>& lock, const timespec& end) {
    return pthread_cond_timedwait(&condition_, lock.mutex()->native_handle(), &end) != ETIMEDOUT;
  }

  pthread_cond_t condition_;
};

#endif  // LOCKTABLE_CONDITION_H_
