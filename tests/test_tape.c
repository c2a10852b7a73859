/* SPDX-License-Identifier: MIT
 * Tapes: what is recorded, for how long, and what it costs. */
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "memory.h"

/* [1, 2, 3]; nobody else holds the bytes. */
static tv_variable *three(void) {
  tv_scope scope;
  if (tv_scope_begin(&scope)) return NULL;
  tv_variable *const v = tv_variable_new(tv_arange(TV_F64, 1, 4, 1), NULL);
  tv_scope_end(&scope, NULL);
  return v;
}

static tv_tape *tape_of(bool persistent, tv_mutation_policy mutation) {
  tv_tape_options o = TV_TAPE_OPTIONS;
  o.persistent = persistent;
  o.mutation = mutation;
  return tv_tape_begin(&o);
}

static int64_t cpu_bytes(void) {
  tv_memory_stats stats;
  tv_device_memory(TV_CPU, &stats);
  return stats.bytes;
}

TEST(one_gradient_unless_persistent) {
  tv_variable *const v = three();
  tv_tensor *g;
  tv_tape *const once = tv_tape_begin(NULL);
  tv_tensor *y = tv_sum(tv_read(v), TV_ALL_AXES);
  OK(tv_tape_gradient(once, y, 1, &v, &g));
  FAILS_STATUS(
      TV_ETAPE,
      "tape_gradient: this tape has given its gradient: begin it with persistent to ask again",
      tv_tape_gradient(once, y, 1, &v, &g));
  CHECK(!g);
  OK(tv_tape_end(once));
  tv_tape *const often = tape_of(true, TV_MUTATION_SNAPSHOT);
  y = tv_sum(tv_square(tv_read(v)), TV_ALL_AXES);
  for (int k = 0; k < 3; k++) {
    OK(tv_tape_gradient(often, y, 1, &v, &g));
    HOLDS(g, 2, 4, 6);
  }
  OK(tv_tape_end(often));
  tv_variable_release(v);
}

static void *use_tape(void *user) {
  tv_tape *const tape = user;
  tv_scope scope;
  tv_tensor *g = NULL;
  tv_scope_begin(&scope);
  tv_tensor *const x = tv_ones(TV_F32, TV_SHAPE(1));
  const bool is_refused = tv_tape_watch(tape, x) == TV_ETAPE && tv_tape_end(tape) == TV_ETAPE &&
                          tv_tape_gradient_of(tape, x, 1, &x, &g) == TV_ETAPE;
  tv_scope_end(&scope, NULL);
  return (void *)(intptr_t)is_refused;
}

TEST(another_thread_cannot_use_it) {
  pthread_t thread;
  void *is_refused = NULL;
  tv_tape *const tape = tv_tape_begin(NULL);
  CHECK(!pthread_create(&thread, NULL, use_tape, tape));
  CHECK(!pthread_join(thread, &is_refused));
  CHECK(is_refused);
  OK(tv_tape_end(tape));
}

TEST(wrong_tapes_are_named) {
  tv_tensor *g;
  tv_variable *const v = three();
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const y = tv_read(v);
  OK(tv_tape_end(tape));
  FAILS_STATUS(TV_ETAPE, "tape_end: this tape is not open on this thread", tv_tape_end(tape));
  FAILS_STATUS(TV_ETAPE, "tape_gradient: this tape is not open on this thread",
               tv_tape_gradient(tape, y, 1, &v, &g));
  FAILS_STATUS(TV_EVALUE, "tape_watch: tape is NULL", tv_tape_watch(NULL, y));
  FAILS_STATUS(TV_ETAPE, "tape_resume: recording is not paused", tv_tape_resume());
  tv_tape_options o = TV_TAPE_OPTIONS;
  o.size = 0;
  CHECK(!tv_tape_begin(&o));
  EQUAL(tv_error(), TV_EVALUE);
  tv_error_clear();
  OK(tv_tape_end(NULL));
  tv_variable_release(v);
}

TEST(scope_ends_its_tapes) {
  tv_scope scope;
  tv_variable *const v = three();
  tv_scope_begin(&scope);
  tv_tape_begin(NULL);
  tv_tape_begin(NULL);
  tv_square(tv_read(v));
  OK(tv_scope_end(&scope, NULL)); /* the case demands that no handle is left */
  tv_variable_release(v);
}

