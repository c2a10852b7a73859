/* SPDX-License-Identifier: MIT
 * Rows of a value by position: the one form that all writes by index come to.
 *
 * A device with the slot `scatter` applies updates in one pass. For others: round j applies the
 * j-th update of every row, so that positions are distinct; the difference of the bits, as unsigned
 * integers, is added by the slot `scatter_add`, which is exact for every dtype. Adding and
 * subtracting need no rounds. */
#include "row_update.h"

#include <tensorvar/index.h>
#include <tensorvar/ops.h>
#include <tensorvar/shape.h>

#include "deferred.h"
#include "device.h"
#include "elementwise.h"
#include "memory.h"
#include "scope.h"
#include "status.h"
#include "stream.h"
#include "write.h"

/* x in C order, ready to be read on the thread's stream; the scope's. */
static tv_tensor *ready(const char *who, tv_tensor *x) {
  tv_tensor *const y = x && !tvi_settle(x) ? tvi_scope_own(tvi_tensor_compact(who, x)) : NULL;
  return y && tvi_stream_reads(y) ? NULL : y;
}

/* x, in C order, as elements of another dtype, [rows, columns]; the scope's. */
static tv_tensor *seen_as(const char *who, tv_tensor *x, tv_dtype dtype, int64_t rows,
                          int64_t columns) {
  tv_tensor *const y = ready(who, x);
  const int64_t shape[2] = {rows, columns};
  return y ? tvi_scope_own(tvi_tensor_view(y->storage, y->data, dtype, 2, shape, NULL)) : NULL;
}

static tv_tensor *copied(const tvi_row_update *s, tv_tensor *value) {
  return tvi_scope_own(tvi_tensor_copy(s->who, value, value->dtype, value->device));
}

/* By the slot -----------------------------------------------------------------------------------
 */

static bool by_slot(const tvi_row_update *s, tv_tensor *whole) {
  tvi_device *const on = tvi_device_at(whole->device);
  const tv_scatter job = {.dtype = whole->dtype,
                          .op = s->how == TV_SET ? -1 : (int)tvi_update_op(s->how),
                          .in_is_row = s->is_one_row,
                          .n = s->n,
                          .k = s->positions->size,
                          .inner = s->inner,
                          .in = s->updates->data,
                          .indices = (const int64_t *)(const void *)s->positions->data,
                          .out = whole->data};
  return !tvi_stream_writes(whole) &&
         !on->backend.scatter(on->self, &job, tvi_stream_now(whole->device)) &&
         !tvi_stream_wrote(whole);
}

/* By scatter_add --------------------------------------------------------------------------------
 */

static bool add_rows(const char *who, tv_tensor *whole, tv_tensor *positions, tv_tensor *rows,
                     tv_dtype dtype, int64_t n, int64_t inner) {
  tvi_device *const on = tvi_device_at(whole->device);
  tv_tensor *const from = ready(who, rows), *const at = ready(who, positions);
  if (!from || !at) return false;
  const tv_gather job = {.dtype = dtype,
                         .outer = 1,
                         .n = n,
                         .k = at->size,
                         .inner = inner,
                         .in = from->data,
                         .indices = (const int64_t *)(const void *)at->data,
                         .out = whole->data};
  return !tvi_stream_writes(whole) &&
         !TVI_CALL(on, scatter_add, who, dtype, &job, tvi_stream_now(whole->device)) &&
         !tvi_stream_wrote(whole);
}

/* The unsigned integers that elements consist of, and how many for each. */
static tv_dtype words_of(tv_dtype dtype, int64_t *n_words) {
  const int64_t item = (int64_t)tv_dtype_size(dtype);
  *n_words = item > 8 ? item / 8 : 1;
  return item == 1 ? TV_U8 : item == 2 ? TV_U16 : item == 4 ? TV_U32 : TV_U64;
}

/* Which update is whose turn in which round, on the host: entries[0 .. begins[1]) are those of the
 * first, and so on. Of TV_SET only the last of a row counts. */
typedef struct {
  int64_t *entries; /* [k] */
  int64_t *begins;  /* [k + 1] */
  int64_t n_rounds;
} rounds;

