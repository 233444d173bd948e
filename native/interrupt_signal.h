/**
 * interrupt_signal.h: the signal that interrupts a thread in flock(2), with a handler that does nothing and without SA_RESTART.
 *
 * One for the whole process: a free real-time signal, ours while any environment has a pool (lockfile_pool.h).
 */
#ifndef LOCKTABLE_INTERRUPT_SIGNAL_H_
#define LOCKTABLE_INTERRUPT_SIGNAL_H_

#include <csignal>
#include <mutex>

namespace lockfile {

inline std::mutex signalMutex;
inline int signalUsers = 0;
inline int signalNumber = 0;

inline void interruptNothing(int) {}

/** @returns the signal, or 0 if none is free */
inline int acquireSignal() {
  std::lock_guard<std::mutex> lock(signalMutex);
  if (signalUsers++ > 0) return signalNumber;
  // From the top: C libraries and runtimes take theirs from the bottom.
  for (int number = SIGRTMAX - 1; number > SIGRTMIN; number--) {
    struct sigaction present {};
    if (sigaction(number, nullptr, &present) != 0 || (present.sa_flags & SA_SIGINFO) || present.sa_handler != SIG_DFL) continue;
    struct sigaction ours {};
    ours.sa_handler = interruptNothing;
    if (sigaction(number, &ours, nullptr) == 0) return signalNumber = number;
  }
  return signalNumber = 0;
}

/** The handler's code goes away with the last environment, so the handler must. */
inline void releaseSignal() {
  std::lock_guard<std::mutex> lock(signalMutex);
  if (--signalUsers > 0 || signalNumber == 0) return;
  struct sigaction present {};
  if (sigaction(signalNumber, nullptr, &present) == 0 && present.sa_handler == interruptNothing) signal(signalNumber, SIG_DFL);
  signalNumber = 0;
}

}  // namespace lockfile

#endif  // LOCKTABLE_INTERRUPT_SIGNAL_H_
