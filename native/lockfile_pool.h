/**
 * lockfile_pool.h: waiting for flock(2) without blocking JavaScript or the libuv pool.
 *
 * HOW A REQUEST WAITS
 *   A request is one open file and a mode. At most THREAD_LIMIT requests of an environment sleep inside flock(2), one
 *   thread each, so the kernel queues them and wakes them at once. Requests beyond that are tried with LOCK_NB by one more
 *   thread, the minder, with back-off; without it, a free lock could go unnoticed behind THREAD_LIMIT busy ones, and if
 *   those are released only by whoever gets the free one, for ever. A thread that has nothing to do ends after IDLE.
 *   A synchronous wait is the same request; only its caller sleeps.
 *
 * HOW A REQUEST IS WITHDRAWN
 *   A thread in flock(2) is interrupted by a signal whose handler does nothing, without SA_RESTART. A signal that comes
 *   between the thread's last look at the request and the system call is lost, so the minder sends it again every
 *   millisecond until the thread has let go; so it lives as long as any request does. A request that is withdrawn owns its file
 *   until then, and closes it: what the kernel grants meanwhile lasts from the system call's return to that close, and is seen
 *   by nobody here.
 *   The signal is a free real-time one. If none is free, every request is tried by the minder instead.
 *
 * STATES (written under the pool's mutex)
 *   PENDING -> BLOCKED -> DONE       a worker took it, and has its result
 *   PENDING -> DONE                  the minder got it
 *   PENDING, BLOCKED -> WITHDRAWN    the file is closed by the pool: at once, or when the worker comes back
 *   DONE -> taken by the caller      the file is the caller's again
 *
 * TRIED  Polling only: a poller is never in the kernel's queue, so busy neighbours starve it, and each hand-over costs half
 *        a back-off. One thread per request: ten thousand waiters exhaust the task limit of the service.
 *        A POSIX timer per thread that interrupts it again and again: every interruption gives up the place in the queue.
 */
#ifndef LOCKTABLE_LOCKFILE_POOL_H_
#define LOCKTABLE_LOCKFILE_POOL_H_

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include "condition.h"
#include "interrupt_signal.h"

namespace lockfile {

constexpr size_t THREAD_LIMIT = 32;
constexpr size_t STACK_BYTES = 256 * 1024;
constexpr std::chrono::milliseconds IDLE{1000};
constexpr std::chrono::milliseconds POLL_MIN{1};
constexpr std::chrono::milliseconds POLL_MAX{16};

enum class State { PENDING, BLOCKED, DONE, WITHDRAWN };

/** One wait for one open file. `state` and `error` belong to the pool's mutex. */
struct Request {
  Request(int fd_, bool exclusive_, bool rings_) : fd(fd_), exclusive(exclusive_), rings(rings_) {}
  const int fd;
  const bool exclusive;
  uint32_t id = 0;   // the environment's; the pool does not look at it
  const bool rings;  // its end is reported through the pool's ring; else somebody sleeps in Pool::sleep
  State state = State::PENDING;
  int error = 0;  // errno of a DONE request that has no lock
};

/** The threads of one environment. Called on that environment's thread; `ring` is called on others. */
class Pool {
 public:
  explicit Pool(std::function<void()> ring);
  ~Pool();  // withdraws everything, joins every thread
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /** Starts the wait. The file is the pool's until take() or sleep() gives it back. @returns errno, 0: started */
  int submit(const std::shared_ptr<Request>& request);
  /** A finished request that rings, or none. */
  std::shared_ptr<Request> take();
  /** Ends the wait. @returns true if the lock had been got: the file is the caller's. Otherwise the pool closes it. */
  bool withdraw(const std::shared_ptr<Request>& request);
  /** Blocks until the request is done or the time is up (negative: never). @returns true if it is done: see `error` */
  bool sleep(const std::shared_ptr<Request>& request, double timeoutMs);

 private:
  struct Worker {
    Pool* pool = nullptr;
    pthread_t thread{};
    bool joinable = false;
    bool running = false;
    bool idle = false;
    std::shared_ptr<Request> current;
  };

