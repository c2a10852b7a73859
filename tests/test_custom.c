/* SPDX-License-Identifier: MIT
 * Ops of the caller's: their gradients by backward, and by running forward again. Figures by hand.
 */
#include <string.h>

#include "check.h"
#include "memory.h"

/* What callbacks saw. */
typedef struct {
  int forwards, backwards, releases;
  tv_variable *variable;
  tv_tensor *wrong; /* given back instead of a gradient */
} seen;

static void released(void *user) { ((seen *)user)->releases++; }

/* A square whose gradient is said to be 10: nobody mistakes it for the library's own. */
static tv_tensor *square(void *user, int n, tv_tensor *const *in) {
  ((seen *)user)->forwards++;
  CHECK(n >= 1);
  return tv_square(in[0]);
}
static tv_status ten(void *user, int n, tv_tensor *const *in, tv_tensor *out, tv_tensor *gradient,
                     tv_tensor **gradients) {
  seen *const s = user;
  s->backwards++;
  CHECK(n >= 1 && in[0] && out);
  gradients[0] = s->wrong ? s->wrong : tv_multiply(gradient, tv_scalar(10));
  return TV_OK;
}
static tv_custom ten_square(seen *s) {
  tv_custom c = TV_CUSTOM;
  c.name = "ten square";
  c.forward = square;
  c.backward = ten;
  c.release = released;
  c.user = s;
  return c;
}

static tv_variable *three(void) {
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_variable *const v = tv_variable_new(tv_arange(TV_F64, 1, 4, 1), NULL);
  OK(tv_scope_end(&scope, NULL));
  return v;
}

TEST(gradient_is_the_callers) {
  seen s = {0};
  tv_variable *const v = three();
  const tv_custom c = ten_square(&s);
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const x = tv_read(v);
  tv_tensor *const y = tv_custom_op(&c, 1, &x), *g;
  HOLDS(y, 1, 4, 9);
  EQUAL(s.releases, 0);
  OK(tv_tape_gradient(tape, tv_multiply(y, tv_scalar(2)), 1, &v, &g));
  HOLDS(g, 20, 20, 20);
  EQUAL(s.forwards, 1);
  EQUAL(s.backwards, 1);
  EQUAL(s.releases, 1); /* the tape gave its one gradient */
  OK(tv_tape_end(tape));
  /* Without a tape the call itself ends it. */
  HOLDS(tv_custom_op(&c, 1, &x), 1, 4, 9);
  EQUAL(s.releases, 2);
  tv_variable_release(v);
}

/* A straight-through rounding, and a gradient turned round: forward gives back what it was given.
 */
static tv_tensor *same(void *user, int n, tv_tensor *const *in) {
  return (void)user, (void)n, in[0];
}
static tv_status turned(void *user, int n, tv_tensor *const *in, tv_tensor *out,
                        tv_tensor *gradient, tv_tensor **gradients) {
  (void)user, (void)n;
  CHECK(!in[0] && !out); /* not asked for */
  gradients[0] = tv_negative(gradient);
  return TV_OK;
}

TEST(forward_may_give_back_an_input) {
  tv_variable *const v = three();
  tv_custom c = TV_CUSTOM;
  c.forward = same;
  c.backward = turned;
  c.keeps_inputs = c.keeps_output = false;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const x = tv_read(v);
  tv_tensor *const y = tv_add(tv_square(x), tv_custom_op(&c, 1, &x)), *g;
  OK(tv_tape_gradient(tape, y, 1, &v, &g));
  HOLDS(g, 1, 3, 5); /* 2 x - 1 */
  OK(tv_tape_end(tape));
  tv_variable_release(v);
}

/* x y, of which only x has a gradient; second order comes from the public ops in it. */
static tv_tensor *product(void *user, int n, tv_tensor *const *in) {
  return (void)user, (void)n, tv_multiply(in[0], in[1]);
}
static tv_status product_back(void *user, int n, tv_tensor *const *in, tv_tensor *out,
                              tv_tensor *gradient, tv_tensor **gradients) {
  (void)user, (void)n, (void)out;
  gradients[0] = tv_multiply(gradient, in[1]);
  gradients[1] = NULL;
  return TV_OK;
}