/* at: the positions, `order` their stable order. */
static void rounds_fill(bool is_set, int64_t k, const int64_t *at, const int64_t *order,
                        rounds *r) {
  int64_t turn = 0;
  /* How many have each turn; then where those begin; then who they are. */
  for (int pass = 0; pass < 2; pass++) {
    for (int64_t i = 0; i < k; i++) {
      turn = i && at[order[i]] == at[order[i - 1]] ? turn + 1 : 0;
      const bool is_last = i + 1 == k || at[order[i + 1]] != at[order[i]];
      if (is_set && !is_last) continue;
      const int64_t round = is_set ? 0 : turn;
      if (pass)
        r->entries[r->begins[round]++] = order[i];
      else
        r->begins[round + 1]++;
      if (round >= r->n_rounds) r->n_rounds = round + 1;
    }
    for (int64_t round = 0; round < k && pass == 0; round++)
      r->begins[round + 1] += r->begins[round];
  }
  /* The second pass has moved each begin to the next one. */
  for (int64_t round = k; round > 0; round--) r->begins[round] = r->begins[round - 1];
  r->begins[0] = 0;
}

/* What it allocates is the caller's to free, also after a failure. */
static tv_status rounds_make(const tvi_row_update *s, rounds *r) {
  const int64_t k = s->positions->size;
  tvi_device *const cpu = tvi_device_at(TV_CPU);
  tv_tensor *const host = ready(s->who, tv_to(s->positions, TV_CPU));
  if (!host) return tvi_failure();
  int64_t *const order = tvi_calloc(k + 1, sizeof *order);
  r->entries = tvi_calloc(k + 1, sizeof *r->entries);
  r->begins = tvi_calloc(k + 1, sizeof *r->begins);
  if (!order || !r->entries || !r->begins) {
    tvi_free(order);
    tvi_fail(TV_ENOMEM, "%s: no memory for %lld updates", s->who, (long long)k);
    return TV_ENOMEM;
  }
  const tv_status status = k ? TVI_CALL(cpu, argsort_u64, s->who, TV_U64,
                                        (const uint64_t *)(const void *)host->data, k, order, NULL)
                             : TV_OK;
  if (!status)
    rounds_fill(s->how == TV_SET, k, (const int64_t *)(const void *)host->data, order, r);
  tvi_free(order);
  return status;
}

/* One round: the rows now, what the op makes of them, and the difference added. */
static bool play(const tvi_row_update *s, tv_tensor *whole, int64_t n_entries,
                 const int64_t *entries) {
  int64_t n_words = 1;
  const tv_dtype word = words_of(whole->dtype, &n_words);
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.device = whole->device;
  tv_tensor *const turn = tv_tensor_from_memory(entries, TV_I64, TV_SHAPE(n_entries), &o);
  tv_tensor *const at = tv_take(s->positions, turn, 0);
  tv_tensor *const rows = seen_as(s->who, whole, whole->dtype, s->n, s->inner);
  tv_tensor *const before = rows ? tv_take(rows, at, 0) : NULL;
  tv_tensor *const x = s->is_one_row ? tv_broadcast_to(s->updates, TV_SHAPE(n_entries, s->inner))
                                     : tv_take(s->updates, turn, 0);
  if (!before || !x) return false;
  tv_tensor *const after =
      s->how == TV_SET ? x
                       : tvi_elementwise(tvi_update_op(s->how), (tv_tensor *const[]){before, x});
  if (!after) return false;
  const int64_t columns = s->inner * n_words;
  tv_tensor *const difference = tv_subtract(seen_as(s->who, after, word, n_entries, columns),
                                            seen_as(s->who, before, word, n_entries, columns));
  return difference && add_rows(s->who, whole, at, difference, word, s->n, columns);
}

/* In place only where one call, the last, changes bytes. */
static tv_tensor *by_rounds(const tvi_row_update *s, const rounds *r, tv_tensor *value,
                            bool is_in_place) {
  tv_tensor *const whole = is_in_place && r->n_rounds <= 1 ? value : copied(s, value);
  if (!whole) return NULL;
  for (int64_t k = 0; k < r->n_rounds; k++) {
    tv_scope scope;
    if (tvi_scope_open(&scope)) return NULL;
    const bool is_done = play(s, whole, r->begins[k + 1] - r->begins[k], r->entries + r->begins[k]);
    tvi_scope_close(&scope);
    if (!is_done) return NULL;
  }
  return whole;
}

