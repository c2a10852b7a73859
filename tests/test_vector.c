/* SPDX-License-Identifier: MIT
 * Vectors of several tensors. */
#include <math.h>

#include "check.h"
#include "far.h"
#include "memory.h"
#include "variable/vector.h"

/* (1, -2) in f32 and (3 - 4i) in c128, on another device the second. */
static tvi_vector *some(void) {
  const float two[] = {1, -2};
  tvi_vector *const a = tvi_vector_new("test", 2);
  a->x[0] = tv_retain(OK(tv_tensor_from_memory(two, TV_F32, TV_SHAPE(2), NULL)));
  a->x[1] =
      tv_retain(OK(tv_to(tv_full(TV_C128, TV_SHAPE(1), tv_scalar_complex(3, -4)), far_device())));
  return a;
}

TEST(sums_products_and_sizes) {
  tvi_vector *const a = some(), *const b = tvi_vector_sum("test", a, 2, NULL),
                    *const c = tvi_vector_sum("test", b, -1, a);
  double x, sum;
  HOLDS(b->x[0], 2, -4);
  HOLDS(c->x[0], -1, 2);
  CHECK(tvi_vector_dot(a, b, &x) && x == 2 * (1 + 4 + 25));
  CHECK(tvi_vector_dot(b, c, &x) && x == -2 * (1 + 4 + 25));
  CHECK(tvi_vector_size(a, &x, &sum) && x == 5 && sum == 8);
  tvi_vector_release(tvi_vector_retain(a));
  tvi_vector_release(a);
  tvi_vector_release(b);
  tvi_vector_release(c);
  tvi_vector_release(NULL);
}

TEST(sizes_of_nothing_and_of_nan) {
  tvi_vector *const a = tvi_vector_new("test", 2);
  double x, sum;
  a->x[0] = tv_retain(tv_zeros(TV_F32, TV_SHAPE(0)));
  a->x[1] = tv_retain(tv_full(TV_F64, TV_SHAPE(1), tv_scalar((double)NAN)));
  CHECK(tvi_vector_size(a, &x, &sum) && isnan(x) && isnan(sum));
  tvi_vector_release(a);
}

TEST(without_memory_there_is_none) {
  for (int64_t fail = 1;; fail++) {
    tvi_vector *const a = some();
    double x = 0, sum = 0;
    tvi_memory_fail(fail, false);
    tvi_vector *const b = tvi_vector_sum("test", a, 2, a);
    const bool is_done = b && tvi_vector_dot(a, b, &x) && tvi_vector_size(b, &x, &sum);
    tvi_memory_fail(0, false);
    if (!is_done) EQUAL(tv_error(), TV_ENOMEM);
    tv_error_clear();
    tvi_vector_release(a);
    tvi_vector_release(b);
    if (is_done) break;
  }
}

TEST_MAIN("vector", CASE(sums_products_and_sizes), CASE(sizes_of_nothing_and_of_nan),
          CASE(without_memory_there_is_none))