TEST(missing_gradients_are_zero_and_second_order_works) {
  tv_variable *const v = three(), *const w = three();
  tv_variable *const both[] = {v, w};
  tv_custom c = TV_CUSTOM;
  c.forward = product;
  c.backward = product_back;
  tv_tape *const outer = tv_tape_begin(NULL), *const inner = tv_tape_begin(NULL);
  tv_tensor *const x = tv_read(v), *const y = tv_read(w), *g[2], *h[2];
  OK(tv_tape_gradient(inner, tv_custom_op(&c, 2, (tv_tensor *[]){tv_square(x), y}), 2, both, g));
  HOLDS(g[0], 2, 8, 18); /* 2 x y */
  HOLDS(g[1], 0, 0, 0);
  OK(tv_tape_gradient(outer, g[0], 2, both, h));
  HOLDS(h[0], 2, 4, 6); /* 2 y */
  HOLDS(h[1], 2, 4, 6); /* 2 x: of the multiplications by y in backward */
  OK(tv_tape_end(inner));
  OK(tv_tape_end(outer));
  tv_variable_release(v);
  tv_variable_release(w);
}

TEST(wrong_gradients_name_the_op) {
  seen s = {0};
  tv_variable *const v = three();
  const tv_custom c = ten_square(&s);
  const struct {
    tv_tensor *wrong;
    tv_status status;
    const char *text;
  } rows[] = {
      {tv_ones(TV_F64, TV_SHAPE(2)), TV_ESHAPE,
       "tape_gradient: ten square: gradient of input 0 is float64 [2], expected float64 [3]"},
      {tv_ones(TV_F32, TV_SHAPE(3)), TV_EDTYPE,
       "tape_gradient: ten square: gradient of input 0 is float32 [3], expected float64 [3]"}};
  for (int k = 0; k < 2; k++) {
    tv_tensor *g = NULL;
    tv_tape *const tape = tv_tape_begin(NULL);
    tv_tensor *const x = tv_read(v);
    s.wrong = rows[k].wrong;
    FAILS_STATUS(rows[k].status, rows[k].text,
                 tv_tape_gradient(tape, tv_custom_op(&c, 1, &x), 1, &v, &g));
    CHECK(!g);
    OK(tv_tape_end(tape));
  }
  EQUAL(s.releases, 2);
  tv_variable_release(v);
}

static tv_tensor *nothing(void *user, int n, tv_tensor *const *in) {
  return (void)user, (void)n, (void)in, NULL;
}
static tv_tensor *too_wide(void *user, int n, tv_tensor *const *in) {
  return (void)user, (void)n, tv_matmul(in[0], tv_ones(TV_F64, TV_SHAPE(2, 2)));
}
static tv_status gives_up(void *user, int n, tv_tensor *const *in, tv_tensor *out,
                          tv_tensor *gradient, tv_tensor **gradients) {
  return (void)user, (void)n, (void)in, (void)out, (void)gradient, (void)gradients, TV_EVALUE;
}
/* An op in it fails, and it does not look. */
static tv_status careless(void *user, int n, tv_tensor *const *in, tv_tensor *out,
                          tv_tensor *gradient, tv_tensor **gradients) {
  (void)user, (void)n, (void)in, (void)out;
  gradients[0] = tv_add(gradient, tv_ones(TV_F64, TV_SHAPE(2)));
  return TV_OK;
}

