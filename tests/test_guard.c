/* SPDX-License-Identifier: MIT
 * Guards: every way to read a borrow tells when its owner wrote to it, and only then. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "memory.h"

static int releases;
static void released(void *user) { (void)user, releases++; }

static tv_tensor *borrow(void *data, tv_guard guard, tv_dtype dtype, int rank, const int64_t *shape,
                         const int64_t *steps) {
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.borrow = true;
  o.guard = guard;
  o.name = "frame";
  o.steps = steps;
  o.release = released;
  tv_tensor *const x = tv_tensor_from_memory(data, dtype, rank, shape, &o);
  if (!x && tv_error() == TV_EUNSUPPORTED) {
    tv_error_clear();
    SKIP("this build is without xxHash");
  }
  return x;
}

enum { N = 4096 };
static double owned[N];
static void fill(void) {
  for (int i = 0; i < N; i++) owned[i] = i;
}
/* Of all 32768 bytes, fully guarded. */
static tv_tensor *full(void) {
  fill();
  return borrow(owned, TV_GUARD_FULL, TV_F64, TV_SHAPE(N), NULL);
}
#define CHANGED(who)                                                                      \
  who ": 'frame' of 32768 bytes was changed outside the library, first in bytes [28672, " \
      "32768): tell by tv_tensor_mark_mutated"

TEST(ops_tell_once_the_bytes_changed) {
  tv_tensor *const x = full();
  double sum = 0;
  OK(tv_item_f64(tv_sum(x, TV_ALL_AXES), &sum));
  CHECK(sum == (double)N * (N - 1) / 2);
  owned[N - 1] = -1;
  FAILS(TV_EMUTATED, CHANGED("sum"), tv_sum(x, TV_ALL_AXES));
  FAILS(TV_EMUTATED, CHANGED("add"), tv_add(x, tv_scalar(1)));
  FAILS(TV_EMUTATED, CHANGED("astype"), tv_astype(x, TV_F32));
  FAILS(TV_EMUTATED, CHANGED("take"), tv_take(x, tv_scalar_int(0), 0));
  FAILS(TV_EMUTATED, CHANGED("matmul"), tv_matmul(x, x));
  FAILS(TV_EMUTATED, CHANGED("concat"), tv_concat(2, (tv_tensor *[]){x, x}, 0));
  FAILS(TV_EMUTATED, CHANGED("multiply"), tv_multiply(tv_slice(x, ":4"), tv_scalar(2)));
  owned[N - 1] = N - 1; /* as it was */
  OK(tv_item_f64(tv_sum(x, TV_ALL_AXES), &sum));
}

/* More borrows than a thread keeps in mind. */
TEST(ops_of_many_borrows_tell) {
  enum { MANY = 20 };
  static double each[MANY][2];
  tv_tensor *x[MANY];
  for (int which = 0; which < MANY; which += 3) {
    for (int k = 0; k < MANY; k++) {
      each[k][0] = k;
      x[k] = borrow(each[k], TV_GUARD_FULL, TV_F64, TV_SHAPE(2), NULL);
    }
    CHECK(tv_concat(MANY, x, 0));
    each[which][1]++;
    CHECK(!tv_concat(MANY, x, 0));
    CHECK(tv_error() == TV_EMUTATED);
    tv_error_clear();
    CHECK(tv_negative(x[(which + 1) % MANY]));
  }
}

TEST(host_access_tells) {
  tv_tensor *const x = full();
  char text[200];
  double *const out = malloc(sizeof owned), one;
  int64_t step;
  CHECK(out && tv_tensor_data(x) == owned);
  owned[N - 1] = -1;
  FAILS(TV_EMUTATED, CHANGED("tensor_data"), tv_tensor_data(x));
  FAILS(TV_EMUTATED, CHANGED("tensor_data_strided"), tv_tensor_data_strided(x, &step));
  FAILS_STATUS(TV_EMUTATED, CHANGED("tensor_copy_out"), tv_tensor_copy_out(x, out, sizeof owned));
  FAILS_STATUS(TV_EMUTATED, CHANGED("item_f64"), tv_item_f64(tv_slice(x, "3"), &one));
  EQUAL(tv_format(x, TV_STR, text, sizeof text), -1);
  CHECK(tv_error() == TV_EMUTATED);
  tv_error_clear();
  remove("guard.npy");
  EQUAL(tv_npy_save("guard.npy", x, NULL), TV_EMUTATED);
  CHECK(strstr(tv_error_text(), "'frame' of 32768 bytes was changed outside the library"));
  tv_error_clear();
  CHECK(!fopen("guard.npy", "r"));
  free(out);
}

