/* SPDX-License-Identifier: MIT
 * Gradients of the op table: one function per input of a row, made of public ops.
 *
 * READ_ declares what that input's column of the row names and nothing else, so a formula that
 * reads more does not compile, and one that reads less does not either (unused variable). Gradients
 * that are too long for their column are functions here; each is a formula of facts known outside:
 * PyTorch's at ties and at poles, unless a comment says otherwise. */
#include <tensorvar/ops.h>

#include "op.h"
#include "status.h"
#include "tape.h"

/* 1 where a wins over b, 1/2 where they tie, 0 where it loses; a NaN wins, two share. */
static tv_tensor *tvi_share(tv_tensor *a, tv_tensor *b) {
  tv_tensor *const over = tv_logical_or(tv_greater_equal(a, b), tv_isnan(a));
  tv_tensor *const under = tv_logical_or(tv_greater_equal(b, a), tv_isnan(b));
  tv_tensor *const share =
      tv_where(over, tv_where(under, tv_scalar(.5), tv_scalar(1.)), tv_scalar(0.));
  return a && share ? tv_astype(share, tv_result_type(2, (tv_tensor *const[]){a, b})) : NULL;
}

/* Real: 0. Complex: the part of g across the direction y of x, over |x|; 0 at 0. */
static tv_tensor *tvi_sign_gradient(tv_tensor *g, tv_tensor *x, tv_tensor *y) {
  if (!tvi_is_complex(tv_tensor_dtype(x))) return tv_zeros_like(g);
  tv_tensor *const along = tv_multiply(y, tv_real(tv_multiply(tv_conj(y), g)));
  return tv_where(tv_equal(x, tv_scalar(0)), tv_scalar(0),
                  tv_divide(tv_subtract(g, along), tv_abs(x)));
}

/* An operand in the dtype in which it met the other: in its own, b - 1 may wrap and log(a) lose
 * digits. */
static tv_tensor *met(tv_tensor *x, tv_tensor *other) {
  return tv_tensor_is_weak(x) ? x : tv_astype(x, tv_result_type(2, (tv_tensor *const[]){x, other}));
}

/* b a^(b-1), and 0 where b is 0, whatever a is. */
static tv_tensor *tvi_pow_base_gradient(tv_tensor *g, tv_tensor *a, tv_tensor *b) {
  tv_tensor *const slope = tv_multiply(b, tv_pow(a, tv_subtract(met(b, a), tv_scalar(1))));
  return tv_where(tv_equal(b, tv_scalar(0)), tv_scalar(0), tv_multiply(g, tv_conj(slope)));
}

/* y log(a), and 0 where a is 0 and b is not negative: the limit. */
static tv_tensor *tvi_pow_exponent_gradient(tv_tensor *g, tv_tensor *a, tv_tensor *b,
                                            tv_tensor *y) {
  tv_tensor *is_flat = tv_equal(a, tv_scalar(0));
  if (!tvi_is_complex(tv_tensor_dtype(b)))
    is_flat = tv_logical_and(is_flat, tv_greater_equal(b, tv_scalar(0)));
  return tv_where(is_flat, tv_scalar(0),
                  tv_multiply(g, tv_conj(tv_multiply(y, tv_log(met(a, b))))));
}

/* Positions of the inputs, by kind of row. */
enum {
  UNARY_X = 0,
  PART_X = 0,
  BINARY_A = 0,
  BINARY_B = 1,
  SELECT_C = 0,
  BOUNDED_X = 0,
  BOUNDED_A = 1,
  BOUNDED_B = 2
};

#define READ_NONE(kind) (void)s
#define READ_X(kind) tv_tensor *const x = s->in[kind##_X]
#define READ_A(kind) tv_tensor *const a = s->in[kind##_A]
#define READ_B(kind) tv_tensor *const b = s->in[kind##_B]
#define READ_C(kind) tv_tensor *const c = s->in[kind##_C]
#define READ_Y(kind) tv_tensor *const y = s->out
#define READ_XY(kind) \
  READ_X(kind);       \
  READ_Y(kind)
