/*
 * handover.c: several processes want one lock all the time.
 *
 * Each acquisition: clock, lock, clock, hold for hold_us (spinning on the clock; 0: not at all), add one to the counter, stamp
 * the release, unlock, then think_us outside (0: at once). Two distributions come out of it:
 *   wait      from the request to the entry, of every acquisition (a process that takes the lock again at once counts too)
 *   handover  from the stamp before the release to the entry, only where the next holder is another process
 * The counter is a plain word that only the holder touches: it equals the acquisitions only if the lock excluded.
 */
#include "locks.h"

/* Log-linear: 128 buckets per power of two, so a figure is right to 0.8 %. */
#define SUB_BITS 7
#define BUCKETS ((64 - SUB_BITS + 1) << SUB_BITS)

struct distribution {
  uint64_t count, sum, max;
  uint32_t bucket[BUCKETS];
};

static inline unsigned bucket_of(uint64_t value) {
  if (value < (1u << SUB_BITS)) return (unsigned)value;
  unsigned shift = 63u - (unsigned)__builtin_clzll(value) - SUB_BITS;
  return (shift + 1) << SUB_BITS | (unsigned)(value >> shift & ((1u << SUB_BITS) - 1));
}

static uint64_t bucket_top(unsigned index) {
  unsigned group = index >> SUB_BITS, low = index & ((1u << SUB_BITS) - 1);
  if (group == 0) return low;
  unsigned shift = group - 1;
  return ((((uint64_t)1 << SUB_BITS) + low + 1) << shift) - 1;
}

static inline void note(struct distribution *d, uint64_t ns) {
  d->bucket[bucket_of(ns)]++;
  d->count++;
  d->sum += ns;
  if (ns > d->max) d->max = ns;
}

static void merge(struct distribution *into, const struct distribution *from) {
  into->count += from->count;
  into->sum += from->sum;
  if (from->max > into->max) into->max = from->max;
  for (unsigned i = 0; i < BUCKETS; i++) into->bucket[i] += from->bucket[i];
}

static uint64_t quantile(const struct distribution *d, double share) {
  if (d->count == 0) return 0;
  uint64_t rank = (uint64_t)(share * (double)d->count + 0.9999999), seen = 0;
  if (rank < 1) rank = 1;
  for (unsigned i = 0; i < BUCKETS; i++) {
    seen += d->bucket[i];
    if (seen >= rank) return bucket_top(i) < d->max ? bucket_top(i) : d->max;
  }
  return d->max;
}

struct part { /* one process's result */
  uint64_t acquisitions, began, ended;
  struct distribution wait, handover;
};

struct arena {
  struct lock_words words;
  APART pthread_barrier_t start;
  APART volatile uint64_t released_ns; /* the last release; holder only, as is: */
  volatile uint32_t last_holder;       /* number of that process + 1 */
  APART struct part parts[];
};

static void contend(const struct lock_kind *kind, struct arena *arena, const char *path, uint32_t me, const struct options *options) {
  struct lock_user user;
  join_lock(kind, &user, &arena->words, path);
  struct part *mine = calloc(1, sizeof *mine); /* private while we measure: no line of it is shared */
  if (mine == NULL) die("no memory");
  memset(mine, 0, sizeof *mine); /* its pages are there */
  const uint64_t hold = (uint64_t)options->hold_us * 1000, think = (uint64_t)options->think_us * 1000;
  pthread_barrier_wait(&arena->start);
  mine->began = now_ns();
  const uint64_t end = mine->began + (uint64_t)options->run_ms * 1000000u;
  uint64_t asked = mine->began;
  for (;;) {
    kind->lock(&user);
    uint64_t entered = now_ns();
    if (arena->last_holder != me + 1) {
      if (arena->last_holder != 0) note(&mine->handover, entered - arena->released_ns);
      arena->last_holder = me + 1;
    }
    arena->words.counter++;
    uint64_t released = entered;
    if (hold != 0) while ((released = now_ns()) - entered < hold) {}
    arena->released_ns = hold != 0 ? released : now_ns();
    kind->unlock(&user);
    mine->acquisitions++;
    note(&mine->wait, entered - asked);
    asked = now_ns();
    if (asked >= end) break;
    if (think != 0) {
      uint64_t until = asked + think;
      while ((asked = now_ns()) < until) {}
    }
  }
  mine->ended = asked;
  arena->parts[me] = *mine;
}

