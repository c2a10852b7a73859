/* SPDX-License-Identifier: MIT
 * What the fuzz targets share: see fuzz.h. */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

void fuzz_fail(const char *file, int line, const char *what, const char *text) {
  fprintf(stderr, "%s:%d: does not hold: %s\nthe last failure: %s\n", file, line, what, text);
  abort();
}

const char *fuzz_file(const uint8_t *data, size_t n) {
  static int fd = -1;
  static char path[64];
  if (fd < 0) {
    fd = memfd_create("fuzz", 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  }
  if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, n, 0) != (ssize_t)n)
    fuzz_fail(__FILE__, __LINE__, "a file in memory", path);
  return path;
}

void fuzz_begin(fuzz_way *way) {
  way->handles = tv_live_handles();
  if (tv_scope_begin(&way->scope)) fuzz_fail(__FILE__, __LINE__, "a scope", tv_error_text());
}

outcome fuzz_end(fuzz_way *way, uint32_t digest) {
  const outcome out = outcome_end(digest);
  HOLDS_TRUE(tv_scope_end(&way->scope, NULL) == TV_OK);
  HOLDS_TRUE(tv_live_handles() == way->handles);
  return out;
}

void fuzz_check_refusal(const outcome *out) {
  if (!out->status) return;
  /* Out of memory is none of the file's: it may not ask for more than it holds. */
  HOLDS_TRUE(out->status == TV_EFORMAT ||
             (out->status == TV_EUNSUPPORTED && strstr(out->text, "without zlib")));
  HOLDS_TRUE(outcome_can_be_printed(out));
}
