/* SPDX-License-Identifier: MIT
 * Heads that are rows. Settling one adds its values into zeros; so whatever asks for bytes is
 * right, and what would rather not looks at x->rows, which stays as long as the head.
 *
 * Duplicates are found on the host: the indices of a batch are few beside its values. */
#include "rows.h"

#include <string.h>
#include <tensorvar/ops.h>
#include <tensorvar/shape.h>

#include "create.h"
#include "deferred.h"
#include "device.h"
#include "index.h"
#include "memory.h"
#include "op.h"
#include "scope.h"
#include "status.h"
#include "stream.h"
#include "thread.h"
#include "variable/tape.h"

/* Make and settle -------------------------------------------------------------------------------
 */

/* Values that stay as they are while nobody asks for the dense tensor: a borrow's are copied. */
static tv_tensor *kept(const char *who, tv_tensor *values) {
  if (tvi_settle(values)) return NULL;
  return values->storage && values->storage->is_borrowed
             ? tvi_tensor_copy(who, values, values->dtype, values->device)
             : tvi_tensor_compact(who, values);
}

/* A compact x in another shape of as many elements; the caller has the count. */
static tv_tensor *shaped(tv_tensor *x, int rank, const int64_t *shape) {
  return tvi_tensor_view(x->storage, x->data, x->dtype, rank, shape, NULL);
}

tv_tensor *tvi_rows_new(const char *who, tv_tensor *indices, tv_tensor *values, int64_t n,
                        bool is_summed) {
  int64_t shape[TV_MAX_RANK], elements, bytes;
  const int rank = 1 + values->rank - indices->rank;
  shape[0] = n;
  for (int k = 1; k < rank; k++) shape[k] = values->shape[indices->rank + k - 1];
  if (!tvi_shape_check(who, values->dtype, rank, shape, &elements, &bytes)) return NULL;
  tv_tensor *const x = tvi_tensor_head(tvi_tensor_on(values), values->dtype, rank, shape);
  tvi_node *const node = tvi_block_alloc(sizeof *node);
  tvi_rows *const rows = tvi_calloc(1, sizeof *rows);
  tv_tensor *const compact = kept(who, values);
  shape[0] = indices->size;
  if (rows && compact) {
    rows->indices = shaped(indices, 1, shape);
    rows->values = shaped(compact, rank, shape);
    rows->is_summed = is_summed;
  }
  tv_release(compact);
  if (x && node && rows && rows->indices && rows->values) {
    *node = (tvi_node){.op = TVI_NODE_ROWS};
    x->rows = rows;
    atomic_store_explicit(&x->node, node, memory_order_release);
    return x;
  }
  if (rows) tvi_rows_free(rows);
  if (node) tvi_block_free(node, sizeof *node);
  tv_release(x);
  return tvi_fail(TV_ENOMEM, "%s: no memory for rows", who);
}

void tvi_rows_free(struct tvi_rows *rows) {
  tv_release(rows->indices);
  tv_release(rows->values);
  tvi_free(rows);
}

tv_status tvi_rows_settle(tv_tensor *x) {
  tv_tensor *const dense =
      tvi_scattered("scatter_rows", x->rows->values, x->rows->indices, 0, x->rank, x->shape);
  if (!dense) return tvi_failure();
  tvi_storage *const storage = dense->storage;
  tvi_storage_retain(storage);
  tv_release(dense);
  tvi_graph_lock();
  const bool is_left = tvi_is_deferred(x);
  tvi_node *const spent = is_left ? tvi_deferred_settled(x, storage) : NULL;
  tvi_graph_unlock();
  if (!is_left) tvi_storage_release(storage); /* another thread was faster */
  tvi_node_free(spent);
  return TV_OK;
}

/* Ask and change --------------------------------------------------------------------------------
 */

tv_tensor *tvi_rows_with(const char *who, tv_tensor *x, tv_tensor *values) {
  return values ? tvi_scope_own(
                      tvi_rows_new(who, x->rows->indices, values, x->shape[0], x->rows->is_summed))
                : NULL;
}

tv_tensor *tvi_rows_joined(const char *who, int n, tv_tensor *const *all) {
  tv_tensor **const parts = tvi_calloc(2 * (int64_t)n, sizeof *parts);
  if (!parts) return tvi_fail(TV_ENOMEM, "%s: no memory for %d gradients", who, n);
  for (int k = 0; k < n; k++) {
    parts[k] = all[k]->rows->indices;
    parts[n + k] = all[k]->rows->values;
  }
  tvi_self.paused++;
  tv_tensor *const indices = tv_concat(n, parts, 0), *const values = tv_concat(n, parts + n, 0);
  tvi_self.paused--;
  tvi_free(parts);
  return indices && values
             ? tvi_scope_own(tvi_rows_new(who, indices, values, all[0]->shape[0], false))
             : NULL;
}

