/* SPDX-License-Identifier: MIT
 * The slots for rows chosen by a mask: runs of it are counted, then each run is packed to where the
 * counts before it say, or is filled from there. Runs are apart from each other, so any number of
 * threads gives the same bytes. Rows of one small element are vector code of the level (selects.h);
 * longer ones are copied, neighbours together. */
#include <string.h>

#include "level.h"

enum { CHUNK_BYTES = 1 << 17 /* of in and out that a thread takes at a time */ };

typedef struct selection {
  const tv_select *job;
  const tvi_selector *of;
  tvi_select *loop; /* NULL: by copying rows */
  int64_t chunk;    /* runs */
} selection;

static const uint8_t *mask_at(const selection *s, int64_t row) {
  return (const uint8_t *)s->job->mask + row;
}
static int64_t run_rows(const selection *s, int64_t run) {
  const int64_t rest = s->job->n - run * s->job->run;
  return rest < s->job->run ? rest : s->job->run;
}
static int64_t runs_of(const tv_select *job) { return (job->n + job->run - 1) / job->run; }

/* All chunks, on one thread or on several. */
static void each_chunk(selection *s, double nanoseconds, int64_t chunk, tvi_chunk *task) {
  s->chunk = chunk > 1 ? chunk : 1;
  const int64_t chunks = (runs_of(s->job) + s->chunk - 1) / s->chunk;
  if (tvi_worth_threads(nanoseconds))
    tvi_parallel(chunks, task, s);
  else
    for (int64_t i = 0; i < chunks; i++) task(s, i);
}
static int64_t chunk_end(const selection *s, int64_t i) {
  const int64_t end = (i + 1) * s->chunk, runs = runs_of(s->job);
  return end < runs ? end : runs;
}

static void count_chunk(void *context, int64_t i) {
  const selection *s = context;
  for (int64_t run = i * s->chunk, end = chunk_end(s, i); run < end; run++)
    s->job->starts[run] = s->of->count(mask_at(s, run * s->job->run), run_rows(s, run));
}

tv_status tvi_cpu_select_count(void *self, const tv_select *job, int64_t *count, void *stream) {
  (void)self, (void)stream;
  selection s = {.job = job, .of = tvi_level_here()->selector};
  each_chunk(&s, (double)job->n * .03 + (double)runs_of(job) * 5, CHUNK_BYTES / job->run,
             count_chunk);
  int64_t total = 0;
  for (int64_t run = 0, runs = runs_of(job); run < runs; run++) {
    const int64_t n = job->starts[run];
    job->starts[run] = total;
    total += n;
  }
  *count = total;
  return TV_OK;
}

/* Rows up to the first whose choice is not `is_chosen`: eight at once where they are not chosen. */
static int64_t same_until(const uint8_t *mask, int64_t i, int64_t n, bool is_chosen) {
  uint64_t eight;
  while (!is_chosen && i + 8 <= n && (memcpy(&eight, mask + i, 8), eight == 0)) i += 8;
  while (i < n && (mask[i] != 0) == is_chosen) i++;
  return i;
}

/* `wide` has a row for each of the mask's, `packed` for the chosen. */
static void copy_rows(const selection *s, const uint8_t *mask, int64_t n, char *wide,
                      char *packed) {
  const int64_t row = s->job->row_bytes;
  for (int64_t i = 0; i < n;) {
    int64_t end = same_until(mask, i, n, false);
    if (s->job->is_inverse) memset(wide + i * row, 0, (size_t)((end - i) * row));
    i = end;
    end = same_until(mask, i, n, true);
    const size_t bytes = (size_t)((end - i) * row);
    if (bytes == 0) break; /* the mask is at its end, and the packed side may be nowhere */
    if (s->job->is_inverse)
      memcpy(wide + i * row, packed, bytes);
    else
      memcpy(packed, wide + i * row, bytes);
    packed += bytes;
    i = end;
  }
}

static void select_chunk(void *context, int64_t i) {
  const selection *s = context;
  const tv_select *job = s->job;
  for (int64_t run = i * s->chunk, end = chunk_end(s, i); run < end; run++) {
    const int64_t first = run * job->run, n = run_rows(s, run), start = job->starts[run];
    const int64_t stop = first + n < job->n ? job->starts[run + 1] : job->count;
    char *const in =
        (char *)(uintptr_t)job->in + (job->is_inverse ? start : first) * job->row_bytes;
    char *const out = (char *)job->out + (job->is_inverse ? first : start) * job->row_bytes;
    if (s->loop)
      s->loop(mask_at(s, first), n, stop - start, in, out);
    else if (job->is_inverse)
      copy_rows(s, mask_at(s, first), n, out, in);
    else
      copy_rows(s, mask_at(s, first), n, in, out);
  }
}

tv_status tvi_cpu_select(void *self, const tv_select *job, void *stream) {
  (void)self, (void)stream;
  if (job->n == 0 || job->row_bytes == 0) return TV_OK;
  selection s = {.job = job, .of = tvi_level_here()->selector};
  for (int k = 0; k < TVI_SELECT_ITEMS; k++)
    if (job->row_bytes == 1 << k) s.loop = job->is_inverse ? s.of->unpack[k] : s.of->pack[k];
  const double moved = (double)(job->n + job->count) * (double)job->row_bytes;
  each_chunk(&s, (double)job->n * (s.loop ? .05 : 2) + moved * .01,
             CHUNK_BYTES / (job->run * (1 + job->row_bytes)), select_chunk);
  return TV_OK;
}
