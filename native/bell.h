/**
 * bell.h: how a participant is rung; the other half, for JavaScript, is src/lock/doorbell.ts.
 *
 * The bell's word says whom a ring must wake. The sentinel sleeps on the bell itself; a blocked caller sleeps on a word of its own,
 * so that it can be woken without the sentinel, which has nothing to tell a thread that is awake.
 */
#ifndef LOCKTABLE_BELL_H_
#define LOCKTABLE_BELL_H_

#include "futex.h"
#include "native.h"

namespace locktable {

/** `sleepers`: kBell… bits that a ring has found and cleared. */
inline void wakeSleepers(Word* words, uint32_t number, Word sleepers) {
  if ((sleepers & layout::kBellSync) != 0) {
    Word* bell = participantWord(words, number, layout::kSyncBellWord);
    incrementWord(bell);
    futexWakeAll(bell);
  }
  if ((sleepers & layout::kBellSentinel) != 0) futexWakeAll(participantWord(words, number, layout::kBellWord));
}

/** Changes the bell's word and wakes whoever sleeps; the sentinel also while nothing has to be said to it but that somebody died. */
inline void ringBell(Word* words, uint32_t number) {
  Word* bell = participantWord(words, number, layout::kBellWord);
  Word before = loadWord(bell);
  while (!swapWord(bell, before, (before & ~layout::kBellSleepers) + layout::kBellStep)) before = loadWord(bell);
  wakeSleepers(words, number, (before & layout::kBellSleepers) | layout::kBellSentinel);
}

}  // namespace locktable

#endif  // LOCKTABLE_BELL_H_