  int start(Worker& worker, void* (*run)(void*));
  int provideWorker();
  void work(Worker& worker);
  void mind(Worker& worker);
  void finish(const std::shared_ptr<Request>& request, int error);
  bool withdrawLocked(const std::shared_ptr<Request>& request);
  void end(Worker& worker);
  bool isAnyBlocked() const;
  bool nudge();
  void tryPending();

  const std::function<void()> ring_;
  const int signal_;  // 0: none was free
  std::mutex mutex_;
  Condition work_;    // pending_ grew
  Condition minder_;  // pending_ grew beyond the workers, or a worker must be nudged
  Condition done_;    // a request that does not ring is done, or a thread ended
  std::deque<std::shared_ptr<Request>> pending_;
  std::deque<std::shared_ptr<Request>> finished_;
  Worker workers_[THREAD_LIMIT];
  Worker minding_;
  bool stopping_ = false;
};

inline int flockOnce(int fd, bool exclusive, bool wait) {
  return flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB)) == 0 ? 0 : errno;
}

inline Pool::Pool(std::function<void()> ring) : ring_(std::move(ring)), signal_(acquireSignal()) {}

inline Pool::~Pool() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    stopping_ = true;
    for (const auto& request : pending_) close(request->fd);
    for (const auto& request : finished_) if (request->error == 0) close(request->fd);
    pending_.clear();
    for (Worker& worker : workers_) if (worker.current) worker.current->state = State::WITHDRAWN;
    work_.notify_all();
    minder_.notify_all();
    const auto anyRuns = [this] {
      for (const Worker& worker : workers_) if (worker.running) return true;
      return minding_.running;
    };
    while (anyRuns()) {
      nudge();
      done_.waitFor(lock, POLL_MIN);
    }
  }
  for (Worker& worker : workers_) if (worker.joinable) pthread_join(worker.thread, nullptr);
  if (minding_.joinable) pthread_join(minding_.thread, nullptr);
  releaseSignal();
}

/** Starts a thread that takes no signal but ours: the process's own handlers must not run on a small stack. */
inline int Pool::start(Worker& worker, void* (*run)(void*)) {
  if (worker.joinable) pthread_join(worker.thread, nullptr);
  worker.joinable = false;
  worker.pool = this;
  sigset_t all, before;
  sigfillset(&all);
  if (signal_ != 0) sigdelset(&all, signal_);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&worker.thread, &attributes, run, &worker);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  worker.joinable = worker.running = error == 0;
  return error;
}

/** Makes sure that somebody will look at the newest pending request. @returns errno if nobody can */
inline int Pool::provideWorker() {
  size_t idle = 0;
  Worker* vacant = nullptr;
  for (Worker& worker : workers_) {
    if (worker.idle) idle++;
    if (!worker.running && vacant == nullptr) vacant = &worker;
  }
  // Every withdrawal needs the minder: without one no request is taken.
  if (!minding_.running) {
    const int error = start(minding_, [](void* data) -> void* {
      Worker* worker = static_cast<Worker*>(data);
      worker->pool->mind(*worker);
      return nullptr;
    });
    if (error != 0) return error;
  }
  work_.notify_one();
  if (signal_ != 0 && idle >= pending_.size()) return 0;
  const auto run = [](void* data) -> void* {
    Worker* worker = static_cast<Worker*>(data);
    worker->pool->work(*worker);
    return nullptr;
  };
  if (signal_ != 0 && vacant != nullptr && start(*vacant, run) == 0) return 0;
  minder_.notify_one();
  return 0;
}

inline int Pool::submit(const std::shared_ptr<Request>& request) {
  std::lock_guard<std::mutex> lock(mutex_);
  pending_.push_back(request);
  const int error = provideWorker();
  if (error != 0) pending_.pop_back();
  return error;
}

inline void Pool::finish(const std::shared_ptr<Request>& request, int error) {
  request->state = State::DONE;
  request->error = error;
  if (error != 0) close(request->fd);
  if (!request->rings) {
    done_.notify_all();
    return;
  }
  finished_.push_back(request);
  ring_();
}