#define READ_AB(kind) \
  READ_A(kind);       \
  READ_B(kind)
#define READ_BY(kind) \
  READ_B(kind);       \
  READ_Y(kind)
#define READ_ABY(kind) \
  READ_A(kind);        \
  READ_B(kind);        \
  READ_Y(kind)
#define READ_XAB(kind) \
  READ_X(kind);        \
  READ_A(kind);        \
  READ_B(kind)

#define MASK_NONE(kind) TVI_USES_NONE
#define MASK_X(kind) (1 << kind##_X)
#define MASK_A(kind) (1 << kind##_A)
#define MASK_B(kind) (1 << kind##_B)
#define MASK_C(kind) (1 << kind##_C)
#define MASK_Y(kind) TVI_USES_OUT
#define MASK_XY(kind) (MASK_X(kind) | MASK_Y(kind))
#define MASK_AB(kind) (MASK_A(kind) | MASK_B(kind))
#define MASK_BY(kind) (MASK_B(kind) | MASK_Y(kind))
#define MASK_ABY(kind) (MASK_AB(kind) | MASK_Y(kind))
#define MASK_XAB(kind) (MASK_X(kind) | MASK_AB(kind))

#define GRADIENT(kind, name, input, uses, formula)                      \
  static tv_tensor *name##_d##input(const tvi_saved *s, tv_tensor *g) { \
    READ_##uses(kind);                                                  \
    (void)g; /* all but the formulas of zero gradients read it */       \
    return formula;                                                     \
  }

#define UNARY(name, types, value, from, to, summary, ux, dx) GRADIENT(UNARY, name, x, ux, dx)
#define PART(name, types, value, from, to, summary, ux, dx) GRADIENT(PART, name, x, ux, dx)
#define BINARY(name, types, value, from, to, summary, ua, da, ub, db) \
  GRADIENT(BINARY, name, a, ua, da)                                   \
  GRADIENT(BINARY, name, b, ub, db)
#define SELECT(name, types, value, from, to, summary, ua, da, ub, db) \
  GRADIENT(SELECT, name, a, ua, da)                                   \
  GRADIENT(SELECT, name, b, ub, db)
#define BOUNDED(name, types, value, from, to, summary, ux, dx, ua, da, ub, db) \
  GRADIENT(BOUNDED, name, x, ux, dx)                                           \
  GRADIENT(BOUNDED, name, a, ua, da)                                           \
  GRADIENT(BOUNDED, name, b, ub, db)
#include "ops.def"

#define USE(kind, name, input, uses) \
  { MASK_##uses(kind), name##_d##input }
#define RULE(name_, ...) [TVI_OP_##name_] = {.name = #name_, .in = {__VA_ARGS__}},

const tvi_rule tvi_op_rules[TVI_OP_COUNT] = {
#define UNARY(name, types, value, from, to, summary, ux, dx) RULE(name, USE(UNARY, name, x, ux))
#define PART(name, types, value, from, to, summary, ux, dx) RULE(name, USE(PART, name, x, ux))
#define TEST(name, ...) RULE(name, {0})
#define BINARY(name, types, value, from, to, summary, ua, da, ub, db) \
  RULE(name, USE(BINARY, name, a, ua), USE(BINARY, name, b, ub))
#define COMPARE(name, ...) RULE(name, {0})
#define SELECT(name, types, value, from, to, summary, ua, da, ub, db) \
  RULE(name, {0}, USE(SELECT, name, a, ua), USE(SELECT, name, b, ub))
#define BOUNDED(name, types, value, from, to, summary, ux, dx, ua, da, ub, db) \
  RULE(name, USE(BOUNDED, name, x, ux), USE(BOUNDED, name, a, ua), USE(BOUNDED, name, b, ub))
#include "ops.def"
};
