/* SPDX-License-Identifier: MIT
 * Reads a corpus of files in every way there is, as corpus_pack.py has written it:
 *
 *     corpus_job npy|npz|safetensors FILE.pack [SLOWNESS]
 *
 * A good file gives the same arrays in all ways, those that its digest says. A bad one is refused
 * in all ways by TV_EFORMAT with a message that can be printed and names the cause; what is taken
 * of memory meanwhile is at most 1 MiB and the size of the file, and of a processor's time 10 ms
 * (times SLOWNESS, for one that is emulated, sanitized or busy). No handle is left. */
#define _GNU_SOURCE /* memfd_create, MAP_ANONYMOUS */
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "outcome.h"

enum {
  MOST_MEMORY = 1 << 20,
  MOST_NANOSECONDS = 10000000,
  MOST_ARRAYS = 1000,
  MOST_FAILURES = 20 /* told one by one */
};

/* Memory -------------------------------------------------------------------------------------- */

/* The linker turns the calls of the library and of this program to these (--wrap). */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
int __real_posix_memalign(void **block, size_t alignment, size_t bytes);
void __real_free(void *block);
void *__real_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);
int __wrap_posix_memalign(void **block, size_t alignment, size_t bytes);
void __wrap_free(void *block);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t bytes);

static int64_t in_use, peak;

static void taken(int64_t bytes) {
  in_use += bytes;
  if (in_use > peak) peak = in_use;
}
static void *counted(void *block) {
  if (block) taken((int64_t)malloc_usable_size(block));
  return block;
}
void *__wrap_malloc(size_t bytes) { return counted(__real_malloc(bytes)); }
void *__wrap_calloc(size_t count, size_t bytes) { return counted(__real_calloc(count, bytes)); }
void *__wrap_realloc(void *block, size_t bytes) {
  const int64_t before = block ? (int64_t)malloc_usable_size(block) : 0;
  void *const larger = __real_realloc(block, bytes);
  if (larger) in_use -= before;
  return counted(larger);
}
int __wrap_posix_memalign(void **block, size_t alignment, size_t bytes) {
  const int error = __real_posix_memalign(block, alignment, bytes);
  if (!error) counted(*block);
  return error;
}
void __wrap_free(void *block) {
  if (block) in_use -= (int64_t)malloc_usable_size(block);
  __real_free(block);
}
/* A map of a file takes no memory. One of memory is counted in whole, and given back uncounted:
 * only the peak within one file matters. */
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset) {
  if (flags & MAP_ANONYMOUS) taken((int64_t)bytes);
  return __real_mmap64(at, bytes, protection, flags, fd, offset);
}

/* What is read -------------------------------------------------------------------------------- */

typedef struct {
  const char *name, *verdict, *why;
  uint32_t digest;
  const uint8_t *bytes;
  int64_t n;
} entry;

/* .npy ---------------------------------------------------------------------------------------- */

static void npy_by_memory(const char *path, const entry *e, uint32_t *digest) {
  (void)path;
  outcome_add(digest, "", tv_npy_read_memory(e->bytes, e->n, NULL));
}
static void npy_by_copy(const char *path, const entry *e, uint32_t *digest) {
  (void)e;
  outcome_add(digest, "", tv_npy_load(path, NULL));
}
static void npy_by_map(const char *path, const entry *e, uint32_t *digest) {
  (void)e;
  const tv_npy_options o = outcome_mapped(TV_NPY_MAP);
  outcome_add(digest, "", tv_npy_load(path, &o));
}
static void npy_by_private_map(const char *path, const entry *e, uint32_t *digest) {
  (void)e;
  const tv_npy_options o = outcome_mapped(TV_NPY_MAP_WRITABLE);
  outcome_add(digest, "", tv_npy_load(path, &o));
}
/* Without a size of its own; what a pipe does not hold at once is left to the other ways. */
static void npy_by_pipe(const char *path, const entry *e, uint32_t *digest) {
  enum { ROOM = 60000 };
  int ends[2];
  if (e->n > ROOM) {
    npy_by_copy(path, e, digest);
    return;
  }
  if (pipe(ends) || write(ends[1], e->bytes, (size_t)e->n) != e->n) exit(2);
  close(ends[1]);
  outcome_add(digest, "", tv_npy_read_fd(ends[0], "pipe", NULL));
  close(ends[0]);
}

/* .npz ---------------------------------------------------------------------------------------- */

