/* SPDX-License-Identifier: MIT
 * The methods of optimizers: which slots each keeps, and its formula in public ops. Formulas are
 * elementwise, so that rows of a Variable may be updated by themselves, and a gradient of 0 needs
 * no memory. What a device's slot `optimize` does in one pass (src/cpu/steps.h) has the same bits.
 *
 * Every slot is flushed (flush.h). A slot that is NULL is as before the first step: 0, or what the
 * method's `first` says. */
#include <float.h>
#include <math.h>
#include <tensorvar/ops.h>

#include "optimizer.h"
#include "scope.h"

static const char who[] = "optimizer_step";

/* Parts of formulas ---------------------------------------------------------------------------- */

static tv_dtype dtype_of_parts(tv_dtype dtype) {
  return dtype == TV_C64 ? TV_F32 : dtype == TV_C128 ? TV_F64 : dtype;
}

tv_dtype tvi_slot_dtype(tvi_slot_kind kind, tv_dtype dtype) {
  const tv_dtype inside = dtype == TV_F16 || dtype == TV_BF16 ? TV_F32 : dtype;
  return kind.is_real ? dtype_of_parts(inside) : inside;
}

static tv_tensor *scaled(tv_tensor *x, double by) { return tv_multiply(x, tv_scalar(by)); }

/* x as elements of another dtype of so many. */
static tv_tensor *seen_as(tv_tensor *x, tv_dtype dtype, int rank, const int64_t *shape) {
  tv_tensor *const y = x ? tvi_scope_own(tvi_tensor_compact(who, x)) : NULL;
  return y ? tvi_scope_own(tvi_tensor_view(y->storage, y->data, dtype, rank, shape, NULL)) : NULL;
}

/* What flush.h does. */
static tv_tensor *flushed(tv_tensor *x) {
  if (!x) return NULL;
  const tv_dtype part = dtype_of_parts(x->dtype);
  tv_tensor *const parts = part == x->dtype ? x : seen_as(x, part, 1, &(int64_t){2 * x->size});
  tv_tensor *const is_small =
      tv_less(tv_abs(parts), tv_scalar(part == TV_F64 ? DBL_MIN : (double)FLT_MIN));
  tv_tensor *const y = tv_where(is_small, tv_scalar(0), parts);
  return part == x->dtype ? y : seen_as(y, x->dtype, x->rank, x->shape);
}

static tv_tensor *size_squared(tv_tensor *x) { return tv_square(tv_abs(x)); }

/* slot j = by (what it was) + x, flushed. */
static tv_tensor *gathered(tvi_update *u, int j, double by, tv_tensor *x) {
  tv_tensor *const before = u->before[j];
  return u->after[j] = flushed(before ? tv_add(scaled(before, by), x) : x);
}

/* slot j = by (what it was) + (1 - by) x: a mean that forgets. */
static tv_tensor *mean(tvi_update *u, int j, double by, tv_tensor *x) {
  return gathered(u, j, by, scaled(x, 1 - by));
}

/* sqrt(x) + epsilon, or inside the root. */
static tv_tensor *divisor(const tvi_update *u, tv_tensor *x) {
  tv_tensor *const epsilon = tv_scalar(u->with->epsilon);
  return u->with->epsilon_inside != 0 ? tv_sqrt(tv_add(x, epsilon)) : tv_add(tv_sqrt(x), epsilon);
}

static int list(tvi_slot_kind *kinds, int n, const char *name, bool is_real) {
  kinds[n] = (tvi_slot_kind){name, is_real};
  return n + 1;
}

/* SGD ------------------------------------------------------------------------------------------ */

static int sgd_slots(const tvi_settings *with, tvi_slot_kind *kinds) {
  return with->momentum != 0 ? list(kinds, 0, "momentum_buffer", false) : 0;
}