tv_tensor *tvi_gradient_add(tv_tensor *a, tv_tensor *b) {
  if (!a->rows || !b->rows || a->dtype != b->dtype || a->device != b->device ||
      !tvi_same_shape(a, b->rank, b->shape))
    return tv_add(a, b);
  tv_tensor *const in[2] = {a, b}, *const y = tvi_rows_joined("add", 2, in);
  if (y && tvi_is_recording() && tvi_record(&tvi_op_rules[TVI_OP_add], y, 2, in, 0, NULL))
    return NULL;
  return y;
}

static tv_tensor *scaled_gradient(const tvi_saved *s, tv_tensor *g) {
  double by;
  memcpy(&by, s->numbers, sizeof by);
  return tv_multiply(g, tv_scalar(by));
}
static const tvi_rule scaled_rule = {.name = "scaled", .in = {{TVI_USES_NONE, scaled_gradient}}};

tv_tensor *tvi_gradient_scaled(const char *who, tv_tensor *x, double by) {
  if (!x->rows) return tv_multiply(x, tv_scalar(by));
  int64_t bits;
  memcpy(&bits, &by, sizeof bits);
  tvi_self.paused++;
  tv_tensor *const y = tvi_rows_with(who, x, tv_multiply(x->rows->values, tv_scalar(by)));
  tvi_self.paused--;
  if (y && tvi_is_recording() && tvi_record(&scaled_rule, y, 1, &x, 1, &bits)) return NULL;
  return y;
}

/* Duplicates ------------------------------------------------------------------------------------
 */

/* Bytes of host memory as int64 on a device; the caller has the count. */
static tv_tensor *carried(const char *who, tv_device device, const int64_t *from, int64_t n) {
  tv_tensor *const y = tvi_tensor_new(who, device, TV_I64, 1, &n);
  if (!y || n == 0) return y;
  tvi_device *const on = tvi_device_at(device);
  if (!on->backend.copy_in(on->self, y->data, from, n * 8, tvi_stream_now(device))) return y;
  tv_release(y);
  return NULL;
}

/* Of k indices the m that differ, rising, in `unique`; which of them each is in `rank`. `order` is
 * [k] to work in. */
static tv_status ranked(const int64_t *indices, int64_t k, int64_t *order, int64_t *rank,
                        int64_t *unique, int64_t *m) {
  tvi_device *const cpu = tvi_device_at(TV_CPU);
  const tv_status status =
      cpu->backend.argsort_u64(cpu->self, (const uint64_t *)indices, k, order, NULL);
  *m = 0;
  for (int64_t i = 0; i < k && !status; i++) {
    const int64_t index = indices[order[i]];
    if (*m == 0 || unique[*m - 1] != index) unique[(*m)++] = index;
    rank[order[i]] = *m - 1;
  }
  return status;
}

tv_tensor *tvi_rows_summed(const char *who, tv_tensor *x) {
  const tvi_rows *const rows = x->rows;
  if (rows->is_summed) return x;
  const tv_device device = tvi_tensor_on(x);
  const int64_t k = rows->indices->size;
  int64_t *const room = tvi_malloc(4 * (k + 1) * (int64_t)sizeof *room), m = 0;
  if (!room) return tvi_fail(TV_ENOMEM, "%s: no memory for %lld rows", who, (long long)k);
  tv_tensor *indices = NULL, *ranks = NULL, *sums = NULL, *y = NULL;
  int64_t *const here = room, *const order = room + k, *const rank = order + k,
                 *const unique = rank + k;
  if (!tv_tensor_copy_out(rows->indices, here, k * 8) &&
      !ranked(here, k, order, rank, unique, &m)) {
    indices = carried(who, device, unique, m);
    ranks = indices ? carried(who, device, rank, k) : NULL;
  }
  tvi_free(room);
  if (ranks) {
    int64_t shape[TV_MAX_RANK];
    memcpy(shape, rows->values->shape, (size_t)x->rank * sizeof *shape);
    shape[0] = m;
    sums = tvi_scattered(who, rows->values, ranks, 0, x->rank, shape);
  }
  if (sums) y = tvi_rows_new(who, indices, sums, x->shape[0], true);
  tv_release(sums);
  tv_release(ranks);
  tv_release(indices);
  return tvi_scope_own(y);
}

/* Write -----------------------------------------------------------------------------------------
 */

