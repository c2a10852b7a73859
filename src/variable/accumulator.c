/* SPDX-License-Identifier: MIT
 * Accumulated gradients. An addition makes all new sums, then puts them in place of the old ones.
 */
#include "accumulator.h"

#include <tensorvar/ops.h>
#include <tensorvar/rows.h>

#include "device.h"
#include "memory.h"
#include "rows.h"
#include "scope.h"
#include "status.h"
#include "tally.h"
#include "thread.h"

typedef tvi_sum place;

tv_accumulator *tv_accumulator_new(void) {
  tv_accumulator *const a = tvi_calloc(1, sizeof *a);
  if (!a || pthread_mutex_init(&a->lock, NULL)) {
    tvi_free(a);
    return tvi_fail(TV_ENOMEM, "accumulator_new: no memory");
  }
  atomic_init(&a->n_holders, 1);
  tvi_count(TVI_LIVE, 1);
  return a;
}

tv_accumulator *tv_accumulator_retain(tv_accumulator *a) {
  if (a) atomic_fetch_add_explicit(&a->n_holders, 1, memory_order_relaxed);
  return a;
}

void tvi_sums_release(place *places, int n) {
  for (int k = 0; k < n; k++) tv_release(places[k].sum);
  tvi_free(places);
}

void tv_accumulator_release(tv_accumulator *a) {
  if (!a || atomic_fetch_sub_explicit(&a->n_holders, 1, memory_order_acq_rel) != 1) return;
  tvi_sums_release(a->places, a->n);
  pthread_mutex_destroy(&a->lock);
  tvi_free(a);
  tvi_count(TVI_LIVE, -1);
}

int64_t tv_accumulator_count(tv_accumulator *a) {
  if (!a) return 0;
  pthread_mutex_lock(&a->lock);
  const int64_t count = a->count;
  pthread_mutex_unlock(&a->lock);
  return count;
}

/* Take out what there is; released after unlocking, for that may call back into the caller. */
static place *emptied(tv_accumulator *a) {
  place *const places = a->places;
  a->places = NULL;
  a->n = 0;
  a->count = 0;
  return places;
}

void tv_accumulator_clear(tv_accumulator *a) {
  if (!a) return;
  pthread_mutex_lock(&a->lock);
  const int n = a->n;
  place *const places = emptied(a);
  pthread_mutex_unlock(&a->lock);
  tvi_sums_release(places, n);
}

/* Add ------------------------------------------------------------------------------------------ */

static bool is_half(tv_dtype dtype) { return dtype == TV_F16 || dtype == TV_BF16; }

/* In f32 if it is of half precision; rows stay rows. */
static tv_tensor *widened(const char *who, tv_tensor *x) {
  if (!is_half(x->dtype)) return x;
  return x->rows ? tvi_rows_with(who, x, tv_astype(x->rows->values, TV_F32)) : tv_astype(x, TV_F32);
}

static bool fits(const char *who, const place *p, tv_tensor *g) {
  tvi_text left, right;
  if (!tvi_is_inexact(g->dtype) || (p && g->dtype != p->dtype))
    return tvi_fail(TV_EDTYPE, "%s: a gradient is %s%s%s", who, tv_dtype_name(g->dtype),
                    p ? ", the one before " : ": it carries none",
                    p ? tv_dtype_name(p->dtype) : "");
  if (!p) return true;
  if (!tvi_same_shape(g, p->sum->rank, p->sum->shape))
    return tvi_fail(TV_ESHAPE, "%s: a gradient has shape %s, the one before %s", who,
                    tvi_shape_text(&left, g->rank, g->shape),
                    tvi_shape_text(&right, p->sum->rank, p->sum->shape));
  if (g->device != p->sum->device && !p->may_move)
    return tvi_fail(TV_EDEVICE, "%s: a gradient is not on the device of the one before", who);
  return true;
}

tv_tensor *tvi_sum_moved(tv_tensor *sum, tv_device device) {
  if (sum->device == device) return sum;
  if (!sum->rows) return tv_to(sum, device);
  return tv_scatter_rows(tv_to(sum->rows->indices, device), tv_to(sum->rows->values, device),
                         sum->shape[0]);
}