TEST(failed_callbacks_are_failures) {
  seen s = {0};
  tv_tensor *g = NULL;
  tv_variable *const v = three();
  tv_custom c = ten_square(&s);
  tv_tensor *const x = tv_read(v);
  c.forward = nothing;
  FAILS(TV_EVALUE, "custom_op: ten square: forward gave NULL", tv_custom_op(&c, 1, &x));
  EQUAL(s.releases, 1);
  c.forward = too_wide;
  FAILS(TV_ESHAPE, "matmul: inner sizes differ: [3] by [2, 2]", tv_custom_op(&c, 1, &x));
  c.forward = NULL;
  FAILS(TV_EVALUE, "custom_op: forward is NULL", tv_custom_op(&c, 1, &x));
  FAILS(TV_EVALUE, "recompute: forward is NULL", tv_recompute(&c, 1, &x));
  EQUAL(s.releases, 4);
  c = ten_square(&s);
  FAILS(TV_EVALUE, "recompute: a backward is given: that is tv_custom_op's",
        tv_recompute(&c, 1, &x));
  FAILS(TV_EVALUE, "custom_op: n is 0, expected 1 or more", tv_custom_op(&c, 0, &x));
  FAILS(TV_EVALUE, "custom_op: custom is NULL", tv_custom_op(NULL, 1, &x));
  EQUAL(s.releases, 6);
  c.backward = gives_up;
  tv_tape *tape = tv_tape_begin(NULL);
  tv_tensor *read = tv_read(v);
  FAILS_STATUS(TV_EVALUE, "tape_gradient: ten square: backward failed",
               tv_tape_gradient(tape, tv_custom_op(&c, 1, &read), 1, &v, &g));
  OK(tv_tape_end(tape));
  c.backward = careless;
  tape = tv_tape_begin(NULL);
  read = tv_read(v);
  FAILS_STATUS(TV_ESHAPE, "add: shapes do not broadcast: [3] and [2]",
               tv_tape_gradient(tape, tv_custom_op(&c, 1, &read), 1, &v, &g));
  OK(tv_tape_end(tape));
  EQUAL(s.releases, 8);
  tv_variable_release(v);
}

/* Recomputed --------------------------------------------------------------------------------- */

/* v in^2, with v read inside; large values on the way. */
static tv_tensor *scaled_square(void *user, int n, tv_tensor *const *in) {
  seen *const s = user;
  (void)n;
  s->forwards++;
  return tv_multiply(tv_read(s->variable), tv_square(in[0]));
}
static tv_custom again(seen *s) {
  tv_custom c = TV_CUSTOM;
  c.name = "block";
  c.forward = scaled_square;
  c.release = released;
  c.user = s;
  return c;
}

TEST(recomputation_uses_the_values_that_were_read) {
  tv_variable *const v = three(), *const w = three(), *const both[] = {v, w};
  seen s = {.variable = w};
  const tv_custom c = again(&s);
  tv_tensor *g[2];
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const x = tv_read(v);
  tv_tensor *const y = tv_recompute(&c, 1, &x);
  HOLDS(y, 1, 8, 27);
  OK(tv_variable_assign(w, tv_zeros(TV_F64, TV_SHAPE(3)))); /* and both of them are written */
  OK(tv_variable_assign(v, tv_zeros(TV_F64, TV_SHAPE(3))));
  OK(tv_tape_gradient(tape, y, 2, both, g));
  HOLDS(g[0], 2, 8, 18); /* 2 w x */
  HOLDS(g[1], 1, 4, 9);  /* x^2 */
  EQUAL(s.forwards, 2);
  EQUAL(s.releases, 1);
  OK(tv_tape_end(tape));
  tv_variable_release(v);
  tv_variable_release(w);
}

TEST(recomputation_has_gradients_of_gradients) {
  tv_variable *const v = three(), *const w = three();
  seen s = {.variable = w};
  const tv_custom c = again(&s);
  tv_tensor *g, *h;
  tv_tape *const outer = tv_tape_begin(NULL), *const inner = tv_tape_begin(NULL);
  tv_tensor *const x = tv_read(v);
  OK(tv_tape_gradient(inner, tv_recompute(&c, 1, &x), 1, &v, &g));
  OK(tv_tape_gradient(outer, g, 1, &v, &h));
  HOLDS(h, 2, 4, 6); /* 2 w */
  OK(tv_tape_end(inner));
  OK(tv_tape_end(outer));
  EQUAL(s.releases, 1);
  tv_variable_release(v);
  tv_variable_release(w);
}