static void print_distribution(const char *name, const struct distribution *d) {
  printf(",\"%s\":{\"count\":%llu,\"mean\":%.0f,\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,\"p999\":%llu,\"max\":%llu}", name,
         (unsigned long long)d->count, d->count ? (double)d->sum / (double)d->count : 0.0, (unsigned long long)quantile(d, 0.5),
         (unsigned long long)quantile(d, 0.9), (unsigned long long)quantile(d, 0.99), (unsigned long long)quantile(d, 0.999),
         (unsigned long long)d->max);
}

/* Prints the line. Returns whether the counter equals the acquisitions. */
static int report(const struct lock_kind *kind, const struct arena *arena, const struct options *options) {
  uint64_t total = 0, began = UINT64_MAX, ended = 0;
  double sum = 0, squares = 0;
  struct distribution *wait = calloc(1, sizeof *wait), *handover = calloc(1, sizeof *handover);
  if (wait == NULL || handover == NULL) die("no memory");
  printf("{\"lock\":\"%s\",\"processes\":%ld,\"holdUs\":%ld,\"thinkUs\":%ld,\"perProcess\":[", kind->name, options->processes,
         options->hold_us, options->think_us);
  for (long i = 0; i < options->processes; i++) {
    const struct part *part = &arena->parts[i];
    total += part->acquisitions;
    sum += (double)part->acquisitions;
    squares += (double)part->acquisitions * (double)part->acquisitions;
    if (part->began < began) began = part->began;
    if (part->ended > ended) ended = part->ended;
    merge(wait, &part->wait);
    merge(handover, &part->handover);
    printf("%s%llu", i ? "," : "", (unsigned long long)part->acquisitions);
  }
  double seconds = (double)(ended - began) / 1e9;
  printf("],\"seconds\":%.4f,\"acquisitions\":%llu,\"counter\":%llu,\"sound\":%s,\"perSecond\":%.1f,\"jain\":%.4f", seconds,
         (unsigned long long)total, (unsigned long long)arena->words.counter, total == arena->words.counter ? "true" : "false",
         (double)total / seconds, squares > 0 ? sum * sum / ((double)options->processes * squares) : 0.0);
  print_distribution("waitNs", wait);
  print_distribution("handoverNs", handover);
  printf("}\n");
  fflush(stdout);
  free(wait);
  free(handover);
  return total == arena->words.counter;
}

static int contest(const struct lock_kind *kind, const struct options *options) {
  size_t bytes = sizeof(struct arena) + (size_t)options->processes * sizeof(struct part);
  struct arena *arena = map_shared(options, bytes);
  memset(arena, 0, bytes); /* every page is there before the start */
  const char *path = scratch_path(options, kind->name);
  init_lock_words(&arena->words);
  check_exclusion(kind, &arena->words, path);
  pthread_barrierattr_t attributes;
  pthread_barrierattr_init(&attributes);
  pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&arena->start, &attributes, (unsigned)options->processes);
  pid_t *pids = calloc((size_t)options->processes, sizeof *pids);
  if (pids == NULL) die("no memory");
  for (long i = 0; i < options->processes; i++) {
    pids[i] = fork_child();
    if (pids[i] == 0) {
      contend(kind, arena, path, (uint32_t)i, options);
      _exit(0);
    }
  }
  for (long i = 0; i < options->processes; i++) {
    int status;
    if (waitpid(pids[i], &status, 0) != pids[i] || status != 0) die("a process of %s failed", kind->name);
  }
  int sound = report(kind, arena, options);
  free(pids);
  munmap(arena, bytes);
  unlink(path);
  return sound;
}

int handover_main(const struct options *options) {
  int matched = 0, sound = 1;
  for (size_t k = 0; k < lock_kind_count; k++) {
    if (options->lock != NULL && strcmp(options->lock, lock_kinds[k].name) != 0) continue;
    matched = 1;
    sound &= contest(&lock_kinds[k], options);
  }
  if (!matched) die("handover has no lock \"%s\"", options->lock);
  return sound ? 0 : 1;
}