/** The last thing a thread does under the mutex. */
inline void Pool::end(Worker& worker) {
  worker.running = false;
  done_.notify_all();
}

inline void Pool::work(Worker& worker) {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    worker.idle = true;
    work_.waitFor(lock, IDLE, [this] { return stopping_ || !pending_.empty(); });
    worker.idle = false;
    if (stopping_ || pending_.empty()) break;
    const std::shared_ptr<Request> request = pending_.front();
    pending_.pop_front();
    request->state = State::BLOCKED;
    worker.current = request;
    int error = EINTR;
    // A signal meant for this thread's previous request may interrupt this one: try again.
    while (error == EINTR && request->state == State::BLOCKED) {
      lock.unlock();
      error = flockOnce(request->fd, request->exclusive, true);
      lock.lock();
    }
    worker.current.reset();
    if (request->state == State::BLOCKED) finish(request, error);
    else close(request->fd);
  }
  end(worker);
}

/** Interrupts the workers whose request was withdrawn. @returns true if there was one */
inline bool Pool::nudge() {
  bool any = false;
  for (Worker& worker : workers_) {
    if (!worker.current || worker.current->state != State::WITHDRAWN) continue;
    any = true;
    pthread_kill(worker.thread, signal_);
  }
  return any;
}

inline void Pool::tryPending() {
  for (size_t i = 0; i < pending_.size();) {
    const std::shared_ptr<Request> request = pending_[i];
    const int error = flockOnce(request->fd, request->exclusive, false);
    if (error == EWOULDBLOCK || error == EINTR) {
      i++;
      continue;
    }
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
    finish(request, error);
  }
}

inline void Pool::mind(Worker& worker) {
  std::unique_lock<std::mutex> lock(mutex_);
  auto pause = POLL_MIN;
  while (!stopping_) {
    const bool nudged = nudge();
    tryPending();
    if (nudged || !pending_.empty()) {
      minder_.waitFor(lock, nudged ? POLL_MIN : pause);
      pause = pause * 2 < POLL_MAX ? pause * 2 : POLL_MAX;
      continue;
    }
    pause = POLL_MIN;
    if (!minder_.waitFor(lock, IDLE) && pending_.empty() && !isAnyBlocked()) break;
  }
  end(worker);
}

inline bool Pool::isAnyBlocked() const {
  for (const Worker& worker : workers_) if (worker.current) return true;
  return false;
}

inline std::shared_ptr<Request> Pool::take() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (finished_.empty()) return nullptr;
  const std::shared_ptr<Request> request = finished_.front();
  finished_.pop_front();
  return request;
}

inline bool Pool::withdraw(const std::shared_ptr<Request>& request) {
  std::lock_guard<std::mutex> lock(mutex_);
  return withdrawLocked(request);
}

inline bool Pool::withdrawLocked(const std::shared_ptr<Request>& request) {
  if (request->state == State::DONE) {
    const auto place = std::find(finished_.begin(), finished_.end(), request);
    if (place != finished_.end()) finished_.erase(place);
    return request->error == 0;
  }
  if (request->state == State::BLOCKED) {
    request->state = State::WITHDRAWN;
    nudge();
    minder_.notify_one();
    return false;
  }
  request->state = State::WITHDRAWN;
  pending_.erase(std::find(pending_.begin(), pending_.end(), request));
  close(request->fd);
  return false;
}

inline bool Pool::sleep(const std::shared_ptr<Request>& request, double timeoutMs) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto isDone = [&] { return request->state == State::DONE; };
  if (timeoutMs < 0) done_.wait(lock, isDone);
  else done_.waitFor(lock, std::chrono::duration<double, std::milli>(timeoutMs), isDone);
  // Withdrawing tells, in one step, whether the lock came at the last moment.
  return isDone() || withdrawLocked(request);
}

}  // namespace lockfile

#endif  // LOCKTABLE_LOCKFILE_POOL_H_
