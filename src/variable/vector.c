/* SPDX-License-Identifier: MIT
 * Vectors of several tensors, by public ops. */
#include "vector.h"

#include <math.h>
#include <tensorvar/ops.h>
#include <tensorvar/reduce.h>

#include "memory.h"
#include "scope.h"
#include "status.h"
#include "thread.h"

tvi_vector *tvi_vector_new(const char *who, int n) {
  tvi_vector *const a = tvi_calloc(1, (int64_t)sizeof *a + n * (int64_t)sizeof a->x[0]);
  if (!a) return tvi_fail(TV_ENOMEM, "%s: no memory for %d tensors", who, n);
  a->count = 1;
  a->n = n;
  return a;
}

tvi_vector *tvi_vector_retain(tvi_vector *a) {
  if (a) a->count++;
  return a;
}

void tvi_vector_release(tvi_vector *a) {
  if (!a || --a->count) return;
  for (int k = 0; k < a->n; k++) tv_release(a->x[k]);
  tvi_free(a);
}

tvi_vector *tvi_vector_sum(const char *who, const tvi_vector *a, double by, const tvi_vector *b) {
  tvi_vector *const y = tvi_vector_new(who, a->n);
  tv_scope scope;
  if (!y || tvi_scope_open(&scope)) {
    tvi_vector_release(y);
    return NULL;
  }
  bool is_done = true;
  tvi_self.paused++;
  for (int k = 0; k < a->n && is_done; k++) {
    tv_tensor *x = tv_multiply(a->x[k], tv_scalar(by));
    if (b) x = tv_add(x, b->x[k]);
    is_done = x && !tv_evaluate(1, &x);
    if (is_done) y->x[k] = tv_retain(x);
  }
  tvi_self.paused--;
  tvi_scope_close(&scope);
  if (is_done) return y;
  tvi_vector_release(y);
  return NULL;
}

/* Add the sum of x to *sum; x is NULL after a failure. */
static bool add_sum(tv_tensor *x, double *sum) {
  double part = 0;
  tv_tensor *const real = tv_real(x);
  if (!real || tv_item_f64(tv_sum(tv_astype(real, TV_F64), TV_ALL_AXES), &part)) return false;
  *sum += part;
  return true;
}

bool tvi_vector_dot(const tvi_vector *a, const tvi_vector *b, double *dot) {
  tv_scope scope;
  if (tvi_scope_open(&scope)) return false;
  bool is_done = true;
  *dot = 0;
  tvi_self.paused++;
  for (int k = 0; k < a->n && is_done; k++)
    is_done = add_sum(tv_multiply(tv_conj(a->x[k]), b->x[k]), dot);
  tvi_self.paused--;
  tvi_scope_close(&scope);
  return is_done;
}

bool tvi_vector_size(const tvi_vector *a, double *largest, double *sum) {
  tv_scope scope;
  if (tvi_scope_open(&scope)) return false;
  bool is_done = true;
  *largest = *sum = 0;
  tvi_self.paused++;
  for (int k = 0; k < a->n && is_done; k++) {
    tv_tensor *const sizes = tv_abs(a->x[k]);
    double most = 0;
    is_done = add_sum(sizes, sum);
    if (a->x[k]->size) is_done = is_done && !tv_item_f64(tv_max(sizes, TV_ALL_AXES), &most);
    if (most > *largest || isnan(most)) *largest = most;
  }
  tvi_self.paused--;
  tvi_scope_close(&scope);
  return is_done;
}