/* Of Variables alone: v w, both read inside. */
static tv_tensor *of_reads(void *user, int n, tv_tensor *const *in) {
  tv_variable *const *const both = user;
  (void)in;
  EQUAL(n, 0);
  return tv_multiply(tv_read(both[0]), tv_read(both[1]));
}
static tv_tensor *of_nothing(void *user, int n, tv_tensor *const *in) {
  return (void)user, (void)n, (void)in, tv_ones(TV_F64, TV_SHAPE(2));
}

TEST(a_forward_may_read_variables_alone) {
  tv_variable *const v = three(), *const w = three(), *both[] = {v, w};
  tv_custom c = TV_CUSTOM;
  c.forward = of_reads;
  c.user = both;
  tv_tensor *g[2];
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const y = tv_recompute(&c, 0, NULL);
  OK(tv_variable_assign(v, tv_zeros(TV_F64, TV_SHAPE(3))));
  c.forward = of_nothing;
  HOLDS(tv_recompute(&c, 0, NULL), 1, 1);
  OK(tv_tape_gradient(tape, y, 2, both, g));
  HOLDS(g[0], 1, 2, 3);
  HOLDS(g[1], 1, 2, 3);
  OK(tv_tape_end(tape));
  tv_variable_release(v);
  tv_variable_release(w);
}

/* A block inside a block. */
static tv_tensor *nested(void *user, int n, tv_tensor *const *in) {
  const tv_custom c = again(user);
  return tv_add(tv_recompute(&c, n, in), tv_read(((seen *)user)->variable));
}

TEST(blocks_nest) {
  tv_variable *const v = three(), *const w = three(), *const both[] = {v, w};
  seen s = {.variable = w};
  tv_custom c = again(&s);
  c.forward = nested;
  tv_tensor *g[2];
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const x = tv_read(v);
  tv_tensor *const y = tv_recompute(&c, 1, &x);
  OK(tv_variable_assign(w, tv_zeros(TV_F64, TV_SHAPE(3))));
  OK(tv_tape_gradient(tape, y, 2, both, g));
  HOLDS(g[0], 2, 8, 18);
  HOLDS(g[1], 2, 5, 10);
  EQUAL(s.forwards, 3); /* at the call, again, and again inside that */
  EQUAL(s.releases, 3); /* two calls of the inner block, one of the outer */
  OK(tv_tape_end(tape));
  tv_variable_release(v);
  tv_variable_release(w);
}

/* 64 KiB and more between input and result: kept by a tape, but not by a block. */
static tv_tensor *wide(void *user, int n, tv_tensor *const *in) {
  (void)user, (void)n;
  tv_tensor *y = tv_multiply(in[0], tv_ones(TV_F64, TV_SHAPE(8192)));
  for (int k = 0; k < 8; k++) y = tv_sin(y);
  return tv_sum(y, TV_ALL_AXES);
}

TEST(blocks_keep_their_inputs_alone) {
  tv_memory_stats before, after;
  tv_custom c = TV_CUSTOM;
  c.forward = wide;
  tv_variable *const v = tv_variable_new(tv_scalar(.5), NULL);
  tv_tensor *with, *without, *x;
  const bool was = tv_eager_current();
  tv_eager_set(true);
  tv_tape *tape = tv_tape_begin(NULL);
  x = tv_read(v);
  OK(tv_tape_gradient(tape, wide(NULL, 1, &x), 1, &v, &without));
  OK(tv_tape_end(tape));
  tape = tv_tape_begin(NULL);
  x = tv_read(v);
  OK(tv_device_memory(TV_CPU, &before));
  tv_tensor *const y = tv_recompute(&c, 1, &x);
  OK(tv_device_memory(TV_CPU, &after));
  CHECK(after.bytes - before.bytes < 8192);
  OK(tv_tape_gradient(tape, y, 1, &v, &with));
  OK(tv_tape_end(tape));
  SAME(with, without);
  tv_eager_set(was);
  tv_variable_release(v);
}