static tv_tensor *sgd(tvi_update *u, tv_tensor *w, tv_tensor *g) {
  const tvi_settings *const with = u->with;
  if (with->momentum == 0) return tv_subtract(w, scaled(g, u->rate));
  if (with->rate_in_momentum != 0) {
    tv_tensor *const moved = scaled(g, u->rate), *const before = u->before[0];
    tv_tensor *const v =
        flushed(before ? tv_subtract(scaled(before, with->momentum), moved) : tv_negative(moved));
    u->after[0] = v;
    return tv_add(w, with->nesterov != 0 ? tv_subtract(scaled(v, with->momentum), moved) : v);
  }
  const bool is_damped = u->before[0] && with->dampening != 0;
  tv_tensor *const b =
      gathered(u, 0, with->momentum, is_damped ? scaled(g, 1 - with->dampening) : g);
  if (with->nesterov != 0) g = tv_add(g, scaled(b, with->momentum));
  return tv_subtract(w, scaled(with->nesterov != 0 ? g : b, u->rate));
}

static bool sgd_is_local(const tvi_settings *with) { return with->momentum == 0; }

const tvi_method tvi_sgd = {
    .kind = "sgd", .slots = sgd_slots, .update = sgd, .is_local = sgd_is_local};

/* Adam ----------------------------------------------------------------------------------------- */

static int adam_slots(const tvi_settings *with, tvi_slot_kind *kinds) {
  list(kinds, 0, "exp_avg", false);
  const int n = list(kinds, 1, "exp_avg_sq", true);
  return with->amsgrad != 0 ? list(kinds, n, "max_exp_avg_sq", true) : n;
}

/* Powers of beta in double. */
static tv_tensor *adam(tvi_update *u, tv_tensor *w, tv_tensor *g) {
  const tvi_settings *const with = u->with;
  const double unbias1 = 1 - pow(with->beta1, (double)u->t),
               unbias2 = 1 - pow(with->beta2, (double)u->t);
  tv_tensor *const m = mean(u, 0, with->beta1, g);
  tv_tensor *v = mean(u, 1, with->beta2, size_squared(g));
  if (with->amsgrad != 0) u->after[2] = v = u->before[2] ? tv_maximum(u->before[2], v) : v;
  tv_tensor *root = tv_sqrt(v);
  double rate = u->rate / unbias1;
  if (with->epsilon_inside != 0)
    rate = u->rate * sqrt(unbias2) / unbias1;
  else
    root = tv_divide(root, tv_scalar(sqrt(unbias2)));
  return tv_subtract(w, scaled(tv_divide(m, tv_add(root, tv_scalar(with->epsilon))), rate));
}

const tvi_method tvi_adam = {.kind = "adam", .slots = adam_slots, .update = adam};
const tvi_method tvi_adamw = {.kind = "adamw", .slots = adam_slots, .update = adam};

/* RMSprop -------------------------------------------------------------------------------------- */

static int rmsprop_slots(const tvi_settings *with, tvi_slot_kind *kinds) {
  int n = list(kinds, 0, "square_avg", true);
  if (with->momentum != 0) n = list(kinds, n, "momentum_buffer", false);
  return with->centered != 0 ? list(kinds, n, "grad_avg", false) : n;
}

static tv_tensor *rmsprop(tvi_update *u, tv_tensor *w, tv_tensor *g) {
  const tvi_settings *const with = u->with;
  tv_tensor *v = mean(u, 0, with->decay, size_squared(g));
  if (with->centered != 0) {
    tv_tensor *const middle = mean(u, with->momentum != 0 ? 2 : 1, with->decay, g);
    v = tv_relu(tv_subtract(v, size_squared(middle))); /* rounding may bring it below 0 */
  }
  tv_tensor *const d = tv_divide(g, divisor(u, v));
  if (with->momentum == 0) return tv_subtract(w, scaled(d, u->rate));
  if (with->rate_in_momentum != 0)
    return tv_subtract(w, gathered(u, 1, with->momentum, scaled(d, u->rate)));
  return tv_subtract(w, scaled(gathered(u, 1, with->momentum, d), u->rate));
}

