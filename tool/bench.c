/* SPDX-License-Identifier: MIT
 * tensorvar bench: how fast a file is opened, loaded, mapped and saved, beside what the system does
 * with the same bytes: memcpy, read and write. Every round measures each of them once, so that they
 * share what else the computer does; the median of the rounds is told. The file comes from the
 * system's cache after the first round, which is not counted. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "element.h"
#include "failure.h"
#include "json.h"
#include "number.h"
#include "progress.h"
#include "run.h"
#include "source.h"

typedef struct {
  const arguments *a;
  const source *s;
  int64_t at, n; /* bytes of the array */
  tv_tensor *x;  /* its elements, in memory of its own */
  unsigned char *from, *to;
  char *folder, *scratch; /* a folder of its own, where nobody else makes files; a file there */
  int64_t n_moved;        /* by the last work */
} bench;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What is measured. Each gives false after a message. ------------------------------------------ */

static bool copy_bytes(bench *b) {
  memcpy(b->to, b->from, (size_t)b->n);
  b->n_moved = b->n;
  return true;
}

/* From the front of the file, at most as many bytes as the array has. */
static bool read_bytes(bench *b) {
  const int file = open(b->s->path, O_RDONLY | O_CLOEXEC);
  ssize_t n = file < 0 ? -1 : 0;
  b->n_moved = 0;
  while (file >= 0 && b->n_moved < b->n) {
    n = read(file, b->to + b->n_moved, (size_t)(b->n - b->n_moved));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    b->n_moved += n;
  }
  const int why = errno;
  if (file >= 0) close(file);
  if (n < 0) trouble("%s: %s", safe(b->s->path), strerror(why));
  return n >= 0;
}

static bool write_bytes(bench *b) {
  const int file = open(b->scratch, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  ssize_t n = file < 0 ? -1 : 0;
  b->n_moved = 0;
  while (file >= 0 && b->n_moved < b->n) {
    n = write(file, b->from + b->n_moved, (size_t)(b->n - b->n_moved));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    b->n_moved += n;
  }
  int why = errno;
  if (file >= 0 && close(file) && n >= 0) n = -1, why = errno;
  if (file >= 0) unlink(b->scratch);
  if (n < 0) trouble("%s: %s", safe(b->scratch), strerror(why));
  return n >= 0;
}

static bool open_file(bench *b) {
  source s;
  tv_npy_layout l = TV_NPY_LAYOUT;
  const tv_npy_options options = source_options(b->a);
  b->n_moved = 0;
  if (source_open(&s, b->s->path, b->a)) return false;
  const tv_status status = source_layout(&s, b->at, &options, &l);
  source_close(&s);
  if (status) library_trouble(b->s->path);
  return !status;
}

static bool take_file(bench *b, tv_npy_map how) {
  source s;
  tv_npy_options options = source_options(b->a);
  options.map = how;
  b->n_moved = how == TV_NPY_COPY ? b->n : 0;
  if (source_open(&s, b->s->path, b->a)) return false;
  tv_tensor *x = source_read(&s, b->at, &options);
  tv_index first[TV_MAX_RANK];
  for (int k = 0; k < tv_tensor_rank(x); k++) first[k] = (tv_index)TV_AT(0);
  char element[16];
  tv_tensor_copy_out(tv_slice_with(x, tv_tensor_rank(x), first), element, sizeof element);
  source_close(&s);
  if (tv_error()) library_trouble(b->s->path);
  return !tv_error();
}

static bool load_file(bench *b) { return take_file(b, TV_NPY_COPY); }
static bool map_file(bench *b) { return take_file(b, TV_NPY_MAP); }

static bool save_file(bench *b) {
  tv_npy_save_options options = TV_NPY_SAVE_OPTIONS;
  options.durable = false;
  b->n_moved = b->n;
  const tv_status status = tv_npy_save(b->scratch, b->x, &options);
  if (status) library_trouble(b->scratch);
  if (!status) unlink(b->scratch);
  return !status;
}

static const struct {
  const char *name, *summary;
  bool (*work)(bench *);
} works[] = {{"memcpy", "copy the bytes from memory to memory", copy_bytes},
             {"read", "read(2) the same number of bytes", read_bytes},
             {"write", "write(2) them to a scratch file", write_bytes},
             {"open", "open, and read the header", open_file},
             {"load", "open and load all elements", load_file},
             {"map", "open, map, read the first element", map_file},
             {"save", "save all elements, not synced", save_file}};
enum {
  N_WORKS = sizeof works / sizeof *works,
  MEMCPY = 0,
  READ = 1,
  WRITE = 2,
  SAVE = 6,
  MOST_RUNS = 1000
};

/* Rounds ------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *seconds, int64_t n) {
  qsort(seconds, (size_t)n, sizeof *seconds, ascending);
  return n % 2 ? seconds[n / 2] : (seconds[n / 2 - 1] + seconds[n / 2]) / 2;
}

typedef struct {
  double seconds;
  int64_t bytes; /* 0: no speed to tell */
} figure;

