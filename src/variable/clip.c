/* SPDX-License-Identifier: MIT
 * Clipping of gradients: norms are sums in double, in the order of elements; what is multiplied by
 * one number stays rows if it was. */
#include "clip.h"

#include <math.h>
#include <tensorvar/ops.h>
#include <tensorvar/reduce.h>

#include "memory.h"
#include "range.h"
#include "rows.h"
#include "scope.h"
#include "status.h"
#include "tape.h"

/* Norms ---------------------------------------------------------------------------------------- */

tv_tensor *tvi_gradient_elements(const char *who, tv_tensor *x) {
  if (!x->rows) return x;
  tv_tensor *const summed = tvi_rows_summed(who, x);
  return summed ? summed->rows->values : NULL;
}

/* The sum goes from device to device, in the order of the gradients: one number comes back. */
static tv_tensor *joint_norm(const char *who, int n, tv_tensor *const *gradients) {
  tv_tensor *sum = tv_scalar_real(0);
  for (int k = 0; k < n; k++) {
    tv_tensor *const magnitude =
        tv_astype(tv_abs(tvi_gradient_elements(who, gradients[k])), TV_F64);
    tv_tensor *const squares = tv_sum(tv_square(magnitude), TV_ALL_AXES);
    if (!sum || !squares) return NULL;
    const tv_device device = tvi_tensor_on(squares);
    if (tvi_tensor_on(sum) != TV_DEVICE_NONE && tvi_tensor_on(sum) != device)
      sum = tv_to(sum, device);
    sum = tv_add(sum, squares);
    if (!sum) return NULL;
  }
  return tv_sqrt(tv_to(sum, TV_CPU));
}

tv_status tvi_gradient_norm(const char *who, int n, tv_tensor *const *gradients, double *norm) {
  tv_scope scope;
  tv_status status = tv_scope_begin(&scope);
  if (status) return status;
  tvi_self.paused++;
  status = tv_item_f64(joint_norm(who, n, gradients), norm);
  tvi_self.paused--;
  tv_scope_end(&scope, NULL);
  return status;
}

/* One gradient --------------------------------------------------------------------------------- */

tv_tensor *tvi_clipped_by_value(const char *who, tv_tensor *x, double limit) {
  tv_tensor *const low = tv_scalar(-limit), *const high = tv_scalar(limit);
  if (!x->rows || tvi_is_recording()) return tv_clip(x, low, high);
  tv_tensor *const summed = tvi_rows_summed(who, x);
  return summed ? tvi_rows_with(who, summed, tv_clip(summed->rows->values, low, high)) : NULL;
}

double tvi_clip_factor(double norm, double limit) { return limit / fmax(norm, limit); }

/* Several -------------------------------------------------------------------------------------- */

static tv_status begin(const char *who, int n, tv_tensor *const *gradients, double limit,
                       tv_tensor **clipped) {
  if (n < 0 || (n && (!gradients || !clipped)))
    return tvi_fail_status(TV_EVALUE, "%s: no gradients", who);
  if (clipped != gradients)
    for (int k = 0; k < n; k++) clipped[k] = NULL;
  for (int k = 0; k < n; k++)
    if (!gradients[k]) return tvi_null_status(who, "a gradient");
  return tvi_in_range(who, "limit", limit, TVI_ABOVE_0) ? TV_OK : TV_EVALUE;
}

typedef enum { BY_VALUE, BY_NORM, BY_JOINT_NORM } manner;

/* x as it is wanted; `factor` is that of the joint norm. */
static tv_tensor *one(const char *who, manner how, tv_tensor *x, double limit, double factor) {
  if (how == BY_VALUE) return tvi_clipped_by_value(who, x, limit);
  if (how == BY_NORM) {
    double norm;
    if (tvi_gradient_norm(who, 1, &x, &norm)) return NULL;
    if (!isfinite(norm)) return tvi_fail(TV_EVALUE, "%s: the norm is not finite", who);
    factor = tvi_clip_factor(norm, limit);
  }
  return tvi_gradient_scaled(who, x, factor);
}

static tv_status all(const char *who, manner how, int n, tv_tensor *const *gradients, double limit,
                     double factor, tv_tensor **clipped) {
  tv_status status = TV_OK;
  tv_tensor **const made = tvi_calloc(n, sizeof *made);
  if (!made) return tvi_fail_status(TV_ENOMEM, "%s: no memory for %d gradients", who, n);
  for (int k = 0; k < n && !status; k++)
    if (!(made[k] = one(who, how, gradients[k], limit, factor))) status = tvi_failure();
  for (int k = 0; k < n && !status; k++) clipped[k] = made[k];
  tvi_free(made);
  return status;
}

tv_status tv_clip_by_value(int n, tv_tensor *const *gradients, double limit, tv_tensor **clipped) {
  const tv_status status = begin("clip_by_value", n, gradients, limit, clipped);
  return status ? status : all("clip_by_value", BY_VALUE, n, gradients, limit, 1, clipped);
}

tv_status tv_clip_by_norm(int n, tv_tensor *const *gradients, double limit, tv_tensor **clipped) {
  const tv_status status = begin("clip_by_norm", n, gradients, limit, clipped);
  return status ? status : all("clip_by_norm", BY_NORM, n, gradients, limit, 1, clipped);
}

tv_status tv_clip_by_global_norm(int n, tv_tensor *const *gradients, double limit,
                                 tv_tensor **clipped, double *norm) {
  static const char who[] = "clip_by_global_norm";
  double before = 0;
  tv_status status = begin(who, n, gradients, limit, clipped);
  if (!status) status = tvi_gradient_norm(who, n, gradients, &before);
  if (status) return status;
  if (norm) *norm = before;
  if (!isfinite(before)) return tvi_fail_status(TV_EVALUE, "%s: the norm is not finite", who);
  return all(who, BY_JOINT_NORM, n, gradients, limit, limit * fmin(1 / before, 1 / limit), clipped);
}
