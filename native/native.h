/**
 * native.h: the layout constants that native code needs, and atomic access to the words of the table.
 *
 * src/lock/layout.ts owns every number here; the loader compares `addon.layout` with it and refuses a mismatch.
 */
#ifndef LOCKTABLE_NATIVE_H_
#define LOCKTABLE_NATIVE_H_

#include <cstddef>
#include <cstdint>

namespace locktable {

using Word = uint32_t;

namespace layout {

constexpr uint32_t kParticipantsWord = 1024;
constexpr uint32_t kParticipantWords = 64;
constexpr uint32_t kParticipantLimit = 128;

// Offsets in a participant's record.
constexpr uint32_t kLifeWord = 0;
constexpr uint32_t kRobustWord = 1;
constexpr uint32_t kBellWord = 16;
constexpr uint32_t kSyncBellWord = 17;

// Offset in the header.
constexpr uint32_t kRosterWord = 16;

constexpr uint32_t kLifeStatusMask = 0xffff;
constexpr uint32_t kLifeScrubbing = 1;
constexpr uint32_t kLifeLive = 2;
constexpr uint32_t kLifeDead = 3;

constexpr uint32_t kBellSentinel = 1;
constexpr uint32_t kBellSync = 2;
constexpr uint32_t kBellSleepers = 3;
constexpr uint32_t kBellMuted = 4;
constexpr uint32_t kBellFlags = 7;
constexpr uint32_t kBellStep = 8;

/** Words a mapping must have before anything about a participant may be touched. */
constexpr size_t kRosterWords = kParticipantsWord + size_t{kParticipantLimit} * kParticipantWords;

static_assert(kRosterWord < kParticipantsWord, "the roster counter lies in the header");
static_assert(kLifeWord < kParticipantWords && kRobustWord < kParticipantWords && kBellWord < kParticipantWords,
              "a participant's words lie in its record");
static_assert(kBellWord / 16 != kRobustWord / 16 && kBellWord / 16 != kLifeWord / 16 && kBellWord / 16 == kSyncBellWord / 16,
              "the bell, which everybody writes, shares no cache line with the owner's words");
static_assert((kBellSentinel | kBellSync) == kBellSleepers && (kBellSleepers | kBellMuted) == kBellFlags && kBellStep == kBellFlags + 1,
              "the bell's sequence starts right above its flags");
static_assert(kLifeDead <= kLifeStatusMask, "a status fits below the generation");

}  // namespace layout

static_assert(sizeof(Word) == 4, "the kernel's futexes and the table agree on the size of a word");
static_assert(__atomic_always_lock_free(sizeof(Word), nullptr), "other processes see our atomics");
static_assert(sizeof(long) == 8 && sizeof(void*) == 8, "only 64-bit Linux: timespec is passed to the kernel as it is");

/** A word of participant `number`, which the caller has checked. */
inline Word* participantWord(Word* words, uint32_t number, uint32_t offset) {
  return words + layout::kParticipantsWord + size_t{number} * layout::kParticipantWords + offset;
}

inline Word loadWord(const Word* word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }

inline void storeWord(Word* word, Word value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }

inline void incrementWord(Word* word) { __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST); }

/** Compare and swap; true if `word` held `expected` and now holds `desired`. */
inline bool swapWord(Word* word, Word expected, Word desired) {
  return __atomic_compare_exchange_n(word, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

}  // namespace locktable

#endif  // LOCKTABLE_NATIVE_H_