/* Where a row is to change -0, to which the values are added: -0 + x is x, of whatever sign. */
static tv_tensor *put_elsewhere(const char *who, tv_tensor *x, tv_tensor *indices,
                                tv_tensor *values) {
  const int64_t n = x->shape[0];
  int64_t shape[TV_MAX_RANK];
  for (int k = 0; k < x->rank; k++) shape[k] = k ? 1 : n;
  tv_tensor *const weak = tv_scalar_real(1);
  tv_tensor *const one = weak ? tvi_scope_own(tvi_tensor_copy(who, weak, TV_F32, x->device)) : NULL;
  tv_tensor *const ones = tv_broadcast_to(one, 1, &indices->size);
  tv_tensor *const touched =
      ones ? tvi_scope_own(tvi_scattered(who, ones, indices, 0, 1, &n)) : NULL;
  tv_tensor *const base =
      tv_where(tv_reshape(tv_not_equal(touched, tv_scalar(0)), x->rank, shape), tv_scalar(-0.), x);
  tv_tensor *const whole =
      base ? tvi_scope_own(tvi_tensor_copy(who, base, x->dtype, x->device)) : NULL;
  return whole && !tvi_scatter_into(who, values, indices, 0, whole) ? whole : NULL;
}

tv_tensor *tvi_rows_put(const char *who, tv_tensor *x, tv_tensor *indices, tv_tensor *values) {
  if (x->size == 0 || indices->size == 0) return x;
  if (x->device != TV_CPU) return put_elsewhere(who, x, indices, values);
  const int64_t bytes = values->size / indices->size * tv_dtype_size(x->dtype);
  const int64_t *const at = (const int64_t *)(const void *)indices->data;
  for (int64_t i = 0; i < indices->size; i++)
    memcpy(x->data + at[i] * bytes, values->data + i * bytes, (size_t)bytes);
  return x;
}

/* The public face -------------------------------------------------------------------------------
 */

bool tv_is_rows(tv_tensor *x) { return x && x->rows; }

static bool is_rows(const char *who, tv_tensor *x) {
  if (!x) return tvi_null(who, "x");
  return x->rows || tvi_fail(TV_EVALUE, "%s: x is not rows", who);
}

tv_tensor *tv_scatter_rows(tv_tensor *indices, tv_tensor *values, int64_t n) {
  tvi_text left, right;
  if (!indices || !values) return tvi_null("scatter_rows", indices ? "values" : "indices");
  if (!tvi_scope_is_open("scatter_rows")) return NULL;
  if (n < 0) return tvi_fail(TV_EVALUE, "scatter_rows: n is %lld", (long long)n);
  bool fits = values->rank >= indices->rank && !values->weak.kind;
  for (int k = 0; fits && k < indices->rank; k++) fits = values->shape[k] == indices->shape[k];
  if (!fits)
    return tvi_fail(TV_ESHAPE, "scatter_rows: values %s do not begin with the shape of indices %s",
                    tvi_shape_text(&left, values->rank, values->shape),
                    tvi_shape_text(&right, indices->rank, indices->shape));
  tv_tensor *const positions =
      tvi_positions("scatter_rows", "index", indices, tvi_tensor_on(values), n, true);
  tv_tensor *const y = positions ? tvi_rows_new("scatter_rows", positions, values, n, false) : NULL;
  tv_release(positions);
  return tvi_finish(&tvi_scatter_rule, y, 2, (tv_tensor *const[]){values, indices}, 1,
                    &(int64_t){0});
}

tv_status tv_rows_parts(tv_tensor *x, tv_tensor **indices, tv_tensor **values) {
  if (indices) *indices = NULL;
  if (values) *values = NULL;
  if (!indices || !values) return tvi_null_status("rows_parts", indices ? "values" : "indices");
  if (!is_rows("rows_parts", x)) return tvi_failure();
  tv_tensor *const i = tvi_scope_own(tvi_tensor_alias(x->rows->indices));
  tv_tensor *const v = i ? tvi_scope_own(tvi_tensor_alias(x->rows->values)) : NULL;
  if (!i || !v) return tvi_failure();
  *indices = i;
  *values = v;
  return TV_OK;
}

static tv_tensor *same(const tvi_saved *s, tv_tensor *g) {
  (void)s;
  return g;
}
static const tvi_rule summed_rule = {.name = "rows_summed", .in = {{TVI_USES_NONE, same}}};
static const tvi_rule dense_rule = {
    .name = "to_dense", .is_view = true, .in = {{TVI_USES_NONE, same}}};

tv_tensor *tv_rows_summed(tv_tensor *x) {
  if (!is_rows("rows_summed", x) || !tvi_scope_is_open("rows_summed")) return NULL;
  tv_tensor *const y = tvi_rows_summed("rows_summed", x);
  if (y && y != x && tvi_is_recording() && tvi_record(&summed_rule, y, 1, &x, 0, NULL)) return NULL;
  return y;
}

tv_tensor *tv_to_dense(tv_tensor *x) {
  if (!x) return tvi_null("to_dense", "x");
  if (!tvi_scope_is_open("to_dense")) return NULL;
  return tvi_finish(&dense_rule, tvi_tensor_alias(x), 1, &x, 0, NULL);
}