/* All in order of k, by one call. */
static bool by_sum(const tvi_row_update *s, tv_tensor *whole) {
  tv_tensor *x = s->updates;
  if (s->is_one_row) x = tv_broadcast_to(x, TV_SHAPE(s->positions->size, s->inner));
  if (x && s->how == TV_SUBTRACT) x = tv_negative(x); /* a - b is a + -b, to the last bit */
  return x && add_rows(s->who, whole, s->positions, x, whole->dtype, s->n, s->inner);
}

/* All three ---------------------------------------------------------------------------------------
 */

tv_tensor *tvi_row_update_ready(const char *who, tv_tensor *x) { return ready(who, x); }

tv_tensor *tvi_row_update_apply(const tvi_row_update *s, tv_tensor *value, bool is_in_place) {
  const bool has_slot = tvi_device_at(value->device)->backend.scatter != NULL;
  if (!has_slot && s->how != TV_ADD && s->how != TV_SUBTRACT) {
    rounds r = {0};
    tv_tensor *const whole = rounds_make(s, &r) ? NULL : by_rounds(s, &r, value, is_in_place);
    tvi_free(r.entries);
    tvi_free(r.begins);
    return whole;
  }
  tv_tensor *const whole = is_in_place ? value : copied(s, value);
  return whole && (has_slot ? by_slot(s, whole) : by_sum(s, whole)) ? whole : NULL;
}

/* In ascending order: values[0 .. m), and for each of k where it is among them; m. */
static int64_t distinct(int64_t k, const int64_t *at, const int64_t *order, int64_t *values,
                        int64_t *places) {
  int64_t m = 0;
  for (int64_t i = 0; i < k; i++) {
    if (m == 0 || at[order[i]] != values[m - 1]) values[m++] = at[order[i]];
    places[order[i]] = m - 1;
  }
  return m;
}

tv_tensor *tvi_row_update_once(const char *who, tv_tensor *rows, tv_tensor **places) {
  const int64_t k = rows->size;
  tvi_device *const cpu = tvi_device_at(TV_CPU);
  tv_tensor *const host = ready(who, tv_to(rows, TV_CPU));
  if (!host) return NULL;
  tv_memory_options o = TV_MEMORY_OPTIONS;
  tv_tensor *once = NULL;
  int64_t *const order = tvi_calloc(3 * k + 1, sizeof *order);
  if (!order) return tvi_fail(TV_ENOMEM, "%s: no memory for %lld rows", who, (long long)k);
  int64_t *const values = order + k, *const where = values + k;
  const uint64_t *const keys = (const uint64_t *)(const void *)host->data;
  o.device = rows->device;
  if (!k || !TVI_CALL(cpu, argsort_u64, who, TV_U64, keys, k, order, NULL)) {
    const int64_t m = distinct(k, (const int64_t *)(const void *)host->data, order, values, where);
    *places = tv_tensor_from_memory(where, TV_I64, TV_SHAPE(k), &o);
    once = tv_tensor_from_memory(values, TV_I64, TV_SHAPE(m), &o);
  }
  tvi_free(order);
  return *places ? once : NULL;
}

bool tvi_row_update_set(const char *who, tv_tensor *whole, tv_tensor *positions, tv_tensor *rows) {
  const tvi_row_update s = {.who = who,
                            .how = TV_SET,
                            .n = whole->shape[0],
                            .inner = whole->shape[0] ? whole->size / whole->shape[0] : 0,
                            .positions = ready(who, positions),
                            .updates = ready(who, rows)};
  if (!s.positions || !s.updates) return false;
  if (s.updates->size == 0) return true;
  tv_tensor *const shaped = tv_reshape(s.updates, TV_SHAPE(s.positions->size, s.inner));
  const tvi_row_update flat = {who, TV_SET, s.n, s.inner, s.positions, shaped, false};
  return shaped && tvi_row_update_apply(&flat, whole, true) != NULL;
}