const tvi_method tvi_rmsprop = {.kind = "rmsprop", .slots = rmsprop_slots, .update = rmsprop};

/* Adagrad -------------------------------------------------------------------------------------- */

static int adagrad_slots(const tvi_settings *with, tvi_slot_kind *kinds) {
  (void)with;
  return list(kinds, 0, "sum", true);
}

static tv_tensor *adagrad(tvi_update *u, tv_tensor *w, tv_tensor *g) {
  const tvi_settings *const with = u->with;
  const double rate = u->rate / (1 + (double)(u->t - 1) * with->rate_decay);
  tv_tensor *const before = u->before[0] ? u->before[0] : tv_scalar(with->initial);
  tv_tensor *const sum = u->after[0] = flushed(tv_add(before, size_squared(g)));
  return tv_subtract(w, scaled(tv_divide(g, divisor(u, sum)), rate));
}

/* With epsilon 0 an element that never had a gradient is 0 / 0, and is left alone only if told so.
 */
static bool adagrad_is_local(const tvi_settings *with) {
  return with->epsilon > 0 || with->initial > 0;
}
static double adagrad_first(const tvi_settings *with, int slot) {
  (void)slot;
  return with->initial;
}

const tvi_method tvi_adagrad = {.kind = "adagrad",
                                .slots = adagrad_slots,
                                .update = adagrad,
                                .is_local = adagrad_is_local,
                                .first = adagrad_first};

/* Adadelta ------------------------------------------------------------------------------------- */

static int adadelta_slots(const tvi_settings *with, tvi_slot_kind *kinds) {
  (void)with;
  return list(kinds, list(kinds, 0, "square_avg", true), "acc_delta", true);
}

static tv_tensor *adadelta(tvi_update *u, tv_tensor *w, tv_tensor *g) {
  const tvi_settings *const with = u->with;
  tv_tensor *const epsilon = tv_scalar(with->epsilon), *const before = u->before[1];
  tv_tensor *const v = mean(u, 0, with->decay, size_squared(g));
  tv_tensor *const top = before ? tv_sqrt(tv_add(before, epsilon)) : tv_scalar(sqrt(with->epsilon));
  tv_tensor *const d = tv_multiply(g, tv_divide(top, tv_sqrt(tv_add(v, epsilon))));
  mean(u, 1, with->decay, size_squared(d));
  return tv_subtract(w, scaled(d, u->rate));
}

const tvi_method tvi_adadelta = {.kind = "adadelta", .slots = adadelta_slots, .update = adadelta};

/* Lion ----------------------------------------------------------------------------------------- */

static int lion_slots(const tvi_settings *with, tvi_slot_kind *kinds) {
  (void)with;
  return list(kinds, 0, "exp_avg", false);
}

static tv_tensor *lion(tvi_update *u, tv_tensor *w, tv_tensor *g) {
  const tvi_settings *const with = u->with;
  tv_tensor *const towards = scaled(g, 1 - with->beta1), *const before = u->before[0];
  tv_tensor *const d = tv_sign(before ? tv_add(scaled(before, with->beta1), towards) : towards);
  mean(u, 0, with->beta2, g);
  return tv_subtract(w, scaled(d, u->rate));
}

const tvi_method tvi_lion = {.kind = "lion", .slots = lion_slots, .update = lion};

/* What they have in common --------------------------------------------------------------------- */

tv_tensor *tvi_method_update(const tvi_method *method, tvi_update *u, tv_tensor *w, tv_tensor *g) {
  const tvi_settings *const with = u->with;
  if (with->maximize != 0) g = tv_negative(g);
  if (with->weight_decay != 0) g = tv_add(g, scaled(w, with->weight_decay));
  if (with->decoupled_decay != 0) w = scaled(w, 1 - u->rate * with->decoupled_decay);
  return method->update(u, w, g);
}
