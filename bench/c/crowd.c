/*
 * crowd.c: several processes, many locks, some of them taken shared; the same loop as in ../members/crowd.ts.
 *
 * Each acquisition picks a name (the i-th of N with a weight of 1/i: Zipf), takes it exclusively or shared, holds for hold_us by spinning on
 * the clock, and lets go. An exclusive holder adds one to the counter of the name first and copies it to the shadow last; a shared one must
 * find both equal. Only one acquisition in sample_every is timed, so that the clock is no part of what is measured.
 */
#include "distribution.h"
#include "locks.h"

#include <limits.h>
#include <sys/resource.h>

struct part {
  uint64_t acquisitions, exclusive, torn, began, ended;
  struct distribution wait;
};

struct arena {
  APART pthread_barrier_t start;
  APART struct part parts[];
};

static uint64_t next_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13, x ^= x >> 7, x ^= x << 17;
  return *state = x;
}

/* The first place whose cumulated share is above `share`. */
static size_t pick(const double *cumulated, size_t count, double share) {
  size_t low = 0, high = count - 1;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (cumulated[middle] > share) high = middle;
    else low = middle + 1;
  }
  return low;
}

static double *zipf(size_t count) {
  double *cumulated = calloc(count, sizeof *cumulated), sum = 0;
  if (cumulated == NULL) die("no memory");
  for (size_t i = 0; i < count; i++) cumulated[i] = sum += 1.0 / (double)(i + 1);
  for (size_t i = 0; i < count; i++) cumulated[i] /= sum;
  return cumulated;
}

static char *path_of(const char *prefix, size_t name) {
  char *path = NULL;
  if (asprintf(&path, "%s-%zu", prefix, name) < 0) die("no memory");
  return path;
}

struct desk { /* what one process has of its own */
  struct lock_user *users;
  const double *cumulated;
  uint64_t random;
};

static void act(const struct lock_kind *kind, struct lock_words *words, const char *prefix, struct desk *desk, struct part *mine, const struct options *options) {
  const uint64_t hold = (uint64_t)options->hold_us * 1000;
  size_t name = options->names == 1 ? 0 : pick(desk->cumulated, (size_t)options->names, (double)(next_random(&desk->random) >> 11) * 0x1p-53);
  int is_shared = options->shared_percent > 0 && (long)((next_random(&desk->random) >> 33) % 100) < options->shared_percent;
  struct lock_user *user = &desk->users[name];
  if (user->path == NULL) join_lock(kind, user, &words[name], path_of(prefix, name));
  int is_timed = mine->acquisitions++ % (uint64_t)options->sample_every == 0;
  uint64_t asked = is_timed ? now_ns() : 0;
  if (is_shared) kind->lock_shared(user);
  else kind->lock(user);
  uint64_t entered = is_timed || hold != 0 ? now_ns() : 0;
  if (is_timed) note(&mine->wait, entered - asked);
  struct lock_words *mark = &words[name];
  if (is_shared) mine->torn += mark->counter != mark->shadow;
  else {
    mark->counter++;
    mine->exclusive++;
  }
  if (hold != 0) while (now_ns() - entered < hold) {}
  if (is_shared) mine->torn += mark->counter != mark->shadow;
  else mark->shadow = mark->counter;
  kind->unlock(user);
}

static void join_crowd(const struct lock_kind *kind, struct arena *arena, struct lock_words *words, const char *prefix, uint32_t me, const struct options *options) {
  struct desk desk = { .users = calloc((size_t)options->names, sizeof *desk.users), .cumulated = zipf((size_t)options->names), .random = 88172645463325252u + me * 1000003u };
  struct part *mine = calloc(1, sizeof *mine);
  if (desk.users == NULL || mine == NULL) die("no memory");
  for (uint64_t until = now_ns() + 10000000u; now_ns() < until;) act(kind, words, prefix, &desk, mine, options);
  uint64_t before = mine->exclusive, torn = mine->torn;
  memset(mine, 0, sizeof *mine);
  pthread_barrier_wait(&arena->start);
  mine->began = now_ns();
  const uint64_t end = mine->began + (uint64_t)options->run_ms * 1000000u;
  for (;;) {
    /* A dozen between two looks at the clock, where they are short. */
    for (int i = options->hold_us == 0 ? 12 : 1; i > 0; i--) act(kind, words, prefix, &desk, mine, options);
    if ((mine->ended = now_ns()) >= end) break;
  }
  mine->exclusive += before;
  mine->torn += torn;
  arena->parts[me] = *mine;
}