TEST(nested_tapes_both_see) {
  tv_variable *const v = three();
  tv_tensor *inner_g, *outer_g;
  tv_tape *const outer = tv_tape_begin(NULL), *const inner = tv_tape_begin(NULL);
  tv_tensor *const y = tv_sum(tv_square(tv_read(v)), TV_ALL_AXES);
  OK(tv_tape_end(outer)); /* ending one leaves the other */
  OK(tv_tape_gradient(inner, y, 1, &v, &inner_g));
  HOLDS(inner_g, 2, 4, 6);
  OK(tv_tape_end(inner));
  tv_tape *const again = tv_tape_begin(NULL);
  tv_tape *const within = tv_tape_begin(NULL);
  tv_tensor *const z = tv_sum(tv_square(tv_read(v)), TV_ALL_AXES);
  OK(tv_tape_end(within));
  OK(tv_tape_gradient(again, z, 1, &v, &outer_g));
  HOLDS(outer_g, 2, 4, 6);
  tv_variable_release(v);
}

TEST(watch_and_stop_gradient) {
  tv_tensor *const x = tv_arange(TV_F64, 1, 4, 1), *g;
  tv_tape *const tape = tape_of(true, TV_MUTATION_SNAPSHOT);
  OK(tv_tape_watch(tape, x));
  FAILS_STATUS(TV_EDTYPE, "tape_watch: int64 carries no gradient",
               tv_tape_watch(tape, tv_arange_int(TV_I64, 0, 3, 1)));
  tv_tensor *const y = tv_multiply(x, tv_stop_gradient(x));
  OK(tv_tape_gradient_of(tape, y, 1, &x, &g));
  HOLDS(g, 1, 2, 3);
  FAILS(TV_EVALUE, "stop_gradient: x is NULL", tv_stop_gradient(NULL));
}

TEST(paused_recording_sees_nothing) {
  tv_variable *const v = three();
  tv_tensor *g;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const x = tv_read(v);
  OK(tv_tape_pause());
  tv_tensor *const y = tv_square(x);
  OK(tv_tape_resume());
  CHECK(!tv_tape_depends(tape, y, v));
  CHECK(tv_tape_depends(tape, x, v));
  OK(tv_tape_gradient(tape, y, 1, &v, &g));
  HOLDS(g, 0, 0, 0);
  tv_variable_release(v);
}

TEST(untrainable_and_integer_variables_are_not_watched) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.trainable = false;
  tv_variable *const v = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(2)), &o);
  tv_variable *const n = tv_variable_new(tv_ones(TV_I64, TV_SHAPE(2)), NULL);
  tv_variable *const both[] = {v, n};
  tv_tensor *g[2];
  tv_tape *const tape = tv_tape_begin(NULL);
  OK(tv_tape_gradient(tape, tv_multiply(tv_read(v), tv_read(n)), 2, both, g));
  HOLDS(g[0], 0, 0);
  HOLDS(g[1], 0, 0);
  EQUAL(tv_tensor_dtype(g[1]), TV_I64);
  tv_variable_release(v);
  tv_variable_release(n);
}

/* Only what a gradient reads is kept: exp its result, multiply what the other input needs, add
 * nothing. */
TEST(keeps_only_what_gradients_read) {
  enum { N = 1 << 16, BYTES = N * 8 };
  tv_variable *const v = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(N)), NULL);
  static const struct {
    tv_tensor *(*op)(tv_tensor *, tv_tensor *);
    int64_t blocks; /* kept beside the snapshot, which shares the Variable's bytes */
  } cases[] = {{tv_add, 0}, {tv_subtract, 0}, {tv_multiply, 1}};
  for (int k = 0; k < 3; k++) {
    tv_scope outer, inner;
    tv_scope_begin(&outer);
    tv_tape_begin(NULL);
    const int64_t before = cpu_bytes();
    tv_scope_begin(&inner);
    tv_tensor *const other = tv_ones(TV_F64, TV_SHAPE(N));
    cases[k].op(tv_read(v), other);
    OK(tv_scope_end(&inner, NULL));
    EQUAL(cpu_bytes() - before, cases[k].blocks * BYTES);
    tv_scope_begin(&inner);
    tv_tensor *const e = tv_exp(tv_read(v));
    OK(tv_evaluate(1, &e));
    OK(tv_scope_end(&inner, NULL));
    EQUAL(cpu_bytes() - before, (cases[k].blocks + 1) * BYTES);
    OK(tv_scope_end(&outer, NULL));
  }
  tv_variable_release(v);
}

TEST(gradient_lets_go_of_values) {
  tv_variable *const v = three();
  tv_scope pass;
  tv_tensor *g;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_scope_begin(&pass);
  OK(tv_tape_gradient(tape, tv_square(tv_read(v)), 1, &v, &g));
  tv_scope_keep(g);
  OK(tv_scope_end(&pass, NULL));
  tv_memory_stats before, after;
  tv_device_memory(TV_CPU, &before);
  OK(tv_variable_assign_sub(v, g)); /* nobody holds the bytes: in place, though the tape is open */
  tv_device_memory(TV_CPU, &after);
  EQUAL(after.reserved, before.reserved);
  HOLDS(tv_read(v), -1, -2, -3);
  tv_variable_release(v);
}