TEST(writes_take_nothing_that_changed) {
  tv_tensor *const x = full();
  tv_tensor *const zeros = tv_zeros(TV_F64, TV_SHAPE(N));
  tv_variable *const v = tv_variable_new(zeros, NULL);
  OK(tv_variable_assign_add(v, x));
  owned[N - 1] = -1;
  FAILS_STATUS(TV_EMUTATED, CHANGED("variable_assign"), tv_variable_assign(v, x));
  FAILS_STATUS(TV_EMUTATED, CHANGED("variable_assign_add"), tv_variable_assign_add(v, x));
  FAILS_STATUS(TV_EMUTATED, CHANGED("variable_assign_slice"), tv_variable_assign_slice(v, ":", x));
  FAILS_STATUS(TV_EMUTATED, CHANGED("variable_assign_where"),
               tv_variable_assign_where(v, tv_ones(TV_BOOL, TV_SHAPE(N)), x));
  FAILS_STATUS(TV_EMUTATED, CHANGED("variable_scatter_add"),
               tv_variable_scatter_add(v, tv_arange_int(TV_I64, 0, N, 1), x));
  tv_optimizer *const sgd = tv_sgd_new(NULL);
  FAILS_STATUS(TV_EMUTATED, CHANGED("optimizer_step"), tv_optimizer_step(sgd, 1, &v, &x));
  FAILS(TV_EMUTATED, CHANGED("variable_new"), tv_variable_new(x, NULL));
  EQUAL(tv_variable_version(v), 1);
  double last;
  OK(tv_item_f64(tv_slice(tv_read(v), "-1"), &last));
  CHECK(last == N - 1);
  tv_optimizer_release(sgd);
  tv_variable_release(v);
}

/* Row 5 of the measured holes: y = sum v^2, and v written by its owner before the gradient. */
TEST(gradients_tell) {
  for (int marked = 0; marked < 2; marked++) {
    tv_tensor *const x = full(), *g = NULL;
    tv_tape *const tape = tv_tape_begin(NULL);
    OK(tv_tape_watch(tape, x));
    tv_tensor *const y = tv_sum(tv_square(x), TV_ALL_AXES);
    owned[N - 1] = 10;
    if (marked) OK(tv_tensor_mark_mutated(x));
    const tv_status status = tv_tape_gradient_of(tape, y, 1, (tv_tensor *[]){x}, &g);
    EQUAL(status, TV_EMUTATED);
    SAME_TEXT(tv_error_text(),
              marked
                  ? "tape_gradient: square needs 'frame' as it was read, and its owner marked it "
                    "as mutated since"
                  : CHANGED("multiply"));
    CHECK(!g);
    tv_error_clear();
    OK(tv_tape_end(tape));
  }
  /* A gradient that does not read it is as right as before; and a mark says that it is right now.
   */
  tv_tensor *const x = full(), *g;
  tv_tape *const tape = tv_tape_begin(NULL);
  OK(tv_tape_watch(tape, x));
  tv_tensor *const y = tv_multiply(tv_sum(x, TV_ALL_AXES), tv_scalar(3));
  owned[N - 1] = 10;
  OK(tv_tensor_mark_mutated(x));
  OK(tv_tape_gradient_of(tape, y, 1, (tv_tensor *[]){x}, &g));
  double last, three;
  OK(tv_item_f64(tv_slice(x, "-1"), &last));
  OK(tv_item_f64(tv_slice(g, "-1"), &three));
  CHECK(last == 10 && three == 3);
  OK(tv_tape_end(tape));
}

