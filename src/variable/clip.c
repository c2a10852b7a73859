/* SPDX-License-Identifier: MIT
 * Clipping of gradients. */
#include <math.h>
#include <tensorvar/ops.h>
#include <tensorvar/optimizer.h>
#include <tensorvar/reduce.h>

#include "memory.h"
#include "rows.h"
#include "scope.h"
#include "status.h"
#include "tensor.h"

/* The elements of a gradient that may differ from 0, each once. */
static tv_tensor *elements(const char *who, tv_tensor *x) {
  if (!x->rows) return x;
  tv_tensor *const summed = tvi_rows_summed(who, x);
  return summed ? summed->rows->values : NULL;
}

/* The sum goes from device to device, in the order of the gradients: one number comes back. */
static tv_tensor *global_norm(const char *who, int n, tv_tensor *const *gradients) {
  tv_tensor *sum = tv_scalar_real(0);
  for (int k = 0; k < n; k++) {
    tv_tensor *const magnitude = tv_astype(tv_abs(elements(who, gradients[k])), TV_F64);
    tv_tensor *const squares = tv_sum(tv_square(magnitude), TV_ALL_AXES);
    if (!squares) return NULL;
    const tv_device device = tvi_tensor_on(squares);
    if (tvi_tensor_on(sum) != TV_DEVICE_NONE && tvi_tensor_on(sum) != device)
      sum = tv_to(sum, device);
    sum = tv_add(sum, squares);
    if (!sum) return NULL;
  }
  return tv_sqrt(tv_to(sum, TV_CPU));
}

tv_status tv_clip_by_global_norm(int n, tv_tensor *const *gradients, double limit,
                                 tv_tensor **clipped, double *norm) {
  static const char clip[] = "clip_by_global_norm";
  if (n < 0 || (n && (!gradients || !clipped)))
    return tvi_fail_status(TV_EVALUE, "%s: no gradients", clip);
  if (clipped != gradients)
    for (int k = 0; k < n; k++) clipped[k] = NULL;
  for (int k = 0; k < n; k++)
    if (!gradients[k]) return tvi_null_status(clip, "a gradient");
  if (!(limit > 0) || !isfinite(limit))
    return tvi_fail_status(TV_EVALUE, "%s: limit is not above 0, or not finite", clip);
  tv_scope scope;
  tv_status status = tv_scope_begin(&scope);
  if (status) return status;
  double before = 0;
  status = tv_item_f64(global_norm(clip, n, gradients), &before);
  tv_scope_end(&scope, NULL);
  if (status) return status;
  if (norm) *norm = before;
  if (!isfinite(before)) return tvi_fail_status(TV_EVALUE, "%s: the norm is not finite", clip);
  const double factor = limit * fmin(1 / before, 1 / limit);
  tv_tensor **const made = tvi_calloc(n, sizeof *made);
  if (!made) return tvi_fail_status(TV_ENOMEM, "%s: no memory for %d gradients", clip, n);
  for (int k = 0; k < n && !status; k++)
    if (!(made[k] = tvi_gradient_scaled(clip, gradients[k], factor))) status = tvi_failure();
  for (int k = 0; k < n && !status; k++) clipped[k] = made[k];
  tvi_free(made);
  return status;
}