/* A million ops, forward, backward and given back, in a thread with a stack of 64 KiB. Sanitizers
 * need larger frames, and are slower. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { LENGTH = 50000, STACK = 8 << 20 };
#else
enum { LENGTH = 1000000, STACK = 64 << 10 };
#endif

static void *long_chain(void *result) {
  tv_scope scope, step;
  tv_scope_begin(&scope);
  tv_variable *const v = tv_variable_new(tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(1)), NULL);
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *y = tv_read(v), *g = NULL;
  for (int k = 0; k < LENGTH && y; k++) {
    tv_scope_begin(&step);
    y = tv_add(y, tv_multiply(tv_read(v), tv_scalar(1. / LENGTH)));
    tv_scope_end(&step, &y);
  }
  tv_tape_gradient(tape, y, 1, &v, &g);
  tv_item_f64(g, result);
  tv_tape_end(tape);
  tv_variable_release(v);
  return (void *)(intptr_t)tv_scope_end(&scope, NULL);
}

TEST(a_million_ops_in_a_small_stack) {
  pthread_attr_t attributes;
  pthread_t thread;
  double g = 0;
  void *status;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK);
  EQUAL(pthread_create(&thread, &attributes, long_chain, &g), 0);
  pthread_join(thread, &status);
  pthread_attr_destroy(&attributes);
  EQUAL((intptr_t)status, TV_OK);
  CHECK(g > 2 - 1e-9 && g < 2 + 1e-9);
}

/* Until the scope ends, however it does; pauses beside it are counted by themselves. */
TEST(no_grad_ends_with_its_scope) {
  tv_variable *const v = three();
  tv_scope inner, innermost;
  tv_tensor *g;
  tv_tape *const tape = tape_of(true, TV_MUTATION_SNAPSHOT);
  OK(tv_scope_begin(&inner));
  OK(tv_scope_begin(&innermost));
  OK(tv_no_grad());
  OK(tv_no_grad());
  tv_tensor *hidden = tv_square(tv_read(v));
  FAILS_STATUS(TV_ETAPE,
               "tape_resume: recording is not paused but by no_grad, until its scope ends",
               tv_tape_resume());
  OK(tv_tape_pause());
  OK(tv_scope_end(&innermost, &hidden));
  OK(tv_tape_resume());
  tv_tensor *const seen = tv_square(tv_read(v));
  OK(tv_tape_gradient(tape, tv_add(seen, hidden), 1, &v, &g));
  HOLDS(g, 2, 4, 6);
  OK(tv_scope_begin(&innermost));
  OK(tv_no_grad());
  EQUAL(tv_scope_end(&inner, NULL), TV_ESCOPE); /* ends both */
  tv_error_clear();
  OK(tv_tape_gradient(tape, tv_square(tv_read(v)), 1, &v, &g));
  HOLDS(g, 2, 4, 6);
  OK(tv_tape_end(tape));
  tv_variable_release(v);
}

TEST(failed_allocation_leaves_no_handle) {
  int points = 0;
  for (int64_t fail = 1;; fail++) {
    tv_scope scope;
    tv_tensor *g = NULL;
    tv_variable *const v = three();
    tvi_memory_fail(fail, false);
    if (!tv_scope_begin(&scope)) {
      tv_tape *const tape = tv_tape_begin(NULL);
      tv_tensor *const y = tv_mean(tv_exp(tv_multiply(tv_read(v), tv_read(v))), TV_ALL_AXES);
      tv_tape_gradient(tape, y, 1, &v, &g);
    }
    tvi_memory_fail(0, false);
    const tv_status status = tv_error();
    CHECK(status ? status == TV_ENOMEM && !g : g != NULL);
    tv_scope_end(&scope, NULL);
    tv_error_clear();
    EQUAL(tv_variable_version(v), 0);
    tv_variable_release(v);
    points++;
    if (!status) break;
  }
  CHECK(points > 20);
}

TEST_MAIN("tape", CASE(one_gradient_unless_persistent), CASE(wrong_tapes_are_named),
          CASE(another_thread_cannot_use_it), CASE(scope_ends_its_tapes),
          CASE(nested_tapes_both_see), CASE(watch_and_stop_gradient),
          CASE(paused_recording_sees_nothing),
          CASE(untrainable_and_integer_variables_are_not_watched),
          CASE(keeps_only_what_gradients_read), CASE(gradient_lets_go_of_values),
          CASE(a_million_ops_in_a_small_stack), CASE(no_grad_ends_with_its_scope),
          CASE(failed_allocation_leaves_no_handle))