/* Without a guard a mark still stops a gradient that needs the old bytes. */
TEST(marks_work_without_a_guard) {
  double three[] = {1, 2, 3};
  tv_tensor *const x = borrow(three, TV_GUARD_NONE, TV_F64, TV_SHAPE(3), NULL), *g;
  tv_tape *const tape = tv_tape_begin(NULL);
  OK(tv_tape_watch(tape, x));
  tv_tensor *const y = tv_square(x);
  three[0] = 7;
  OK(tv_tensor_mark_mutated(x));
  FAILS_STATUS(TV_EMUTATED,
               "tape_gradient: square needs 'frame' as it was read, and its owner marked it as "
               "mutated since",
               tv_tape_gradient_of(tape, y, 1, (tv_tensor *[]){x}, &g));
  OK(tv_tape_end(tape));
  HOLDS(x, 7, 2, 3);
  FAILS_STATUS(TV_EVALUE, "tensor_mark_mutated: x is NULL", tv_tensor_mark_mutated(NULL));
  FAILS_STATUS(TV_EVALUE, "tensor_mark_mutated: x does not show borrowed memory",
               tv_tensor_mark_mutated(tv_ones(TV_F32, TV_SHAPE(2))));
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.borrow = true;
  o.guard = (tv_guard)9;
  FAILS(TV_EVALUE, "tensor_from_memory: 9 is no guard",
        tv_tensor_from_memory(three, TV_F64, TV_SHAPE(3), &o));
}

/* Two borrows of one buffer: each sees the write. */
TEST(two_borrows_of_one_buffer_both_tell) {
  tv_tensor *const x = full(), *const y = borrow(owned, TV_GUARD_FULL, TV_F64, TV_SHAPE(N), NULL);
  owned[N - 1] = -1;
  FAILS(TV_EMUTATED, CHANGED("negative"), tv_negative(x));
  FAILS(TV_EMUTATED, CHANGED("negative"), tv_negative(y));
  OK(tv_tensor_mark_mutated(x));
  CHECK(tv_negative(x));
  FAILS(TV_EMUTATED, CHANGED("negative"), tv_negative(y));
}

/* 4,033 changed bytes cannot escape, wherever they are; up to 4 KiB nothing does. */
TEST(sampled_guards_see_long_runs) {
  enum { BYTES = 40000, RUN = 4033 };
  uint8_t *const bytes = calloc(BYTES, 1);
  CHECK(bytes);
  for (int at = 0; at + RUN <= BYTES; at += 997) {
    tv_tensor *const x = borrow(bytes, TV_GUARD_SAMPLED, TV_U8, TV_SHAPE(BYTES), NULL);
    CHECK(tv_square(x));
    memset(bytes + at, 1, RUN);
    EQUAL(tv_square(x) == NULL, true);
    CHECK(tv_error() == TV_EMUTATED);
    tv_error_clear();
    memset(bytes + at, 0, RUN);
  }
  /* One changed byte in 64 places of 64: seen in one of them. */
  int seen = 0;
  tv_tensor *const x = borrow(bytes, TV_GUARD_SAMPLED, TV_U8, TV_SHAPE(BYTES), NULL);
  for (int at = 4096; at < 8192; at += 64) {
    bytes[at] = 1;
    seen += !tv_square(x);
    tv_error_clear();
    bytes[at] = 0;
  }
  EQUAL(seen, 1);
  tv_tensor *const small = borrow(bytes, TV_GUARD_SAMPLED, TV_U8, TV_SHAPE(4096), NULL);
  for (int at = 0; at < 4096; at += 511) {
    bytes[at] = 1;
    FAILS(TV_EMUTATED,
          "square: 'frame' of 4096 bytes was changed outside the library, first in bytes "
          "[0, 4096): tell by tv_tensor_mark_mutated",
          tv_square(small));
    bytes[at] = 0;
  }
  free(bytes);
}

/* A column of somebody else's matrix: what lies between its elements is not watched. */
TEST(gaps_are_not_watched) {
  static float matrix[2000][3];
  memset(matrix, 0, sizeof matrix);
  const int64_t steps[] = {12};
  tv_tensor *const x = borrow(&matrix[0][1], TV_GUARD_FULL, TV_F32, TV_SHAPE(2000), steps);
  for (int i = 0; i < 2000; i++) matrix[i][0] = matrix[i][2] = 5;
  CHECK(tv_exp(x));
  matrix[1500][1] = 1;
  FAILS(TV_EMUTATED,
        "exp: 'frame' of 8000 bytes was changed outside the library, first in bytes [4096, 8000): "
        "tell by tv_tensor_mark_mutated",
        tv_exp(x));
}

