/* SPDX-License-Identifier: MIT
 * The slot that writes rows by index, or what an op makes of them. Each row is written in order of
 * k by one thread: threads have ranges of the rows, or of the elements of all rows, so any number
 * of them gives the same bytes. */
#include <string.h>

#include "cpu.h"
#include "level.h"

enum {
  LINE = 64,
  AHEAD = 24,     /* rows between the one that is written and one asked for */
  NEAR = 1 << 19, /* bytes that the second cache holds: rows among more are asked for */
  PARTS = 16,     /* ranges of rows, at most: each part looks at all indices */
  LONG = 128,     /* bytes of a row from which looking at an index costs nothing beside it */
  WIDE = 1 << 14  /* bytes of a row from which it is cut itself */
};

#ifdef __GNUC__
#define PREFETCH(at) __builtin_prefetch((at), 1)
#else
#define PREFETCH(at) ((void)(at))
#endif

typedef struct scatter {
  const tv_scatter *job;
  int64_t row, in_row; /* bytes of one, and between those of `in` */
  tvi_loop *loop;      /* NULL: rows are copied */
  int64_t chunk;       /* rows of a part, or elements where is_cut */
  int64_t ahead;       /* entries between the one that is written and one asked for */
  bool is_cut, is_far;
} scatter;

/* Rows of one size, which the compiler knows. */
#define SET_ROWS(bytes)                                                                \
  static void set_##bytes(const scatter *s) {                                          \
    const int64_t *const indices = s->job->indices, k = s->job->k;                     \
    const char *in = s->job->in;                                                       \
    char *const out = s->job->out;                                                     \
    for (int64_t i = 0; i < k; i++, in += s->in_row) {                                 \
      if (s->is_far) PREFETCH(out + indices[i + AHEAD < k ? i + AHEAD : i] * (bytes)); \
      memcpy(out + indices[i] * (bytes), in, (bytes));                                 \
    }                                                                                  \
  }
SET_ROWS(1)
SET_ROWS(2)
SET_ROWS(4)
SET_ROWS(8)
SET_ROWS(16)

/* Asks for the row of entry i, if there is one among these rows. */
static inline void fetch(const scatter *s, int64_t i, int64_t low, int64_t high, int64_t first,
                         int64_t bytes) {
  if (!s->is_far || i >= s->job->k) return;
  const int64_t row = s->job->indices[i];
  if (row < low || row >= high) return;
  const char *const from = (const char *)s->job->out + row * s->row + first;
  for (int64_t at = 0; at < bytes && at < 4 * LINE; at += LINE) PREFETCH(from + at);
}

/* The elements [first, first + width) of rows [low, high). */
static void write_rows(const scatter *s, int64_t low, int64_t high, int64_t first, int64_t width) {
  const tv_scatter *const job = s->job;
  const int64_t item = tvi_item(job->dtype);
  const int64_t steps[] = {item, item, item};
  char *in = (char *)(uintptr_t)job->in + first * item, *const out =
                                                            (char *)job->out + first * item;
  for (int64_t i = 0; i < job->k; i++, in += s->in_row) {
    const int64_t at = job->indices[i];
    fetch(s, i + s->ahead, low, high, first * item, width * item);
    if (at < low || at >= high) continue;
    char *const row = out + at * s->row;
    if (s->loop)
      s->loop(width, (char *const[]){row, row, in}, steps);
    else
      memcpy(row, in, (size_t)(width * item));
  }
}

static void write_part(void *context, int64_t i) {
  const scatter *s = context;
  const int64_t begin = i * s->chunk, whole = s->is_cut ? s->job->inner : s->job->n;
  const int64_t end = begin + s->chunk < whole ? begin + s->chunk : whole;
  if (s->is_cut)
    write_rows(s, 0, s->job->n, begin, end - begin);
  else
    write_rows(s, begin, end, 0, s->job->inner);
}

static bool set_short_rows(const scatter *s) {
  switch (s->row) {
    case 1:
      return set_1(s), true;
    case 2:
      return set_2(s), true;
    case 4:
      return set_4(s), true;
    case 8:
      return set_8(s), true;
    case 16:
      return set_16(s), true;
    default:
      return false;
  }
}

tv_status tvi_cpu_scatter(void *self, const tv_scatter *job, void *stream) {
  (void)self, (void)stream;
  scatter s = {.job = job, .row = job->inner * tvi_item(job->dtype)};
  if (job->k == 0 || s.row == 0) return TV_OK;
  s.in_row = job->in_is_row ? 0 : s.row;
  s.is_far = job->n * s.row > NEAR;
  s.loop = job->op < 0 ? NULL : tvi_level_here()->loops[job->op][job->dtype];
  if (!s.loop && set_short_rows(&s)) return TV_OK;
  s.ahead = 1 + LINE * AHEAD / (s.row + LINE);
  if (s.row < LONG || !tvi_worth_threads((double)job->k * (4 + .1 * (double)s.row))) {
    write_rows(&s, 0, job->n, 0, job->inner);
    return TV_OK;
  }
  s.is_cut = s.row >= WIDE;
  const int64_t whole = s.is_cut ? job->inner : job->n;
  const int64_t n_parts = tv_threads() < PARTS ? tv_threads() : PARTS;
  s.chunk = (whole + n_parts - 1) / n_parts;
  if (!s.is_cut) s.ahead *= n_parts; /* so many entries are others' */
  if (s.is_cut) s.chunk = (s.chunk + LINE - 1) / LINE * LINE;
  tvi_parallel((whole + s.chunk - 1) / s.chunk, write_part, &s);
  return TV_OK;
}
