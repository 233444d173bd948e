/*
 * baseline.c: what the same locking costs in C, for the benchmarks to stand beside.
 *
 *   baseline uncontended [--lock CASE] [--runs R] [--run-ms T]                       ns per lock and unlock
 *   baseline handover    [--lock KIND] [--processes N] [--hold-us H] [--think-us U] [--run-ms T]
 *   baseline recovery    [--lock KIND] [--kills K] [--resident-mib M]                 kill -9 to the next holder
 *   baseline crowd       [--lock KIND] [--processes N] [--names N] [--shared-percent P] [--hold-us H] [--run-ms T] [--sample-every S]
 * and for each --directory DIR, a tmpfs (default /dev/shm). One line of JSON per lock on standard output.
 */
#include "common.h"

#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/statfs.h>

static pid_t main_pid;
static char scratch[64][PATH_MAX];
static size_t scratch_count;

_Noreturn void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("baseline: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  if (getpid() == main_pid) exit(1);
  _exit(1);
}

static void remove_scratch(void) {
  if (getpid() != main_pid) return;
  for (size_t i = 0; i < scratch_count; i++) unlink(scratch[i]);
}

const char *scratch_path(const struct options *options, const char *suffix) {
  if (scratch_count == sizeof scratch / sizeof scratch[0]) die("too many files");
  char *path = scratch[scratch_count++];
  snprintf(path, PATH_MAX, "%s/baseline-%d-%zu-%s", options->directory, (int)main_pid, scratch_count, suffix);
  return path;
}

void *map_shared(const struct options *options, size_t bytes) {
  const char *path = scratch_path(options, "map");
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) die("cannot make %s: %s", path, strerror(errno));
  if (posix_fallocate(fd, 0, (off_t)bytes) != 0) die("no room for %s", path);
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) die("mmap: %s", strerror(errno));
  close(fd);
  unlink(path);
  return memory;
}

pid_t fork_child(void) {
  pid_t parent = getpid(), pid = fork();
  if (pid < 0) die("fork: %s", strerror(errno));
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
  }
  return pid;
}

static int compare_double(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double median(double *values, size_t count) {
  qsort(values, count, sizeof *values, compare_double);
  return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

int compare_u64(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

uint64_t percentile(const uint64_t *sorted, size_t count, double share) {
  size_t rank = (size_t)(share * (double)count + 0.9999999);
  return sorted[rank < 1 ? 0 : rank > count ? count - 1 : rank - 1];
}

static long whole_number(const char *name, const char *text, long min, long max) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno != 0 || *end != 0 || end == text || value < min || value > max) die("%s must be from %ld to %ld, not \"%s\"", name, min, max, text);
  return value;
}

static void read_options(struct options *options, int count, char **words) {
  const struct { const char *name; long *into, min, max; } numbers[] = {
    { "--runs", &options->runs, 1, 1000 },          { "--run-ms", &options->run_ms, 1, 600000 },
    { "--processes", &options->processes, 1, 1024 }, { "--hold-us", &options->hold_us, 0, 10000000 },
    { "--think-us", &options->think_us, 0, 10000000 }, { "--kills", &options->kills, 1, 100000 },
    { "--resident-mib", &options->resident_mib, 0, 1 << 20 }, { "--names", &options->names, 1, 100000 },
    { "--shared-percent", &options->shared_percent, 0, 100 }, { "--sample-every", &options->sample_every, 1, 1 << 20 },
  };
  for (int i = 0; i < count; i += 2) {
    if (i + 1 == count) die("%s needs a value", words[i]);
    int known = 1;
    if (strcmp(words[i], "--directory") == 0) options->directory = words[i + 1];
    else if (strcmp(words[i], "--lock") == 0) options->lock = words[i + 1];
    else known = 0;
    for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
      if (strcmp(words[i], numbers[n].name) != 0) continue;
      *numbers[n].into = whole_number(words[i], words[i + 1], numbers[n].min, numbers[n].max);
      known = 1;
    }
    if (!known) die("there is no option %s", words[i]);
  }
}

int main(int argc, char **argv) {
  main_pid = getpid();
  struct options options = { .directory = "/dev/shm", .runs = 7, .run_ms = 200, .processes = 2, .kills = 100, .names = 1, .sample_every = 1 };
  if (argc < 2) die("say one of: uncontended, handover, recovery, crowd");
  read_options(&options, argc - 2, argv + 2);
  struct statfs fs;
  if (statfs(options.directory, &fs) != 0) die("%s: %s", options.directory, strerror(errno));
  if (fs.f_type != TMPFS_MAGIC) die("%s is not on a tmpfs", options.directory);
  atexit(remove_scratch);
  if (strcmp(argv[1], "uncontended") == 0) return uncontended_main(&options);
  if (strcmp(argv[1], "handover") == 0) return handover_main(&options);
  if (strcmp(argv[1], "recovery") == 0) return recovery_main(&options);
  if (strcmp(argv[1], "crowd") == 0) return crowd_main(&options);
  die("there is no question \"%s\"", argv[1]);
}