/* What tv_tensor_data packs of a view follows a mark, where it was. */
TEST(packed_views_follow_marks) {
  for (int guard = TV_GUARD_NONE; guard <= TV_GUARD_FULL; guard++) {
    double six[] = {0, 1, 2, 3, 4, 5};
    tv_tensor *const x = borrow(six, (tv_guard)guard, TV_F64, TV_SHAPE(6), NULL);
    tv_tensor *const view = tv_slice(x, "::2");
    const double *const packed = tv_tensor_data(view);
    CHECK(packed && packed[1] == 2);
    six[2] = 9;
    OK(tv_tensor_mark_mutated(view));
    CHECK(tv_tensor_data(view) == packed && packed[1] == 9);
    CHECK(tv_tensor_data(view) == packed && packed[2] == 4);
  }
}

/* Indices are looked at, and then used: what is used of guarded ones is what was looked at. */
TEST(indices_are_as_they_were_borrowed) {
  int64_t at[] = {1, 0};
  tv_tensor *const x = tv_arange(TV_F64, 5, 8, 1);
  tv_tensor *const indices = borrow(at, TV_GUARD_FULL, TV_I64, TV_SHAPE(2), NULL);
  HOLDS(tv_take(x, indices, 0), 6, 5);
  at[1] = 1000;
  CHECK(!tv_take(x, indices, 0));
  CHECK(tv_error() == TV_EMUTATED);
  tv_error_clear();
  OK(tv_tensor_mark_mutated(indices));
  FAILS(TV_EINDEX, "take: index 1000 at position 1 is out of range of 3", tv_take(x, indices, 0));
}

/* Rows are added up when somebody asks; what they are made of is what it was at the call. */
TEST(rows_of_a_borrow_are_those_of_the_call) {
  double two[] = {1, 2};
  const int64_t at[] = {2, 0};
  tv_tensor *const indices = tv_tensor_from_memory(at, TV_I64, TV_SHAPE(2), NULL);
  tv_tensor *const values = borrow(two, TV_GUARD_NONE, TV_F64, TV_SHAPE(2), NULL);
  tv_tensor *const x = tv_scatter_rows(indices, values, 3);
  two[0] = two[1] = 9;
  HOLDS(x, 2, 0, 1);
  tv_tensor *const guarded = borrow(two, TV_GUARD_FULL, TV_F64, TV_SHAPE(2), NULL);
  two[1] = 3;
  CHECK(!tv_scatter_rows(indices, guarded, 3));
  CHECK(tv_error() == TV_EMUTATED);
  tv_error_clear();
}

TEST(release_runs_once_after_the_last_view) {
  CHECK(full()); /* or this case ends here, with no scope open */
  releases = 0;
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_tensor *const view = tv_retain(tv_slice(full(), "::2"));
  CHECK(tv_exp(view));
  OK(tv_scope_end(&scope, NULL));
  EQUAL(releases, 0);
  tv_release(view);
  EQUAL(releases, 1);
  for (int fail = 1;; fail++) { /* and where there is no memory */
    releases = 0;
    OK(tv_scope_begin(&scope));
    fill();
    tv_memory_options o = TV_MEMORY_OPTIONS;
    o.borrow = true;
    o.guard = TV_GUARD_FULL;
    o.release = released;
    tvi_memory_fail(fail, false);
    tv_tensor *const x = tv_tensor_from_memory(owned, TV_F64, TV_SHAPE(N), &o);
    tvi_memory_fail(0, false);
    CHECK(x || tv_error() == TV_ENOMEM);
    tv_error_clear();
    OK(tv_scope_end(&scope, NULL));
    EQUAL(releases, 1);
    if (x) break;
  }
}

TEST_MAIN("guard", CASE(ops_tell_once_the_bytes_changed), CASE(ops_of_many_borrows_tell),
          CASE(host_access_tells), CASE(writes_take_nothing_that_changed), CASE(gradients_tell),
          CASE(marks_work_without_a_guard), CASE(two_borrows_of_one_buffer_both_tell),
          CASE(sampled_guards_see_long_runs), CASE(gaps_are_not_watched),
          CASE(packed_views_follow_marks), CASE(indices_are_as_they_were_borrowed),
          CASE(rows_of_a_borrow_are_those_of_the_call), CASE(release_runs_once_after_the_last_view))
