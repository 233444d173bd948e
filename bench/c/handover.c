/*
 * handover.c: several processes want one lock all the time.
 *
 * Each acquisition: clock, lock, clock, hold for hold_us (spinning on the clock; 0: not at all), add one to the counter, stamp
 * the release, unlock, then think_us outside (0: at once). Two distributions come out of it:
 *   wait      from the request to the entry, of every acquisition (a process that takes the lock again at once counts too)
 *   handover  from the stamp before the release to the entry, only where the next holder is another process
 * The counter is a plain word that only the holder touches: it equals the acquisitions only if the lock excluded.
 */
#include "distribution.h"
#include "locks.h"

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
