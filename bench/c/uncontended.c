/*
 * uncontended.c: nanoseconds per lock and unlock when nobody else is there.
 *
 * The loops contain the pair and nothing else; the clock is read outside. The iterations of a run are calibrated so that it
 * takes about options.run_ms; the result is the median over options.runs, with every run's figure beside it.
 */
#include "locks.h"

typedef void loop(struct lock_user *user, uint64_t iterations);

/* The compiler must not merge iterations, and need not do anything else for this. */
#define ONCE_EACH() __asm__ volatile("" ::: "memory")

#define LOOP(name, enter, leave)                                              \
  static void name(struct lock_user *user, uint64_t iterations) {             \
    for (uint64_t i = 0; i < iterations; i++) {                               \
      enter(user);                                                            \
      ONCE_EACH();                                                            \
      leave(user);                                                            \
    }                                                                         \
  }

static inline void cas_enter(struct lock_user *u) {
  uint32_t free = 0;
  if (!atomic_compare_exchange_strong(&u->words->word, &free, 1)) die("the word was not free");
}
static inline void cas_leave(struct lock_user *u) {
  if (atomic_exchange(&u->words->word, 0) != 1) die("the word was not ours");
}

LOOP(loop_robust, robust_lock, robust_unlock)
LOOP(loop_plain, plain_lock, plain_unlock)
LOOP(loop_write, rw_wrlock, rw_unlock)
LOOP(loop_read, rw_rdlock, rw_unlock)
LOOP(loop_cas, cas_enter, cas_leave)
LOOP(loop_flock, held_flock_lock, held_flock_unlock)
LOOP(loop_ofd, ofd_lock, ofd_unlock)
LOOP(loop_double_stat, double_stat_lock, double_stat_unlock)
LOOP(loop_double_stat_unlink, double_stat_lock, double_stat_remove)

static const struct { const char *name, *kind; loop *run; } cases[] = {
  { "robust-mutex", "robust-mutex", loop_robust },
  { "mutex", "mutex", loop_plain },
  { "rwlock-write", "rwlock", loop_write },
  { "rwlock-read", "rwlock", loop_read },
  { "cas-exchange", NULL, loop_cas },
  { "flock", "flock", loop_flock },
  { "ofd", "ofd", loop_ofd },
  { "flock-double-stat", "flock-double-stat", loop_double_stat },
  { "flock-double-stat-unlink", "flock-double-stat-unlink", loop_double_stat_unlink },
};

static uint64_t timed(loop *run, struct lock_user *user, uint64_t iterations) {
  uint64_t began = now_ns();
  run(user, iterations);
  return now_ns() - began;
}

/* Doubles until a run is long enough to be scaled; this is the warm-up too. */
static uint64_t calibrate(loop *run, struct lock_user *user, uint64_t run_ns) {
  for (uint64_t iterations = 16;; iterations *= 2) {
    uint64_t took = timed(run, user, iterations);
    if (took < run_ns / 8) continue;
    uint64_t scaled = (uint64_t)((double)iterations * (double)run_ns / (double)took);
    return scaled < 16 ? 16 : scaled;
  }
}

int uncontended_main(const struct options *options) {
  struct lock_words *words = map_shared(options, sizeof *words);
  const char *path = scratch_path(options, "lock");
  init_lock_words(words);
  int matched = 0;
  for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
    if (options->lock != NULL && strcmp(options->lock, cases[c].name) != 0) continue;
    matched = 1;
    struct lock_user user = { .words = words, .path = path, .fd = -1 };
    for (size_t k = 0; k < lock_kind_count; k++) {
      if (cases[c].kind == NULL || strcmp(lock_kinds[k].name, cases[c].kind) != 0) continue;
      check_exclusion(&lock_kinds[k], words, path);
      join_lock(&lock_kinds[k], &user, words, path);
    }
    uint64_t iterations = calibrate(cases[c].run, &user, (uint64_t)options->run_ms * 1000000u);
    double *ns = calloc((size_t)options->runs, sizeof *ns);
    if (ns == NULL) die("no memory");
    for (long r = 0; r < options->runs; r++) ns[r] = (double)timed(cases[c].run, &user, iterations) / (double)iterations;
    printf("{\"case\":\"%s\",\"iterations\":%llu,\"runs\":[", cases[c].name, (unsigned long long)iterations);
    for (long r = 0; r < options->runs; r++) printf("%s%.3f", r ? "," : "", ns[r]);
    double middle = median(ns, (size_t)options->runs);
    printf("],\"nsPerPair\":%.3f}\n", middle);
    fflush(stdout);
    free(ns);
  }
  if (!matched) die("uncontended has no case \"%s\"", options->lock);
  return 0;
}
