/* SPDX-License-Identifier: MIT
 * Archives for tests: small ones of two members, and bytes of files. */
#ifndef TV_TESTS_ARCHIVES_H
#define TV_TESTS_ARCHIVES_H

#include "faults.h"

enum { ARCHIVE_ROOM = 4096 };

typedef struct archive {
  unsigned char bytes[ARCHIVE_ROOM];
  size_t n;
} archive;

static inline archive archive_of(const char *path) {
  archive a;
  FILE *file = fopen(path, "rb");
  CHECK(file);
  a.n = fread(a.bytes, 1, sizeof a.bytes, file);
  fclose(file);
  CHECK(a.n < sizeof a.bytes);
  return a;
}

static inline void archive_put(const char *path, const archive *a) {
  file_put(path, a->bytes, a->n);
}

/* The last occurrence of a signature PK\a\b before `end`. */
static inline size_t archive_find(const archive *a, size_t end, char third, char fourth) {
  for (size_t at = end < a->n - 4 ? end : a->n - 4;; at--) {
    const unsigned char *p = a->bytes + at;
    if (p[0] == 'P' && p[1] == 'K' && p[2] == (unsigned char)third && p[3] == (unsigned char)fourth)
      return at;
    CHECK(at > 0);
  }
}

/* What a progress callback was told, and the call at which it stops the work; 0: none. */
static struct {
  int calls, stop_at;
  int64_t done, total;
} archives_seen;

static inline bool archives_told(void *user, int64_t done, int64_t total) {
  (void)user;
  CHECK(done >= archives_seen.done || !archives_seen.calls);
  archives_seen.done = done;
  archives_seen.total = total;
  return ++archives_seen.calls != archives_seen.stop_at;
}

#endif
