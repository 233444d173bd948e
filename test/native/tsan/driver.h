/**
 * driver.h: what the parts of the thread-sanitizer's program share (driver.cc): a clock that ends the run, chance with a seed, complaints.
 */
#ifndef LOCKTABLE_TEST_DRIVER_H_
#define LOCKTABLE_TEST_DRIVER_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "futex.h"

struct Options {
  unsigned seconds;
  unsigned threads;
  uint32_t seed;
};

class Deadline {
 public:
  explicit Deadline(unsigned seconds) : end_(locktable::monotonicNanoseconds() + seconds * 1000000000ull) {}
  bool isOver() const { return locktable::monotonicNanoseconds() >= end_; }

 private:
  const uint64_t end_;
};

class Chance {
 public:
  explicit Chance(uint32_t seed) : engine_(seed) {}
  uint32_t below(uint32_t limit) { return std::uniform_int_distribution<uint32_t>(0, limit - 1)(engine_); }
  bool oneIn(uint32_t count) { return below(count) == 0; }

 private:
  std::mt19937 engine_;
};

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "FAILED: %s\n", what);
  std::_Exit(1);
}

/** Waits until `isSo`: what does not come about within half a minute never will. */
template <typename Condition>
void await(const char* what, Condition isSo) {
  for (const Deadline patience(30); !isSo();) {
    if (patience.isOver()) fail(what);
    const timespec pause = {0, 50000};
    nanosleep(&pause, nullptr);
  }
}

/** Each prints what it has done, and how often. */
void driveSentinels(const Options& options);
void drivePools(const Options& options);

#endif  // LOCKTABLE_TEST_DRIVER_H_
