/* SPDX-License-Identifier: MIT
 * Writes by index: rows of axis 0 (scatter), what tuples of indices name (scatter_nd), rows of the
 * last batch axis (batch_scatter_update).
 *
 * All come to one form: the value as rows [n, inner], a position 0 <= p < n for each of k updates
 * [k, inner], applied in order of k. Positions are checked before anything is written. A device
 * with the slot `scatter` does it in one pass. For others: round j applies the j-th update of every
 * row, so that positions are distinct; the difference of the bits, as unsigned integers, is added
 * by the slot `scatter_add`, which is exact for every dtype. Adding and subtracting need no rounds.
 */
#include <tensorvar/index.h>
#include <tensorvar/ops.h>
#include <tensorvar/shape.h>

#include "deferred.h"
#include "device.h"
#include "elementwise.h"
#include "index.h"
#include "scope.h"
#include "status.h"
#include "stream.h"
#include "thread.h"
#include "write.h"

/* What a scatter comes to; tensors are the scope's, in C order, on the Variable's device. */
typedef struct {
  tv_update how;
  int64_t n, inner;
  tv_tensor *positions; /* [k] int64 */
  tv_tensor *updates;   /* [k, inner], or [inner] for all of them; in the Variable's dtype */
  bool is_one_row;
} scattering;

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

/* By the slot -----------------------------------------------------------------------------------
 */

static bool by_slot(const tvi_writing *w, const scattering *s, tv_tensor *whole) {
  tvi_device *const on = tvi_device_at(w->v->device);
  const tv_scatter job = {.dtype = w->v->dtype,
                          .op = s->how == TV_SET ? -1 : (int)tvi_update_op(s->how),
                          .in_is_row = s->is_one_row,
                          .n = s->n,
                          .k = s->positions->size,
                          .inner = s->inner,
                          .in = s->updates->data,
                          .indices = (const int64_t *)(const void *)s->positions->data,
                          .out = whole->data};
  return !tvi_stream_writes(whole) &&
         !on->backend.scatter(on->self, &job, tvi_stream_now(w->v->device)) &&
         !tvi_stream_wrote(whole);
}

/* By scatter_add --------------------------------------------------------------------------------
 */

