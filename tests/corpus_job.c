/* SPDX-License-Identifier: MIT
 * Reads a corpus of files in every way there is, as corpus_pack.py has written it:
 *
 *     corpus_job npy|npz|safetensors FILE.pack [SLOWNESS]
 *
 * A good file gives the same arrays in all ways, those that its digest says. A bad one is refused
 * in all ways by TV_EFORMAT with a message that can be printed and names the cause; what is taken
 * of memory meanwhile is at most 1 MiB and the size of the file, and of a processor's time 10 ms
 * (times SLOWNESS, for one that is emulated). No handle is left. */
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

#include <tensorvar/tensorvar.h>

#include "io/crc32.h"
#include "io/endian.h"

enum {
  MOST_MEMORY = 1 << 20,
  MOST_NANOSECONDS = 10000000,
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

/* What reading comes to ----------------------------------------------------------------------- */

typedef struct {
  tv_status status;
  uint32_t digest;
  char text[1024];
} outcome;

typedef struct {
  const char *name, *verdict, *why;
  uint32_t digest;
  const uint8_t *bytes;
  int64_t n;
} entry;

static uint32_t add_text(uint32_t digest, const char *text) {
  return tvi_crc32(digest, text, (int64_t)strlen(text));
}

/* As digest() of corpus_pack.py. */
static tv_status add_array(uint32_t *digest, const char *name, tv_tensor *x) {
  const int64_t bytes = tv_tensor_bytes(x);
  const int64_t *const shape = tv_tensor_shape(x);
  const tv_dtype dtype = tv_tensor_dtype(x);
  *digest = tvi_crc32(add_text(*digest, name), "", 1);
  *digest = tvi_crc32(add_text(*digest, tv_dtype_name(dtype)), "", 1);
  for (int k = 0; k < tv_tensor_rank(x); k++) {
    char size[32];
    snprintf(size, sizeof size, k ? ",%lld" : "%lld", (long long)shape[k]);
    *digest = add_text(*digest, size);
  }
  *digest = tvi_crc32(*digest, "", 1);
  void *const elements = malloc(bytes ? (size_t)bytes : 1);
  if (!elements) return TV_ENOMEM;
  const tv_status status = tv_tensor_copy_out(x, elements, bytes);
  if (!status && tvi_host_is_big_endian()) tvi_swap_numbers(dtype, elements, bytes);
  if (!status) *digest = tvi_crc32(*digest, elements, bytes);
  free(elements);
  return status;
}

static tv_npy_options mapped(tv_npy_map map) {
  tv_npy_options o = TV_NPY_OPTIONS;
  o.map = map;
  return o;
}

/* .npy ---------------------------------------------------------------------------------------- */

static void npy_tell(uint32_t *digest, tv_tensor *x) {
  if (x) add_array(digest, "", x);
}
static void npy_by_memory(const char *path, const entry *e, uint32_t *digest) {
  (void)path;
  npy_tell(digest, tv_npy_read_memory(e->bytes, e->n, NULL));
}
static void npy_by_copy(const char *path, const entry *e, uint32_t *digest) {
  (void)e;
  npy_tell(digest, tv_npy_load(path, NULL));
}
static void npy_by_map(const char *path, const entry *e, uint32_t *digest) {
  (void)e;
  const tv_npy_options o = mapped(TV_NPY_MAP);
  npy_tell(digest, tv_npy_load(path, &o));
}
static void npy_by_private_map(const char *path, const entry *e, uint32_t *digest) {
  (void)e;
  const tv_npy_options o = mapped(TV_NPY_MAP_WRITABLE);
  npy_tell(digest, tv_npy_load(path, &o));
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
  npy_tell(digest, tv_npy_read_fd(ends[0], "pipe", NULL));
  close(ends[0]);
}

/* The whole ----------------------------------------------------------------------------------- */

typedef void way(const char *path, const entry *e, uint32_t *digest);
static const struct {
  const char *format;
  struct {
    const char *name;
    way *read;
  } ways[6];
} formats[] = {{"npy",
                {{"memory", npy_by_memory},
                 {"copy", npy_by_copy},
                 {"map", npy_by_map},
                 {"private map", npy_by_private_map},
                 {"pipe", npy_by_pipe}}}};

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
  outcome out = {.status = TV_OK};
  tv_scope scope;
  tv_scope_begin(&scope);
  peak = in_use;
  const int64_t before = now();
  read(path, e, &out.digest);
  *spent = now() - before;
  out.status = tv_error();
  snprintf(out.text, sizeof out.text, "%s", tv_error_text());
  tv_error_clear();
  tv_scope_end(&scope, NULL);
  return out;
}

static bool can_be_printed(const char *text) {
  const size_t n = strlen(text);
  for (size_t i = 0; i < n; i++)
    if (text[i] < ' ' || text[i] > '~') return false;
  return n > 0 && n < 512;
}

static void judge(const entry *e, const char *how, way *read, const char *path, double slowness,
                  outcome *first) {
  const int64_t held = in_use, handles = tv_live_handles();
  int64_t spent = 0;
  outcome out = read_once(read, path, e, &spent);
  const int64_t memory = peak - held;
  for (int again = 0; again < 3 && (double)spent > MOST_NANOSECONDS * slowness; again++)
    out = read_once(read, path, e, &spent); /* a page fault or a busy machine, perhaps */
  if (tv_live_handles() != handles) complain(e, how, "handles are left", out.text);
  if (!strcmp(e->verdict, "accept") && (out.status || out.digest != e->digest))
    complain(e, how, out.status ? "refused" : "other arrays", out.text);
  if (!strcmp(e->verdict, "refuse") && !out.status) complain(e, how, "accepted", "");
  if (!*first->text) {
    *first = out;
    strcpy(first->text, "known");
  } else if (first->status != out.status || (!out.status && first->digest != out.digest)) {
    complain(e, how, "not as in other ways", out.text);
  }
  if (!out.status) return;
  if (out.status != TV_EFORMAT || !can_be_printed(out.text) || !strstr(out.text, e->why))
    complain(e, how, "a message without the cause", out.text);
  if (memory > MOST_MEMORY + e->n) complain(e, how, "too much memory", out.text);
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
  const double slowness = argc > 3 ? atof(argv[3]) : 1;
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
    outcome first = {.text = ""};
    if (ftruncate(fd, 0) || pwrite(fd, e.bytes, (size_t)e.n, 0) != e.n) return 2;
    for (int w = 0; w < 6 && formats[f].ways[w].read; w++)
      judge(&e, formats[f].ways[w].name, formats[f].ways[w].read, path, slowness, &first);
  }
  close(fd);
  free(pack);
  printf("%s: %" PRId64 " files, %d failures\n", argv[1], n_files, n_failures);
  return n_files == 0 || n_failures > 0;
}