/* Every member in turn; the first failure is kept, and those after it say nothing. */
static void npz_read(const char *path, tv_npy_map map, uint32_t *digest, bool verifies) {
  const tv_npy_options o = outcome_mapped(map);
  tv_npz *const npz = tv_npz_open(path, NULL);
  for (int64_t i = 0; i < tv_npz_count(npz); i++) {
    const char *const name = tv_npz_name(npz, i);
    outcome_add(digest, name, tv_npz_read(npz, name, &o));
  }
  if (npz && verifies) tv_npz_verify(npz);
  tv_npz_release(npz);
}
static void npz_by_copy(const char *path, const entry *e, uint32_t *digest) {
  (void)e;
  npz_read(path, TV_NPY_COPY, digest, true);
}
static void npz_by_map(const char *path, const entry *e, uint32_t *digest) {
  (void)e;
  npz_read(path, TV_NPY_MAP, digest, false);
}
static void npz_by_private_map(const char *path, const entry *e, uint32_t *digest) {
  (void)e;
  npz_read(path, TV_NPY_MAP_WRITABLE, digest, false);
}
static void npz_together(const char *path, const entry *e, uint32_t *digest) {
  tv_tensor *all[MOST_ARRAYS];
  tv_npz *const npz = tv_npz_open(path, NULL);
  (void)e;
  if (tv_npz_count(npz) > MOST_ARRAYS) exit(2);
  if (npz && !tv_npz_read_all(npz, NULL, all))
    for (int64_t i = 0; i < tv_npz_count(npz); i++)
      outcome_add(digest, tv_npz_name(npz, i), all[i]);
  tv_npz_release(npz);
}

/* safetensors --------------------------------------------------------------------------------- */

static void add_metadata(uint32_t *digest, tv_safetensors *file) {
  for (int64_t i = 0; i < tv_safetensors_metadata_count(file); i++) {
    *digest = outcome_add_text(*digest, tv_safetensors_metadata_key(file, i));
    *digest = tvi_crc32(*digest, "", 1);
    *digest = outcome_add_text(*digest, tv_safetensors_metadata_value(file, i));
    *digest = tvi_crc32(*digest, "", 1);
  }
}
static void safetensors_read(const char *path, tv_npy_map map, uint32_t *digest) {
  const tv_npy_options o = outcome_mapped(map);
  tv_safetensors *const file = tv_safetensors_open(path);
  for (int64_t i = 0; i < tv_safetensors_count(file); i++) {
    const char *const name = tv_safetensors_name(file, i);
    outcome_add(digest, name, tv_safetensors_read(file, name, &o));
  }
  add_metadata(digest, file);
  tv_safetensors_release(file);
}
static void safetensors_by_copy(const char *path, const entry *e, uint32_t *digest) {
  (void)e;
  safetensors_read(path, TV_NPY_COPY, digest);
}
static void safetensors_by_map(const char *path, const entry *e, uint32_t *digest) {
  (void)e;
  safetensors_read(path, TV_NPY_MAP, digest);
}
static void safetensors_by_private_map(const char *path, const entry *e, uint32_t *digest) {
  (void)e;
  safetensors_read(path, TV_NPY_MAP_WRITABLE, digest);
}
static void safetensors_together(const char *path, const entry *e, uint32_t *digest) {
  tv_tensor *all[MOST_ARRAYS];
  tv_safetensors *const file = tv_safetensors_open(path);
  (void)e;
  if (tv_safetensors_count(file) > MOST_ARRAYS) exit(2);
  if (file && !tv_safetensors_read_all(file, NULL, all))
    for (int64_t i = 0; i < tv_safetensors_count(file); i++)
      outcome_add(digest, tv_safetensors_name(file, i), all[i]);
  add_metadata(digest, file);
  tv_safetensors_release(file);
}

/* The whole ----------------------------------------------------------------------------------- */

typedef void way(const char *path, const entry *e, uint32_t *digest);
static const struct {
  const char *format;
  int64_t share; /* bytes that may be taken for one of the file, beside MOST_MEMORY */
  struct {
    const char *name;
    way *read;
    bool is_map;
  } ways[6];
} formats[] = {{"npy",
                1,
                {{"memory", npy_by_memory, false},
                 {"copy", npy_by_copy, false},
                 {"map", npy_by_map, true},
                 {"private map", npy_by_private_map, true},
                 {"pipe", npy_by_pipe, false}}},
               {"npz",
                1,
                {{"copy", npz_by_copy, false},
                 {"map", npz_by_map, true},
                 {"private map", npz_by_private_map, true},
                 {"all together", npz_together, false}}},
               {"safetensors",
                4, /* lists of names grow by doubling */
                {{"copy", safetensors_by_copy, false},
                 {"map", safetensors_by_map, true},
                 {"private map", safetensors_by_private_map, true},
                 {"all together", safetensors_together, false}}}};