static bool add_rows(const tvi_writing *w, tv_tensor *whole, tv_tensor *positions, tv_tensor *rows,
                     tv_dtype dtype, int64_t n, int64_t inner) {
  tvi_device *const on = tvi_device_at(w->v->device);
  tv_tensor *const from = ready(w->who, rows), *const at = ready(w->who, positions);
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
         !TVI_CALL(on, scatter_add, w->who, dtype, &job, tvi_stream_now(w->v->device)) &&
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

static tv_status rounds_make(const tvi_writing *w, const scattering *s, rounds *r) {
  const int64_t k = s->positions->size;
  tvi_device *const cpu = tvi_device_at(TV_CPU);
  tv_tensor *const host = ready(w->who, tv_to(s->positions, TV_CPU));
  int64_t *const order = tvi_calloc(k, sizeof *order);
  r->entries = tvi_calloc(k, sizeof *r->entries);
  r->begins = tvi_calloc(k + 1, sizeof *r->begins);
  tv_status status = host ? TV_OK : tvi_failure();
  if (host && (!order || !r->entries || !r->begins))
    status = tvi_fail_status(TV_ENOMEM, "%s: no memory for %lld updates", w->who, (long long)k);
  if (!status)
    status = TVI_CALL(cpu, argsort_u64, w->who, TV_U64, (const uint64_t *)(const void *)host->data,
                      k, order, NULL);
  if (!status) {
    const int64_t *const at = (const int64_t *)(const void *)host->data;
    int64_t turn = 0;
    /* How many have each turn; then where those begin; then who they are. */
    for (int pass = 0; pass < 2; pass++) {
      for (int64_t i = 0; i < k; i++) {
        turn = i && at[order[i]] == at[order[i - 1]] ? turn + 1 : 0;
        const bool is_last = i + 1 == k || at[order[i + 1]] != at[order[i]];
        if (s->how == TV_SET && !is_last) continue;
        const int64_t round = s->how == TV_SET ? 0 : turn;
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
  tvi_free(order);
  return status;
}

/* One round: the rows now, what the op makes of them, and the difference added. */
static bool play(const tvi_writing *w, const scattering *s, tv_tensor *whole, int64_t n_entries,
                 const int64_t *entries) {
  int64_t n_words = 1;
  const tv_dtype word = words_of(w->v->dtype, &n_words);
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.device = w->v->device;
  tv_tensor *const turn = tv_tensor_from_memory(entries, TV_I64, TV_SHAPE(n_entries), &o);
  tv_tensor *const at = tv_take(s->positions, turn, 0);
  tv_tensor *const rows = seen_as(w->who, whole, w->v->dtype, s->n, s->inner);
  tv_tensor *const before = rows ? tv_take(rows, at, 0) : NULL;
  tv_tensor *const x = s->is_one_row ? tv_broadcast_to(s->updates, TV_SHAPE(n_entries, s->inner))
                                     : tv_take(s->updates, turn, 0);
  if (!before || !x) return false;
  tv_tensor *const after =
      s->how == TV_SET ? x
                       : tvi_elementwise(tvi_update_op(s->how), (tv_tensor *const[]){before, x});
  if (!after) return false;
  const int64_t columns = s->inner * n_words;
  tv_tensor *const difference = tv_subtract(seen_as(w->who, after, word, n_entries, columns),
                                            seen_as(w->who, before, word, n_entries, columns));
  return difference && add_rows(w, whole, at, difference, word, s->n, columns);
}

static bool by_rounds(tvi_writing *w, const scattering *s, const rounds *r, bool is_in_place) {
  /* In place only where one call, the last, changes bytes. */
  is_in_place = is_in_place && r->n_rounds <= 1;
  tv_tensor *const whole =
      is_in_place ? w->v->value
                  : tvi_scope_own(tvi_tensor_copy(w->who, w->v->value, w->v->dtype, w->v->device));
  if (!whole) return false;
  for (int64_t k = 0; k < r->n_rounds; k++) {
    tv_scope scope;
    if (tvi_scope_open(&scope)) return false;
    const bool is_done =
        play(w, s, whole, r->begins[k + 1] - r->begins[k], r->entries + r->begins[k]);
    tvi_scope_close(&scope);
    if (!is_done) return false;
  }
  return is_in_place ? tvi_writing_commit_in_place(w) : tvi_writing_commit(w, whole);
}

/* All in order of k, by one call. */
static bool by_sum(const tvi_writing *w, const scattering *s, tv_tensor *whole) {
  tv_tensor *x = s->updates;
  if (s->is_one_row) x = tv_broadcast_to(x, TV_SHAPE(s->positions->size, s->inner));
  if (x && s->how == TV_SUBTRACT) x = tv_negative(x); /* a - b is a + -b, to the last bit */
  return x && add_rows(w, whole, s->positions, x, w->v->dtype, s->n, s->inner);
}

/* The write --------------------------------------------------------------------------------------
 */

static bool run(tvi_writing *w, const scattering *s) {
  const bool has_slot = tvi_device_at(w->v->device)->backend.scatter != NULL;
  const bool is_in_place = tvi_writing_is_in_place(w);
  if (!has_slot && s->how != TV_ADD && s->how != TV_SUBTRACT) {
    rounds r = {0};
    const bool is_done = !rounds_make(w, s, &r) && by_rounds(w, s, &r, is_in_place);
    tvi_free(r.entries);
    tvi_free(r.begins);
    return is_done;
  }
  tv_tensor *const whole =
      is_in_place ? w->v->value
                  : tvi_scope_own(tvi_tensor_copy(w->who, w->v->value, w->v->dtype, w->v->device));
  if (!whole || !(has_slot ? by_slot(w, s, whole) : by_sum(w, s, whole))) return false;
  return is_in_place ? tvi_writing_commit_in_place(w) : tvi_writing_commit(w, whole);
}

/* Updates [k, inner] of a value of this shape, or one row of a 0-d value; positions are there. */
static bool scatter(tvi_writing *w, scattering *s, tv_tensor *updates, int rank,
                    const int64_t *shape) {
  tvi_text left, right;
  const tv_variable *const v = w->v;
  s->is_one_row = updates->rank == 0;
  if (!s->is_one_row && !tvi_same_shape(updates, rank, shape))
    return tvi_fail(TV_ESHAPE, "%s: updates of Variable '%s' have shape %s, not %s", w->who,
                    v->name, tvi_shape_text(&left, updates->rank, updates->shape),
                    tvi_shape_text(&right, rank, shape));
  tv_tensor *x = updates->weak.kind
                     ? tvi_scope_own(tvi_tensor_copy(w->who, updates, v->dtype, v->device))
                     : tv_astype(updates, v->dtype);
  if (!x) return false;
  if (s->positions->size == 0 || s->inner == 0 || s->n == 0) { /* still a write */
    return tvi_writing_is_in_place(w) ? tvi_writing_commit_in_place(w)
                                      : tvi_writing_commit(w, v->value);
  }
  x = s->is_one_row ? tv_broadcast_to(x, TV_SHAPE(s->inner))
                    : tv_reshape(x, TV_SHAPE(s->positions->size, s->inner));
  s->updates = ready(w->who, x);
  s->positions = ready(w->who, tv_reshape(s->positions, TV_SHAPE(-1)));
  return s->updates && s->positions && run(w, s);
}

/* The product of some sizes of a shape that is one. */
static int64_t product(int n, const int64_t *sizes) {
  int64_t all = 1;
  for (int k = 0; k < n; k++) all *= sizes[k];
  return all;
}

/* Positions by axis: [indices...] and the axes behind it make the shape of the updates. */
static bool expects(const tvi_writing *w, int n_indices, const int64_t *indices, int n_axes,
                    int64_t *shape, int *rank) {
  const tv_variable *const v = w->v;
  *rank = n_indices + v->rank - n_axes;
  if (*rank > TV_MAX_RANK)
    return tvi_fail(TV_ESHAPE, "%s: updates of %d axes: 0 to %d are possible", w->who, *rank,
                    TV_MAX_RANK);
  for (int k = 0; k < n_indices; k++) shape[k] = indices[k];
  for (int k = n_axes; k < v->rank; k++) shape[n_indices + k - n_axes] = v->value->shape[k];
  return true;
}

static bool scatter_rows(tvi_writing *w, tv_update how, tv_tensor *indices, tv_tensor *updates) {
  const tv_variable *const v = w->v;
  int64_t shape[TV_MAX_RANK];
  int rank;
  if (!tvi_writing_takes(w, updates) || !tvi_writing_updates(w, how)) return false;
  if (v->rank == 0)
    return tvi_fail(TV_ESHAPE, "%s: Variable '%s' is 0-d and has no rows", w->who, v->name);
  if (!expects(w, indices->rank, indices->shape, 1, shape, &rank)) return false;
  scattering s = {.how = how,
                  .n = v->value->shape[0],
                  .inner = product(v->rank - 1, v->value->shape + 1),
                  .positions = tvi_scope_own(tvi_positions(w->who, "index", indices, v->device,
                                                           v->value->shape[0], true))};
  w->rows = s.positions;
  return s.positions && scatter(w, &s, updates, rank, shape);
}

static bool scatter_nd(tvi_writing *w, tv_update how, tv_tensor *indices, tv_tensor *updates) {
  const tv_variable *const v = w->v;
  int64_t shape[TV_MAX_RANK];
  int rank, n_axes;
  if (!tvi_writing_takes(w, updates) || !tvi_writing_updates(w, how)) return false;
  tv_tensor *const positions =
      tvi_nd_positions(w->who, indices, v->device, v->rank, v->value->shape, &n_axes, &w->rows);
  if (!positions || !expects(w, indices->rank - 1, indices->shape, n_axes, shape, &rank))
    return false;
  scattering s = {.how = how,
                  .n = product(n_axes, v->value->shape),
                  .inner = product(v->rank - n_axes, v->value->shape + n_axes),
                  .positions = positions};
  return scatter(w, &s, updates, rank, shape);
}

/* indices [b..., k] into axis `batch` of a value that begins with [b...]. */
static bool scatter_batch(tvi_writing *w, tv_tensor *indices, tv_tensor *updates) {
  const tv_variable *const v = w->v;
  int64_t shape[TV_MAX_RANK];
  int rank;
  const int batch = indices->rank - 1;
  if (!tvi_writing_takes(w, updates)) return false;
  bool fits = batch >= 0 && batch < v->rank;
  for (int k = 0; fits && k < batch; k++) fits = indices->shape[k] == v->value->shape[k];
  if (!fits) return tvi_writing_misfit(w, "batch axes of the indices are not those of", indices);
  if (!expects(w, indices->rank, indices->shape, batch + 1, shape, &rank)) return false;
  const int64_t size = v->value->shape[batch], batches = product(batch, v->value->shape);
  tv_tensor *const within =
      tvi_scope_own(tvi_positions(w->who, "index", indices, v->device, size, true));
  if (!within) return false;
  const tv_device current = tvi_self.device;
  tvi_self.device = v->device; /* where the range is made */
  tv_tensor *const first = tv_arange_int(TV_I64, 0, batches, 1);
  tvi_self.device = current;
  tv_tensor *const offsets =
      first ? tv_multiply(tv_reshape(first, TV_SHAPE(-1, 1)), tv_scalar_int(size)) : NULL;
  scattering s = {
      .how = TV_SET,
      .n = batches * size,
      .inner = product(v->rank - batch - 1, v->value->shape + batch + 1),
      .positions = tv_add(tv_reshape(within, TV_SHAPE(batches, indices->shape[batch])), offsets)};
  return s.positions && scatter(w, &s, updates, rank, shape);
}

static tv_status begin(tvi_writing *w, const char *who, tv_variable *variable, tv_tensor *indices,
                       tv_tensor *updates) {
  if (!variable) return tvi_null_status(who, "variable");
  if (!indices || !updates) return tvi_null_status(who, indices ? "updates" : "indices");
  return tvi_writing_begin(w, who, variable);
}

tv_status tv_variable_scatter(tv_variable *variable, tv_update how, tv_tensor *indices,
                              tv_tensor *updates) {
  static const tvi_verbs verbs = {"variable_scatter_update", "variable_scatter_add",
                                  "variable_scatter_sub",    "variable_scatter_mul",
                                  "variable_scatter_div",    "variable_scatter_min",
                                  "variable_scatter_max"};
  tvi_writing w;
  const tv_status status = begin(&w, tvi_verb(verbs, how), variable, indices, updates);
  if (status) return status;
  return tvi_writing_end(&w, scatter_rows(&w, how, indices, updates));
}

tv_status tv_variable_scatter_nd(tv_variable *variable, tv_update how, tv_tensor *indices,
                                 tv_tensor *updates) {
  static const tvi_verbs verbs = {"variable_scatter_nd_update", "variable_scatter_nd_add",
                                  "variable_scatter_nd_sub",    "variable_scatter_nd_mul",
                                  "variable_scatter_nd_div",    "variable_scatter_nd_min",
                                  "variable_scatter_nd_max"};
  tvi_writing w;
  const tv_status status = begin(&w, tvi_verb(verbs, how), variable, indices, updates);
  if (status) return status;
  return tvi_writing_end(&w, scatter_nd(&w, how, indices, updates));
}

tv_status tv_variable_batch_scatter_update(tv_variable *variable, tv_tensor *indices,
                                           tv_tensor *updates) {
  tvi_writing w;
  const tv_status status = begin(&w, "variable_batch_scatter_update", variable, indices, updates);
  if (status) return status;
  return tvi_writing_end(&w, scatter_batch(&w, indices, updates));
}

tv_tensor *tv_variable_sparse_read(tv_variable *variable, tv_tensor *indices) {
  if (!variable || !indices)
    return tvi_null("variable_sparse_read", variable ? "indices" : "variable");
  return tv_take(tv_read(variable), indices, 0);
}