static int report(const struct lock_kind *kind, struct arena *arena, struct lock_words *words, const struct options *options) {
  struct distribution *wait = calloc(1, sizeof *wait);
  if (wait == NULL) die("no memory");
  uint64_t began = UINT64_MAX, ended = 0, total = 0, exclusive = 0, torn = 0, counter = 0;
  for (long i = 0; i < options->names; i++) counter += words[i].counter;
  printf("{\"lock\":\"%s\",\"perProcess\":[", kind->name);
  for (long i = 0; i < options->processes; i++) {
    struct part *part = &arena->parts[i];
    began = part->began < began ? part->began : began;
    ended = part->ended > ended ? part->ended : ended;
    total += part->acquisitions, exclusive += part->exclusive, torn += part->torn;
    merge(wait, &part->wait);
    printf("%s%llu", i ? "," : "", (unsigned long long)part->acquisitions);
  }
  printf("],\"acquisitions\":%llu,\"perSecond\":%.1f,\"exclusive\":%llu,\"counter\":%llu,\"torn\":%llu", (unsigned long long)total,
         (double)total * 1e9 / (double)(ended - began), (unsigned long long)exclusive, (unsigned long long)counter, (unsigned long long)torn);
  print_distribution("waitNs", wait);
  printf("}\n");
  fflush(stdout);
  free(wait);
  return exclusive == counter && torn == 0;
}

static int assemble(const struct lock_kind *kind, const struct options *options) {
  struct arena *arena = map_shared(options, sizeof *arena + (size_t)options->processes * sizeof(struct part));
  struct lock_words *words = map_shared(options, (size_t)options->names * sizeof *words);
  for (long i = 0; i < options->names; i++) init_lock_words(&words[i]);
  const char *prefix = scratch_path(options, kind->name);
  check_exclusion(kind, &words[0], prefix);
  pthread_barrierattr_t attributes;
  pthread_barrierattr_init(&attributes);
  pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&arena->start, &attributes, (unsigned)options->processes);
  pid_t *pids = calloc((size_t)options->processes, sizeof *pids);
  if (pids == NULL) die("no memory");
  for (long i = 0; i < options->processes; i++) {
    if ((pids[i] = fork_child()) != 0) continue;
    join_crowd(kind, arena, words, prefix, (uint32_t)i, options);
    _exit(0);
  }
  for (long i = 0; i < options->processes; i++) {
    int status;
    if (waitpid(pids[i], &status, 0) != pids[i] || status != 0) die("a process of %s failed", kind->name);
  }
  for (long i = 0; i < options->names; i++) {
    char *path = path_of(prefix, (size_t)i);
    unlink(path);
    free(path);
  }
  free(pids);
  return report(kind, arena, words, options);
}

int crowd_main(const struct options *options) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max; /* locks that keep their file open need one for each name */
    setrlimit(RLIMIT_NOFILE, &files);
  }
  int matched = 0, sound = 1;
  for (size_t k = 0; k < lock_kind_count; k++) {
    const struct lock_kind *kind = &lock_kinds[k];
    if (options->lock != NULL && strcmp(options->lock, kind->name) != 0) continue;
    if (options->shared_percent > 0 && kind->lock_shared == NULL) {
      if (options->lock != NULL) die("%s has no shared mode", kind->name);
      continue;
    }
    matched = 1;
    sound &= assemble(kind, options);
  }
  if (!matched) die("crowd has no lock \"%s\"", options->lock);
  return sound ? 0 : 1;
}