static tv_tensor *reads_twice(void *user, int n, tv_tensor *const *in) {
  seen *const s = user;
  (void)n;
  return s->forwards++ ? tv_multiply(in[0], tv_multiply(tv_read(s->variable), tv_read(s->variable)))
                       : tv_multiply(in[0], tv_read(s->variable));
}
static tv_tensor *changes_shape(void *user, int n, tv_tensor *const *in) {
  seen *const s = user;
  (void)n;
  return s->forwards++ ? tv_sum(in[0], TV_ALL_AXES) : tv_square(in[0]);
}

TEST(another_forward_is_named) {
  tv_variable *const v = three(), *const w = three();
  tv_tensor *(*const forwards[])(void *, int, tv_tensor *const *) = {reads_twice, changes_shape};
  static const char *const texts[] = {
      "recompute: read 1 is of Variable 'Variable', the first time there was none",
      "recompute: block gave float64 [], the first time float64 [3]"};
  for (int k = 0; k < 2; k++) {
    seen s = {.variable = w};
    tv_custom c = again(&s);
    c.forward = forwards[k];
    tv_tensor *g;
    tv_tape *const tape = tv_tape_begin(NULL);
    tv_tensor *const x = tv_read(v);
    tv_tensor *const y = tv_recompute(&c, 1, &x);
    FAILS_STATUS(TV_EVALUE, texts[k], tv_tape_gradient(tape, y, 1, &v, &g));
    OK(tv_tape_end(tape));
    EQUAL(s.releases, 1);
  }
  tv_variable_release(v);
  tv_variable_release(w);
}

/* Every allocation failing in turn: an error or the right gradient, nothing left, one release. */
TEST(failed_allocations_lose_nothing) {
  tv_variable *const v = three(), *const w = three();
  for (int which = 0; which < 2; which++)
    for (int fail = 1, done = 0; !done; fail++) {
      seen s = {.variable = w};
      const tv_custom c = which ? again(&s) : ten_square(&s);
      tv_scope scope;
      tv_tensor *g = NULL;
      const int64_t live = tv_live_handles();
      OK(tv_scope_begin(&scope));
      tvi_memory_fail(fail, false);
      tv_tape *const tape = tv_tape_begin(NULL);
      tv_tensor *const x = tape ? tv_read(v) : NULL;
      tv_tensor *const y = x ? (which ? tv_recompute : tv_custom_op)(&c, 1, &x) : NULL;
      done = y && !tv_tape_gradient(tape, y, 1, &v, &g);
      tvi_memory_fail(0, false);
      if (tape) tv_tape_end(tape);
      CHECK(done || tv_error() == TV_ENOMEM);
      EQUAL(s.releases, x ? 1 : 0);
      if (done && which) HOLDS(g, 2, 8, 18);
      if (done && !which) HOLDS(g, 10, 10, 10);
      tv_error_clear();
      tv_scope_end(&scope, NULL);
      EQUAL(tv_live_handles(), live);
      if (done) CHECK(fail > 3);
    }
  tv_variable_release(v);
  tv_variable_release(w);
}

TEST_MAIN("custom", CASE(gradient_is_the_callers), CASE(forward_may_give_back_an_input),
          CASE(missing_gradients_are_zero_and_second_order_works),
          CASE(wrong_gradients_name_the_op), CASE(failed_callbacks_are_failures),
          CASE(recomputation_uses_the_values_that_were_read),
          CASE(recomputation_has_gradients_of_gradients), CASE(a_forward_may_read_variables_alone),
          CASE(blocks_nest), CASE(blocks_keep_their_inputs_alone), CASE(another_forward_is_named),
          CASE(failed_allocations_lose_nothing))
