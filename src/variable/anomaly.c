/* SPDX-License-Identifier: MIT
 * Anomalies: looking for what is not finite costs a pass over each result, and waiting for it. */
#include "anomaly.h"

#include <stdio.h>
#include <tensorvar/index.h>
#include <tensorvar/ops.h>
#include <tensorvar/print.h>
#include <tensorvar/reduce.h>
#include <tensorvar/shape.h>

#include "dtype.h"
#include "scope.h"
#include "status.h"
#include "thread.h"

typedef struct {
  char value[64];
  tvi_text where;
} finding;

/* The first element of x, in C order, that is not finite: 1 if there is one, 0 if not, -1 after a
 * failure. */
static int find(tv_tensor *x, finding *found) {
  int64_t at = 0, n_wrong = 0, index[TV_MAX_RANK];
  if (!tvi_is_inexact(tv_tensor_dtype(x)) || tv_tensor_size(x) == 0) return 0;
  tv_tensor *const is_wrong = tv_logical_not(tv_isfinite(x));
  if (tv_item_i64(tv_sum(is_wrong, TV_ALL_AXES), &n_wrong)) return -1;
  if (!n_wrong || !found) return n_wrong != 0;
  if (tv_item_i64(tv_argmax(is_wrong, TV_ALL_AXES), &at)) return -1;
  tv_tensor *const element = tv_take(tv_reshape(x, TV_SHAPE(-1)), tv_scalar_int(at), 0);
  if (tv_format(element, TV_STR, found->value, sizeof found->value) < 0) return -1;
  const int rank = tv_tensor_rank(x);
  const int64_t *const shape = tv_tensor_shape(x);
  for (int k = rank - 1; k >= 0; k--) {
    index[k] = at % shape[k];
    at /= shape[k];
  }
  tvi_shape_text(&found->where, rank, index);
  return 1;
}

/* `what` of op, beside n others that may have been so before: inputs, or a gradient. */
static bool is_sound(const char *op, const char *what, tv_tensor *x, const char *other, int n,
                     tv_tensor *const *others) {
  finding here, before = {.value = ""};
  tv_scope scope;
  if (tvi_scope_open(&scope)) return false;
  tvi_self.paused++;
  int found = find(x, &here), was = 0, k = 0;
  for (; found == 1 && k < n && !was; k++) was = find(others[k], &before);
  if (found == 1 && was == 1)
    tvi_fail(TV_EANOMALY, "anomaly: %s: %s is %s at %s: %s %d is %s at %s already", op, what,
             here.value, here.where.text, other, k - 1, before.value, before.where.text);
  else if (found == 1 && was == 0)
    tvi_fail(TV_EANOMALY, "anomaly: %s: %s is %s at %s, and what it is made of is finite", op, what,
             here.value, here.where.text);
  tvi_self.paused--;
  tvi_scope_close(&scope);
  return found == 0;
}

bool tvi_is_sound(const char *op, tv_tensor *out, int n_in, tv_tensor *const *in) {
  return is_sound(op, "result", out, "input", n_in, in);
}

bool tvi_is_gradient_sound(const char *op, int k, tv_tensor *d, tv_tensor *g) {
  char what[48];
  snprintf(what, sizeof what, "gradient by input %d", k);
  return is_sound(op, what, d, "gradient", 1, &g);
}
