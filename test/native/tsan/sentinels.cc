/**
 * sentinels.cc: participants that join, ring each other, wait, leave in order or die, each in a thread of its own with a sentinel of its own.
 * A death must be certified by one of the others; rings must arrive.
 */
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bell.h"
#include "driver.h"
#include "liveness.h"
#include "sentinel.h"

namespace {

using namespace locktable;

/** The table's file, mapped once, and opened by every participant for itself. */
class TableFile {
 public:
  TableFile() : fd_(open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) {
    constexpr size_t bytes = layout::kRosterWords * sizeof(Word);
    if (fd_ < 0 || ftruncate(fd_, bytes) != 0) fail("no file in /dev/shm");
    void* address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (address == MAP_FAILED) fail("mmap");
    words = static_cast<Word*>(address);
  }

  int reopen() const { return open(("/proc/self/fd/" + std::to_string(fd_)).c_str(), O_RDWR | O_CLOEXEC); }

  Word* words;

 private:
  const int fd_;
};

struct Counts {
  std::atomic<uint64_t> joins{0}, deaths{0}, rings{0};
};

class Participant {
 public:
  Participant(const TableFile& file, uint32_t number, uint32_t generation, Counts* counts)
      : words_(file.words), number_(number), life_(generation << 16 | layout::kLifeLive), fd_(file.reopen()), counts_(counts) {
    if (fd_ < 0) fail("open");
    await("the byte of a number becomes free", [this] { return lockByte(fd_, number_, true) == 0; });
    const int error = Sentinel::start(words_, fd_, number, [this] { hear(); }, &sentinel_);
    if (error != 0) fail("a sentinel did not start");
    storeWord(lifeWord(), life_);
    incrementWord(words_ + layout::kRosterWord);
    counts_->joins++;
  }

  void wait(bool waiting) { sentinel_->setWaiting(waiting); }

  /** There and back through our own sentinel. */
  void ringOnce() {
    const uint64_t before = heard_;
    ringBell(words_, number_);
    await("a ring arrives", [&] { return heard_ != before; });
  }

  void leave() {
    sentinel_->leave();
    storeWord(lifeWord(), (life_ & ~layout::kLifeStatusMask));
    incrementWord(words_ + layout::kRosterWord);
    finish();
  }

  /** As after kill -9: robust word, then byte lock; somebody notices. */
  void die() {
    sentinel_->abandon();
    finish();
    await("a death is certified", [this] { return loadWord(lifeWord()) == ((life_ & ~layout::kLifeStatusMask) | layout::kLifeDead); });
    counts_->deaths++;
  }

 private:
  Word* lifeWord() const { return participantWord(words_, number_, layout::kLifeWord); }

  void hear() {
    counts_->rings++;
#ifdef LOCKTABLE_BROKEN
    heard_ = heard_ + 1;
#else
    heard_.fetch_add(1);
#endif
  }

  void finish() {
    sentinel_.reset();
    unlockAll(fd_);
    close(fd_);
  }

  Word* const words_;
  const uint32_t number_;
  const Word life_;
  const int fd_;
  Counts* const counts_;
#ifdef LOCKTABLE_BROKEN
  uint64_t heard_ = 0;  // what the sanitizer must find
#else
  std::atomic<uint64_t> heard_{0};
#endif
  std::unique_ptr<Sentinel> sentinel_;
};

/** One life after the other under one number. The first participant never dies: somebody must be there to notice. */
void liveAndDie(const TableFile& file, uint32_t number, const Options& options, const Deadline& deadline, Counts* counts) {
  Chance chance(options.seed + number);
  for (uint32_t generation = 1; !deadline.isOver(); generation++) {
    Participant participant(file, number, generation, counts);
    for (uint32_t steps = chance.below(40); steps > 0; steps--) {
      if (chance.oneIn(4)) participant.wait(chance.oneIn(2));
      if (chance.oneIn(4)) participant.ringOnce();
      else ringBell(file.words, 1 + chance.below(options.threads));
    }
    if (number != 1 && chance.oneIn(2)) participant.die();
    else participant.leave();
  }
}

}  // namespace

void driveSentinels(const Options& options) {
  const TableFile file;
  const Deadline deadline(options.seconds);
  Counts counts;
  Participant witness(file, options.threads + 1, 1, &counts);
  witness.wait(true);
  std::vector<std::thread> threads;
  for (uint32_t number = 1; number <= options.threads; number++) {
    threads.emplace_back([&, number] { liveAndDie(file, number, options, deadline, &counts); });
  }
  for (std::thread& thread : threads) thread.join();
  witness.leave();
  if (counts.deaths == 0 || counts.rings == 0) fail("nobody died, or nothing rang");
  std::printf("sentinels: %llu joins, %llu deaths certified, %llu rings\n", static_cast<unsigned long long>(counts.joins),
              static_cast<unsigned long long>(counts.deaths), static_cast<unsigned long long>(counts.rings));
}
