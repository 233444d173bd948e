/** death_watch.cc: see death_watch.h. */
#include "death_watch.h"

#include <algorithm>

#include "bell.h"
#include "futex.h"
#include "liveness.h"

namespace locktable {

namespace {

// From the bell of a Node process to its free byte it takes some 2 ms, with gigabytes resident 100 ms and more. The period
// grows by a sixteenth each time, so that we are late by at most a sixteenth of what it took, and never by more than a millisecond.
constexpr uint64_t kFirstPollNanoseconds = 50 * 1000;
constexpr uint64_t kLongestPollNanoseconds = 1000 * 1000;

constexpr uint64_t kAuditNanoseconds = 1000 * 1000 * 1000;

bool isAlive(Word life) {
  const Word status = life & layout::kLifeStatusMask;
  return status == layout::kLifeLive || status == layout::kLifeScrubbing;
}

}  // namespace

Word DeathWatch::life(uint32_t number) const { return loadWord(participantWord(words_, number, layout::kLifeWord)); }

Word DeathWatch::robust(uint32_t number) const { return loadWord(participantWord(words_, number, layout::kRobustWord)); }

bool DeathWatch::isSuspect(uint32_t number, Word life) const {
  return isAlive(life) && (robust(number) & kFutexOwnerDied) != 0;
}

void DeathWatch::step(uint64_t now, uint64_t scanPeriod, bool audit) {
  const bool targetMoved = targetWord_ != nullptr && loadWord(targetWord_) != targetValue_;
  const bool rosterMoved = loadWord(words_ + layout::kRosterWord) != rosterSeen_;
  const bool scanDue = scanPeriod != kNever && now - scannedAt_ >= scanPeriod;
  if (!hasScanned_ || targetMoved || rosterMoved || scanDue) scan(now);
  if (audit && now >= auditDueAt_) {
    auditBytes();
    auditDueAt_ = now + kAuditNanoseconds;
  }
  if (dyingCount_ > 0 && now >= pollDueAt_) pollDying(now);
  announce();
}

uint64_t DeathWatch::deadline(uint64_t scanPeriod, bool audit) const {
  uint64_t due = scanPeriod == kNever ? kNever : scannedAt_ + scanPeriod;
  if (audit) due = std::min(due, auditDueAt_);
  if (dyingCount_ > 0) due = std::min(due, pollDueAt_);
  return due;
}

void DeathWatch::scan(uint64_t now) {
  // Read before the words it speaks of: a change that this scan misses moves the counter again.
  rosterSeen_ = loadWord(words_ + layout::kRosterWord);
  scannedAt_ = now;
  hasScanned_ = true;
  for (uint32_t number = 1; number < layout::kParticipantLimit; number++) {
    if (number == self_) continue;
    const Word seen = life(number);
    noteLife(number, seen);
    if (dying_[number] || !isSuspect(number, seen)) continue;
    dying_[number] = true;
    dyingCount_++;
    pollPeriod_ = kFirstPollNanoseconds;
    pollDueAt_ = now;
  }
  retarget();
}

/** The next living participant after us that has a sentinel: a word without a thread id will never ring. */
void DeathWatch::retarget() {
  targetWord_ = nullptr;
  for (uint32_t step = 1; step < layout::kParticipantLimit; step++) {
    const uint32_t number = (self_ + step) % layout::kParticipantLimit;
    if (number == 0 || !isAlive(lives_[number])) continue;
    const Word value = robust(number);
    if ((value & kFutexTidMask) == 0) continue;
    targetWord_ = participantWord(words_, number, layout::kRobustWord);
    targetValue_ = value;
    return;
  }
}

void DeathWatch::auditBytes() {
  for (uint32_t number = 1; number < layout::kParticipantLimit; number++) {
    if (number == self_ || dying_[number]) continue;
    noteLife(number, life(number));
    if (isAlive(lives_[number])) certifyIfGone(number);
  }
}

void DeathWatch::pollDying(uint64_t now) {
  for (uint32_t number = 1; number < layout::kParticipantLimit; number++) {
    if (!dying_[number]) continue;
    const Word seen = life(number);
    // Somebody else certified it, or the number has a new owner: nothing is outstanding.
    if (seen != lives_[number] || !isSuspect(number, seen)) {
      dying_[number] = false;
      dyingCount_--;
      noteLife(number, seen);
      continue;
    }
    certifyIfGone(number);
  }
  pollDueAt_ = now + pollPeriod_;
  pollPeriod_ = std::min(pollPeriod_ + pollPeriod_ / 16, kLongestPollNanoseconds);
}

/** Steps d1 and d2 for a participant that `lives_` says is alive, if its byte is free. */
void DeathWatch::certifyIfGone(uint32_t number) {
  bool held = true;
  if (probeByte(fd_, number, &held) != 0 || held) return;  // a failed question certifies nothing: ask again
  const Word before = lives_[number];
  const Word dead = (before & ~layout::kLifeStatusMask) | layout::kLifeDead;
  if (swapWord(participantWord(words_, number, layout::kLifeWord), before, dead)) {  // d1
    incrementWord(words_ + layout::kRosterWord);                                     // d2
    lives_[number] = dead;
  }
  if (dying_[number]) {
    dying_[number] = false;
    dyingCount_--;
  }
  certified_ = true;
}

/**
 * Remembers LIFE. An incarnation that was alive and is not any more has departed, whoever said so; one that came, took a lock and went
 * while we did not look has, too.
 */
void DeathWatch::noteLife(uint32_t number, Word life) {
  const bool isSameIncarnation = (lives_[number] & ~layout::kLifeStatusMask) == (life & ~layout::kLifeStatusMask);
  if (lives_[number] != life && !(isSameIncarnation && isAlive(life))) departed_ = true;
  lives_[number] = life;
}

/** Step d3, or, if somebody else did the certifying, only our own bell: whoever it was may have been stopped before d3. */
void DeathWatch::announce() {
  if (certified_) {
    for (uint32_t number = 1; number < layout::kParticipantLimit; number++) {
      if (number == self_ || isAlive(life(number))) ringBell(words_, number);
    }
  } else if (departed_) {
    ringBell(words_, self_);
  }
  certified_ = false;
  departed_ = false;
}

}  // namespace locktable
