/**
 * pools.cc: several pools of threads that wait for flock(2), as several environments of a process have them: waits that end, that time out, that
 * are withdrawn, and pools that are torn down in the middle of everything. Nobody may hold a file beside an exclusive holder.
 */
#include <atomic>
#include <condition_variable>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "driver.h"
#include "lockfile_pool.h"

namespace {

using lockfile::Pool;
using lockfile::Request;

constexpr uint32_t kFiles = 3;
constexpr int kExclusive = 1000;

/** Lock files, and who is inside: kExclusive for a writer, 1 for each reader. */
struct Files {
  Files() {
    for (int& fd : fds) {
      fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
      if (fd < 0) fail("no file in /dev/shm");
    }
  }

  int reopen(uint32_t file) const { return open(("/proc/self/fd/" + std::to_string(fds[file])).c_str(), O_RDWR | O_CLOEXEC); }

  int fds[kFiles];
  std::atomic<int> inside[kFiles] = {};
};

struct Counts {
  std::atomic<uint64_t> grants{0}, withdrawals{0}, timeouts{0}, pools{0};
};

class Environment {
 public:
  Environment(Files* files, uint32_t seed, Counts* counts)
      : files_(files), chance_(seed), counts_(counts), pool_(new Pool([this] { rings_.fetch_add(1); })) {
    counts_->pools++;
  }

  void step() {
    const uint32_t file = chance_.below(kFiles);
    const bool exclusive = chance_.oneIn(2);
    const int fd = files_->reopen(file);
    if (fd < 0) fail("open");
    if (chance_.oneIn(2)) sleepFor(file, fd, exclusive);
    else ringFor(file, fd, exclusive);
  }

  /** Leaves a wait behind, which the pool's end must withdraw. */
  void endInTheMiddle() {
    const int fd = files_->reopen(0);
    const auto request = std::make_shared<Request>(fd, true, true);
    if (pool_->submit(request) != 0) close(fd);
    pool_.reset();
  }

 private:
  void sleepFor(uint32_t file, int fd, bool exclusive) {
    const auto request = std::make_shared<Request>(fd, exclusive, false);
    if (pool_->submit(request) != 0) fail("no thread");
    if (!pool_->sleep(request, chance_.oneIn(3) ? 0.1 * chance_.below(20) : -1)) counts_->timeouts++;
    else if (request->error == 0) hold(file, fd, exclusive);
    else fail("flock");
  }

  void ringFor(uint32_t file, int fd, bool exclusive) {
    const auto request = std::make_shared<Request>(fd, exclusive, true);
    if (pool_->submit(request) != 0) fail("no thread");
    if (chance_.oneIn(3)) {
      if (chance_.oneIn(2)) std::this_thread::yield();
      counts_->withdrawals++;
      if (pool_->withdraw(request)) hold(file, fd, exclusive);
      return;
    }
    std::shared_ptr<Request> done;
    await("a lock is granted", [&] { return (done = pool_->take()) != nullptr; });
    if (done != request || done->error != 0) fail("another request was answered, or flock failed");
    hold(file, fd, exclusive);
  }

  void hold(uint32_t file, int fd, bool exclusive) {
    const int share = exclusive ? kExclusive : 1;
    const int before = files_->inside[file].fetch_add(share);
    if (before >= kExclusive || (exclusive && before != 0)) fail("somebody else is inside");
    if (chance_.oneIn(2)) std::this_thread::yield();
    files_->inside[file].fetch_sub(share);
    counts_->grants++;
    close(fd);
  }

  Files* const files_;
  Chance chance_;
  Counts* const counts_;
  std::atomic<uint64_t> rings_{0};
  std::unique_ptr<Pool> pool_;
};

}  // namespace

void drivePools(const Options& options) {
  Files files;
  Counts counts;
  const Deadline deadline(options.seconds);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < options.threads; i++) {
    threads.emplace_back([&, i] {
      for (uint32_t round = 0; !deadline.isOver(); round++) {
        Environment environment(&files, options.seed + i * 1000 + round, &counts);
        for (int steps = 0; steps < 50 && !deadline.isOver(); steps++) environment.step();
        environment.endInTheMiddle();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::printf("pools: %llu, %llu grants, %llu withdrawals, %llu time-outs\n", static_cast<unsigned long long>(counts.pools),
              static_cast<unsigned long long>(counts.grants), static_cast<unsigned long long>(counts.withdrawals),
              static_cast<unsigned long long>(counts.timeouts));
  if (counts.grants == 0) fail("nothing was granted");
}