/* False after a message, or where a signal asked to stop. */
static bool measure(bench *b, int64_t runs, figure *figures) {
  double *seconds = need((size_t)runs * N_WORKS * sizeof *seconds);
  bool goes_on = true;
  for (int64_t round = -1; goes_on && round < runs; round++) {
    for (int w = 0; goes_on && w < N_WORKS; w++) {
      tv_scope scope;
      tv_scope_begin(&scope);
      const double began = now();
      goes_on = works[w].work(b) && !stop_signal();
      const double took = now() - began;
      tv_scope_end(&scope, NULL);
      figures[w].bytes = b->n_moved;
      if (round >= 0) seconds[w * runs + round] = took;
    }
  }
  for (int w = 0; goes_on && w < N_WORKS; w++)
    figures[w].seconds = median(seconds + w * runs, runs);
  free(seconds);
  return goes_on;
}

static double speed(const figure *f) { return f->bytes ? (double)f->bytes / f->seconds * 1e-9 : 0; }

/* What a work's speed is held against: writing for save, reading and memcpy for load. */
static double ratio(const figure *figures, int w, int other) {
  return figures[w].bytes && figures[other].bytes ? speed(&figures[w]) / speed(&figures[other]) : 0;
}

static void json_figures(const bench *b, int64_t runs, const figure *figures) {
  json_open('{');
  json_key("file"), json_text(b->s->path);
  json_key("bytes"), json_int(b->n);
  json_key("runs"), json_int(runs);
  for (int w = 0; w < N_WORKS; w++) {
    json_key(works[w].name), json_open('{');
    json_key("seconds"), json_real(figures[w].seconds, false);
    if (figures[w].bytes) json_key("gb_per_s"), json_real(speed(&figures[w]), false);
    if (w > WRITE && figures[w].bytes) {
      json_key("of_memcpy"), json_real(ratio(figures, w, MEMCPY), false);
      json_key(w == SAVE ? "of_write" : "of_read");
      json_real(ratio(figures, w, w == SAVE ? WRITE : READ), false);
    }
    json_close('}');
  }
  json_close('}');
}

static void print_figures(const bench *b, int64_t runs, const figure *figures) {
  char size[NUMBER_SIZE];
  printf("%s: %s, median of %" PRId64 " runs\n", safe(source_label(b->s, b->at)),
         bytes_text(b->n, size), runs);
  for (int w = 0; w < N_WORKS; w++) {
    printf("  %-7s %-38s %10.1f us", works[w].name, works[w].summary, 1e6 * figures[w].seconds);
    if (figures[w].bytes) printf("  %7.2f GB/s", speed(&figures[w]));
    if (w > WRITE && figures[w].bytes) {
      printf("  %.2f of memcpy, %.2f of %s", ratio(figures, w, MEMCPY),
             ratio(figures, w, w == SAVE ? WRITE : READ), w == SAVE ? "write" : "read");
    }
    putchar('\n');
  }
}

static int bench_array(bench *b, int64_t runs) {
  tv_npy_options options = source_options(b->a);
  b->x = source_read(b->s, b->at, &options);
  const void *elements = host_data(b->x);
  if (tv_error()) return library_trouble(b->s->path);
  if (tv_tensor_size(b->x) == 0) return trouble("%s: no elements to measure", safe(b->s->path));
  b->n = tv_tensor_bytes(b->x);
  b->from = need((size_t)b->n);
  b->to = need((size_t)b->n);
  memcpy(b->from, elements, (size_t)b->n);
  figure figures[N_WORKS] = {{0}};
  if (!measure(b, runs, figures)) return stop_signal() ? 128 + stop_signal() : EXIT_TROUBLE;
  if (given(b->a, OPTION_json)) {
    json_figures(b, runs, figures);
  } else {
    print_figures(b, runs, figures);
  }
  return 0;
}

/* In a new folder, so that no link that somebody planted is ever followed. */
static int bench_in(bench *b, const char *folder, int64_t runs) {
  b->folder = need(strlen(folder) + 64);
  b->scratch = need(strlen(folder) + 64);
  sprintf(b->folder, "%s/tensorvar-bench-XXXXXX", folder);
  int status;
  if (mkdtemp(b->folder)) {
    sprintf(b->scratch, "%s/x.npy", b->folder);
    status = bench_array(b, runs);
    rmdir(b->folder);
  } else {
    status = trouble("%s: cannot make a folder in it: %s", safe(folder), strerror(errno));
  }
  free(b->folder);
  free(b->scratch);
  free(b->from);
  free(b->to);
  return status;
}

int run_bench(const arguments *a) {
  int64_t runs;
  if (!option_int(a, OPTION_runs, 1, MOST_RUNS, 7, &runs)) return EXIT_USAGE;
  source s;
  int status = source_open(&s, a->files[0], a);
  if (status) return status;
  if (source_count(&s) != 1) {
    status = usage("%s holds %" PRId64 " arrays; %s:NAME takes one", safe(s.path), source_count(&s),
                   safe(s.path));
  } else if (s.stream >= 0) {
    status = usage("%s: a stream cannot be read twice", safe(s.path));
  } else {
    const char *folder = a->options[OPTION_scratch];
    if (!folder) folder = getenv("TMPDIR");
    if (!folder || !*folder) folder = "/tmp";
    bench b = {.a = a, .s = &s, .at = source_at(&s, 0)};
    status = bench_in(&b, folder, runs);
  }
  source_close(&s);
  return status;
}
