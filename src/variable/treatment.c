/* SPDX-License-Identifier: MIT
 * What a step does to its gradients first: take the scale of the loss out, and clip. Rows stay
 * rows.
 */
#include "treatment.h"
#include "range.h"

#include <math.h>
#include <string.h>
#include <tensorvar/ops.h>
#include <tensorvar/reduce.h>

#include "clip.h"
#include "rows.h"
#include "scope.h"
#include "status.h"

tv_status tvi_treatment_of(const char *who, const tv_step_options *given, tv_step_options *full) {
  *full = (tv_step_options)TV_STEP_OPTIONS;
  if (!given) return TV_OK;
  if (!tvi_options_fit(who, given->size, sizeof *full)) return TV_EVALUE;
  memcpy(full, given, given->size);
  const double limits[] = {full->clip_value, full->clip_norm, full->clip_global_norm};
  static const char *const names[] = {"clip_value", "clip_norm", "clip_global_norm"};
  for (int k = 0; k < 3; k++)
    if (!tvi_in_range(who, names[k], limits[k], TVI_AT_LEAST_0)) return TV_EVALUE;
  if (full->is_skipped) *full->is_skipped = false;
  return TV_OK;
}

static tv_status count_not_finite(const char *who, tv_tensor *x, int64_t *n) {
  tv_scope scope;
  tv_status status = tv_scope_begin(&scope);
  if (status) return status;
  tv_tensor *const elements = tvi_gradient_elements(who, x);
  status = tv_item_i64(tv_sum(tv_logical_not(tv_isfinite(elements)), TV_ALL_AXES), n);
  tv_scope_end(&scope, NULL);
  return status;
}

/* In f32 where a small gradient would be lost in half precision. */
static tv_tensor *unscaled(const char *who, tv_tensor *x, double by) {
  if (x->dtype != TV_F16 && x->dtype != TV_BF16) return tvi_gradient_scaled(who, x, by);
  if (!x->rows) return tv_multiply(tv_astype(x, TV_F32), tv_scalar(by));
  return tvi_rows_with(who, x, tv_multiply(tv_astype(x->rows->values, TV_F32), tv_scalar(by)));
}

static tv_status unscale_all(const char *who, double scale, int n, tv_tensor **gradients,
                             bool *is_finite) {
  for (int k = 0; k < n && *is_finite; k++) {
    int64_t n_bad = 0;
    gradients[k] = unscaled(who, gradients[k], 1 / scale);
    if (!gradients[k] || count_not_finite(who, gradients[k], &n_bad)) return tvi_failure();
    *is_finite = n_bad == 0;
  }
  return TV_OK;
}

/* A norm that is to be clipped: what to do if it is not finite. */
static tv_status look_at(const char *who, const tv_step_options *with, double norm,
                         bool *is_finite) {
  *is_finite = isfinite(norm);
  if (*is_finite || with->skip_not_finite) return TV_OK;
  return tvi_fail_status(TV_EVALUE, "%s: the norm of a gradient is not finite", who);
}

static tv_status clip_each(const char *who, const tv_step_options *with, int n,
                           tv_tensor **gradients, bool *is_finite) {
  for (int k = 0; k < n && *is_finite; k++) {
    double norm = 0;
    tv_status status = tvi_gradient_norm(who, 1, &gradients[k], &norm);
    if (!status) status = look_at(who, with, norm, is_finite);
    if (status || !*is_finite) return status;
    gradients[k] = tvi_gradient_scaled(who, gradients[k], tvi_clip_factor(norm, with->clip_norm));
    if (!gradients[k]) return tvi_failure();
  }
  return TV_OK;
}

static tv_status clip_together(const char *who, const tv_step_options *with, int n,
                               tv_tensor **gradients, bool *is_finite) {
  double norm = 0;
  const double limit = with->clip_global_norm;
  tv_status status = tvi_gradient_norm(who, n, gradients, &norm);
  if (status) return status;
  if (with->norm) *with->norm = norm;
  status = look_at(who, with, norm, is_finite);
  if (status || !*is_finite) return status;
  const double factor = limit * fmin(1 / norm, 1 / limit);
  for (int k = 0; k < n; k++) {
    gradients[k] = tvi_gradient_scaled(who, gradients[k], factor);
    if (!gradients[k]) return tvi_failure();
  }
  return TV_OK;
}

tv_status tvi_treated(const char *who, const tv_step_options *with, int n, tv_tensor **gradients,
                      bool *is_finite) {
  tv_status status = TV_OK;
  *is_finite = true;
  if (with->scaler)
    status = unscale_all(who, tv_scaler_factor(with->scaler), n, gradients, is_finite);
  if (!status && *is_finite && with->clip_value > 0)
    for (int k = 0; k < n && !status; k++) {
      gradients[k] = tvi_clipped_by_value(who, gradients[k], with->clip_value);
      if (!gradients[k]) status = tvi_failure();
    }
  if (!status && *is_finite && with->clip_norm > 0)
    status = clip_each(who, with, n, gradients, is_finite);
  if (!status && *is_finite && with->clip_global_norm > 0)
    status = clip_together(who, with, n, gradients, is_finite);
  return status;
}