static bool add(const char *who, const tv_accumulator *a, int n, tv_tensor *const *gradients,
                place *made) {
  for (int k = 0; k < n; k++)
    if (!fits(who, a->count ? &a->places[k] : NULL, gradients[k])) return false;
  for (int k = 0; k < n; k++) {
    tv_tensor *const g = widened(who, gradients[k]);
    tv_tensor *const before = g && a->count ? tvi_sum_moved(a->places[k].sum, g->device) : NULL;
    tv_tensor *const sum = !a->count ? g : before ? tvi_gradient_add(before, g) : NULL;
    if (!sum || (!sum->rows && tv_evaluate(1, &sum))) return false;
    made[k] = (place){tv_retain(sum), gradients[k]->dtype, false};
  }
  return true;
}

tv_status tv_accumulator_add(tv_accumulator *a, int n, tv_tensor *const *gradients) {
  static const char who[] = "accumulator_add";
  if (!a) return tvi_null_status(who, "accumulator");
  if (n < 0) return tvi_fail_status(TV_EVALUE, "%s: n is %d", who, n);
  if (n && !gradients) return tvi_null_status(who, "gradients");
  for (int k = 0; k < n; k++)
    if (!gradients[k]) return tvi_null_status(who, "a gradient");
  tv_scope scope;
  tv_status status = tvi_scope_open(&scope);
  if (status) return status;
  place *const made = tvi_calloc(n, sizeof *made), *old = made;
  int n_old = n;
  tvi_self.paused++;
  pthread_mutex_lock(&a->lock);
  if (!made)
    status = tvi_fail_status(TV_ENOMEM, "%s: no memory for %d gradients", who, n);
  else if (a->count && n != a->n)
    status = tvi_fail_status(TV_EVALUE, "%s: %d gradients, before there were %d", who, n, a->n);
  else if (!add(who, a, n, gradients, made))
    status = tvi_failure();
  if (!status) {
    old = a->places;
    n_old = a->n;
    a->places = made;
    a->n = n;
    a->count++;
  }
  pthread_mutex_unlock(&a->lock);
  tvi_self.paused--;
  if (old) tvi_sums_release(old, n_old);
  tvi_scope_close(&scope);
  return status;
}

/* Take ----------------------------------------------------------------------------------------- */

static tv_tensor *mean(const char *who, const place *p, int64_t count) {
  tv_tensor *const y = tvi_gradient_scaled(who, p->sum, 1 / (double)count);
  if (!y || !is_half(p->dtype)) return y;
  return y->rows ? tvi_rows_with(who, y, tv_astype(y->rows->values, p->dtype))
                 : tv_astype(y, p->dtype);
}

tv_status tv_accumulator_mean(tv_accumulator *a, int n, tv_tensor **means) {
  static const char who[] = "accumulator_mean";
  if (n < 0 || (n && !means)) return tvi_null_status(who, "means");
  for (int k = 0; k < n; k++) means[k] = NULL;
  if (!a) return tvi_null_status(who, "accumulator");
  if (!tvi_scope_is_open(who)) return tvi_failure();
  tv_status status = TV_OK;
  place *old = NULL;
  tvi_self.paused++;
  pthread_mutex_lock(&a->lock);
  if (a->count == 0)
    status = tvi_fail_status(TV_EVALUE, "%s: nothing was added", who);
  else if (n != a->n)
    status = tvi_fail_status(TV_EVALUE, "%s: %d gradients, there are %d", who, n, a->n);
  for (int k = 0; k < n && !status; k++)
    if (!(means[k] = mean(who, &a->places[k], a->count))) status = tvi_failure();
  if (status)
    for (int k = 0; k < n; k++) means[k] = NULL;
  else
    old = emptied(a);
  pthread_mutex_unlock(&a->lock);
  tvi_self.paused--;
  if (old) tvi_sums_release(old, n);
  return status;
}