static int n_failures;
static void complain(const entry *e, const char *how, const char *what, const char *text) {
  if (n_failures++ < MOST_FAILURES)
    fprintf(stderr, "%s: by %s: %s: %s\n", e->name, how, what, text);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static outcome read_once(way *read, const char *path, const entry *e, int64_t *spent) {
  tv_scope scope;
  uint32_t digest = 0;
  tv_scope_begin(&scope);
  peak = in_use;
  const int64_t before = now();
  read(path, e, &digest);
  *spent = now() - before;
  const outcome out = outcome_end(digest);
  tv_scope_end(&scope, NULL);
  return out;
}

static int64_t slowest;

static void judge(const entry *e, const char *how, way *read, const char *path, int64_t share,
                  double slowness, outcome *first, bool *has_first) {
  const int64_t held = in_use, handles = tv_live_handles();
  int64_t spent = 0;
  outcome out = read_once(read, path, e, &spent);
  const int64_t memory = peak - held;
  for (int again = 0; again < 3 && (double)spent > MOST_NANOSECONDS * slowness; again++)
    out = read_once(read, path, e, &spent); /* a page fault or a busy machine, perhaps */
  if (spent > slowest) slowest = spent;
  if (tv_live_handles() != handles) complain(e, how, "handles are left", out.text);
  if (out.status == TV_EUNSUPPORTED && strstr(out.text, "without zlib")) return;
  if (*e->verdict == 'a' && (out.status || out.digest != e->digest))
    complain(e, how, out.status ? "refused" : "other arrays", out.text);
  if (*e->verdict != 'a' && *e->verdict != 'e' && !out.status) complain(e, how, "accepted", "");
  if (!*has_first) *first = out;
  if (!outcome_is_same(first, &out)) complain(e, how, "not as in other ways", out.text);
  *has_first = true;
  if (!out.status) return;
  if (out.status != TV_EFORMAT || !outcome_can_be_printed(&out) || !strstr(out.text, e->why))
    complain(e, how, "a message without the cause", out.text);
  if (memory > MOST_MEMORY + share * e->n) complain(e, how, "too much memory", out.text);
  if ((double)spent > MOST_NANOSECONDS * slowness) complain(e, how, "too slow", out.text);
}

/* The line at *at, whose end becomes a NUL. */
static bool next_entry(char **at, const char *end, entry *e) {
  char *fields[5] = {*at};
  if (*at == end) return false;
  char *const line_end = memchr(*at, '\n', (size_t)(end - *at));
  if (!line_end) exit(2);
  *line_end = '\0';
  for (int k = 1; k < 5; k++) {
    char *const space = strchr(fields[k - 1], ' ');
    if (!space) exit(2);
    *space = '\0';
    fields[k] = space + 1;
  }
  e->name = fields[0];
  e->verdict = fields[1];
  e->digest = (uint32_t)strtoul(fields[2], NULL, 16);
  e->n = strtoll(fields[3], NULL, 10);
  e->why = fields[4];
  e->bytes = (const uint8_t *)line_end + 1;
  *at = line_end + 1 + e->n + 1;
  return true;
}

static char *read_pack(const char *path, size_t *n) {
  FILE *const file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) return NULL;
  *n = (size_t)ftell(file);
  rewind(file);
  char *const pack = malloc(*n + 1);
  const bool has = pack && fread(pack, 1, *n, file) == *n;
  fclose(file);
  return has ? pack : NULL;
}

int main(int argc, char **argv) {
  size_t n = 0, f = 0;
  setenv("TV_CPU_CACHE_BYTES", "0", 1); /* so that every block is seen */
  const size_t n_formats = sizeof formats / sizeof *formats;
  while (argc > 2 && f < n_formats && strcmp(formats[f].format, argv[1])) f++;
  char *const pack = argc > 2 && f < n_formats ? read_pack(argv[2], &n) : NULL;
  const double slowness = argc > 3 ? strtod(argv[3], NULL) : 1;
  const int fd = memfd_create("corpus", 0);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  if (!pack || fd < 0) {
    fprintf(stderr, "usage: corpus_job npy|npz|safetensors FILE.pack [SLOWNESS]\n");
    return 2;
  }
  int64_t n_files = 0;
  entry e;
  for (char *at = pack; next_entry(&at, pack + n, &e); n_files++) {
    outcome first = {TV_OK, 0, ""};
    bool has_first = false;
    if (ftruncate(fd, 0) || pwrite(fd, e.bytes, (size_t)e.n, 0) != e.n) return 2;
    const bool has_maps = strcmp(e.verdict, "unsummed") != 0;
    for (int w = 0; w < 6 && formats[f].ways[w].read; w++)
      if (has_maps || !formats[f].ways[w].is_map)
        judge(&e, formats[f].ways[w].name, formats[f].ways[w].read, path, formats[f].share,
              slowness, &first, &has_first);
  }
  close(fd);
  free(pack);
  printf("%s: %" PRId64 " files, %d failures, the slowest %.3g ms\n", argv[1], n_files, n_failures,
         (double)slowest * 1e-6);
  return n_files == 0 || n_failures > 0;
}
