/* SPDX-License-Identifier: MIT
 * The scale of a loss, and how it changes. What it does to gradients is in treatment.c. */
#include "scaler.h"
#include "range.h"

#include <math.h>
#include <string.h>
#include <tensorvar/ops.h>

#include "memory.h"
#include "scope.h"
#include "status.h"
#include "tally.h"
#include "tensor.h"

tv_scaler *tv_scaler_new(const tv_scaler_options *options) {
  static const char who[] = "scaler_new";
  tv_scaler_options o = TV_SCALER_OPTIONS;
  if (options) {
    if (!tvi_options_fit(who, options->size, sizeof o)) return NULL;
    memcpy(&o, options, options->size);
  }
  if (!tvi_in_range(who, "scale", o.scale, TVI_ABOVE_0) ||
      !tvi_in_range(who, "growth", o.growth, TVI_ABOVE_1) ||
      !tvi_in_range(who, "backoff", o.backoff, TVI_BETWEEN_0_AND_1) ||
      !tvi_in_range(who, "interval", (double)o.interval, TVI_AT_LEAST_1))
    return NULL;
  tv_scaler *const s = tvi_calloc(1, sizeof *s);
  if (!s || pthread_mutex_init(&s->lock, NULL)) {
    tvi_free(s);
    return tvi_fail(TV_ENOMEM, "%s: no memory", who);
  }
  atomic_init(&s->count, 1);
  s->options = o;
  s->scale = o.scale;
  tvi_count(TVI_LIVE, 1);
  return s;
}

tv_scaler *tv_scaler_retain(tv_scaler *s) {
  if (s) atomic_fetch_add_explicit(&s->count, 1, memory_order_relaxed);
  return s;
}

void tv_scaler_release(tv_scaler *s) {
  if (!s || atomic_fetch_sub_explicit(&s->count, 1, memory_order_acq_rel) != 1) return;
  pthread_mutex_destroy(&s->lock);
  tvi_free(s);
  tvi_count(TVI_LIVE, -1);
}

tv_tensor *tv_scaler_scale(tv_scaler *s, tv_tensor *loss) {
  if (!s || !loss) return tvi_null("scaler_scale", s ? "loss" : "scaler");
  if (!tvi_is_inexact(loss->dtype))
    return tvi_fail(TV_EDTYPE, "scaler_scale: a loss of %s carries no gradient",
                    tv_dtype_name(loss->dtype));
  if (loss->dtype == TV_F16 || loss->dtype == TV_BF16) loss = tv_astype(loss, TV_F32);
  return tv_multiply(loss, tv_scalar(tv_scaler_factor(s)));
}

double tv_scaler_factor(tv_scaler *s) {
  if (!s) return 0;
  pthread_mutex_lock(&s->lock);
  const double scale = s->scale;
  pthread_mutex_unlock(&s->lock);
  return scale;
}

int64_t tv_scaler_n_finite(tv_scaler *s) {
  if (!s) return 0;
  pthread_mutex_lock(&s->lock);
  const int64_t n = s->n_finite;
  pthread_mutex_unlock(&s->lock);
  return n;
}

tv_status tv_scaler_set(tv_scaler *s, double scale, int64_t n_finite) {
  if (!s) return tvi_null_status("scaler_set", "scaler");
  if (!tvi_in_range("scaler_set", "scale", scale, TVI_ABOVE_0) ||
      !tvi_in_range("scaler_set", "n_finite", (double)n_finite, TVI_AT_LEAST_0))
    return TV_EVALUE;
  pthread_mutex_lock(&s->lock);
  s->scale = scale;
  s->n_finite = n_finite;
  pthread_mutex_unlock(&s->lock);
  return TV_OK;
}

/* A scale stays above 0 and finite, whatever happens. */
void tvi_scaler_update(tv_scaler *s, bool is_finite) {
  pthread_mutex_lock(&s->lock);
  s->n_finite = is_finite ? s->n_finite + 1 : 0;
  const bool grows = s->n_finite >= s->options.interval;
  const double next = s->scale * (!is_finite ? s->options.backoff : grows ? s->options.growth : 1);
  if (tvi_is_in(next, TVI_ABOVE_0)) s->scale = next;
  if (grows) s->n_finite = 0;
  pthread_mutex_unlock(&s->lock);
}
