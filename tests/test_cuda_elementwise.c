/* SPDX-License-Identifier: MIT
 * Elementwise kernels on a CUDA device: every row of the op table, dtype and layout, against the
 * CPU. Functions of real numbers have the same bits as on a CPU with an fma. Functions of complex
 * numbers are our own on a GPU alone; so is pow of f64 libm's, which is the same under the fake
 * driver. */
#include <stdio.h>

#include "cuda_kin.h"
#include "elementwise.h" /* ops.def has a kind of row of the name TEST: before check.h */

#include "cuda_layouts.h"

static bool is_real_driver(void) {
  fakecuda_counts counts;
  return !fake_counts(&counts);
}

/* Units in the last place that a row may be off. */
static double allowed(int op, tv_dtype dtype) {
  const tvi_op_row *const row = &tvi_op_info[op];
  const bool is_function = row->missing == TVI_MISSING_SMALLEST;
  if (dtype >= TV_C64 && op == TVI_OP_pow) return 64; /* of an exponential of a rounded number */
  if (dtype >= TV_C64 && (is_function || is_real_driver())) return 8;
  if (dtype < TV_F16) return 0;
  if (op == TVI_OP_pow && dtype == TV_F64) return is_real_driver() ? 4 : 0;
  return (is_function || op == TVI_OP_pow) && !cuda_has_kin() ? 4 : 0;
}

/* pow of integers refuses negative exponents before it comes to a backend; of complex numbers,
 * where it overflows, its direction is that of a rounded angle. */
static bool is_wild(int op, tv_dtype dtype) {
  return op != TVI_OP_pow || (dtype >= TV_F16 && dtype < TV_C64);
}

/* One row over inputs in these layouts. */
static void once(int op, tv_dtype dtype, const int *layouts, int64_t rows, int64_t columns) {
  const tvi_op_row *const row = &tvi_op_info[op];
  tv_scope scope;
  tv_tensor *near[3], *away[3];
  char what[100];
  tv_scope_begin(&scope);
  for (int k = 0; k < row->n_inputs && k < TV_MAX_INPUTS; k++) {
    const tv_dtype of = row->inputs[k] == 'c' ? TV_BOOL : dtype;
    const cuda_pair x = cuda_random(of, layouts[k], rows, columns, is_wild(op, dtype));
    near[k] = x.near;
    away[k] = x.away;
  }
  snprintf(what, sizeof what, "%s of dtype %d, [%lld, %lld], layouts %d %d %d", row->name,
           (int)dtype, (long long)rows, (long long)columns, layouts[0], layouts[1], layouts[2]);
  cuda_compare(what, tvi_elementwise((tvi_op)op, away), tvi_elementwise((tvi_op)op, near),
               allowed(op, dtype));
  OK(tv_scope_end(&scope, NULL));
}

static void layouts_of_row(intptr_t op) {
  for (tv_dtype dtype = TV_BOOL; dtype < TV_DTYPE_COUNT; dtype++) {
    if (!(tvi_op_info[op].loops >> dtype & 1)) continue;
    for (int layout = 0; layout < CUDA_LAYOUTS; layout++) {
      const int next = (layout + 1) % CUDA_LAYOUTS, other = (layout + 3) % CUDA_LAYOUTS;
      once((int)op, dtype, (const int[]){layout, layout, layout}, 9, 133);
      if (tvi_op_info[op].n_inputs < 2) continue;
      once((int)op, dtype, (const int[]){layout, next, other}, 6, 128);
      once((int)op, dtype, (const int[]){CUDA_WHOLE, layout, next}, 7, 65);
      once((int)op, dtype, (const int[]){layout, CUDA_WHOLE, CUDA_ONE_ELEMENT}, 5, 3);
    }
  }
}

static void sizes_of_row(intptr_t op) {
  static const int64_t sizes[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 255, 4095, 4097, 8197};
  static const int whole[3] = {CUDA_WHOLE, CUDA_WHOLE, CUDA_WHOLE};
  static const int unaligned[3] = {CUDA_UNALIGNED, CUDA_WHOLE, CUDA_UNALIGNED};
  for (tv_dtype dtype = TV_BOOL; dtype < TV_DTYPE_COUNT; dtype++) {
    if (!(tvi_op_info[op].loops >> dtype & 1)) continue;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
      once((int)op, dtype, whole, 1, sizes[k]);
      once((int)op, dtype, unaligned, 1, sizes[k]);
    }
  }
}

/* Large enough for the copies that turn. */
TEST(inputs_walked_across_are_turned) {
  for (int layout = 0; layout < CUDA_LAYOUTS; layout++) {
    const int layouts[3] = {CUDA_TRANSPOSED, layout, CUDA_TRANSPOSED};
    once(TVI_OP_add, TV_F32, layouts, 201, 170);
    once(TVI_OP_multiply, TV_U8, layouts, 170, 201);
    once(TVI_OP_subtract, TV_C128, layouts, 190, 180);
    once(TVI_OP_less, TV_F64, layouts, 33, 1000);
    once(TVI_OP_maximum, TV_BF16, layouts, 300, 110);
    once(TVI_OP_where, TV_I64, layouts, 1000, 40);
    once(TVI_OP_clip, TV_F32, layouts, 128, 256);
  }
}

TEST(weak_scalars_travel_in_the_job) {
  for (int op = 0; op < TVI_OP_COUNT; op++)
    for (tv_dtype dtype = TV_BOOL; dtype < TV_DTYPE_COUNT; dtype++) {
      const int n = tvi_op_info[op].n_inputs;
      if (n == 1 || !(tvi_op_info[op].loops >> dtype & 1)) continue;
      for (int layout = 0; layout < CUDA_LAYOUTS; layout++)
        for (int which = 0; which < n; which++) {
          if (which == 0 && op == TVI_OP_where) continue;
          tv_scope scope;
          tv_tensor *near[3], *away[3];
          tv_scope_begin(&scope);
          for (int k = 0; k < n; k++) {
            const tv_dtype of = tvi_op_info[op].inputs[k] == 'c' ? TV_BOOL : dtype;
            const cuda_pair x = cuda_random(of, layout, 5, 67, false);
            near[k] =
                k == which ? (dtype < TV_F16 ? tv_scalar_int(1) : tv_scalar_real(1.5)) : x.near;
            away[k] = k == which ? near[k] : x.away;
          }
          cuda_compare(tvi_op_info[op].name, tvi_elementwise((tvi_op)op, away),
                       tvi_elementwise((tvi_op)op, near), allowed(op, dtype));
          OK(tv_scope_end(&scope, NULL));
        }
    }
}

TEST(the_result_may_be_an_input) {
  for (int layout = 0; layout <= CUDA_EVERY_SECOND; layout++) {
    const cuda_pair x = cuda_random(TV_F32, layout, 203, 177, true);
    const cuda_pair y = cuda_random(TV_F32, CUDA_WHOLE, 203, 177, true);
    OK(tvi_elementwise_into(TVI_OP_subtract, (tv_tensor *[]){x.near, y.near}, x.near));
    OK(tvi_elementwise_into(TVI_OP_subtract, (tv_tensor *[]){x.away, y.away}, x.away));
    cuda_compare("subtract in place", x.away, x.near, 0);
    OK(tvi_elementwise_into(TVI_OP_multiply, (tv_tensor *[]){x.near, x.near}, x.near));
    OK(tvi_elementwise_into(TVI_OP_multiply, (tv_tensor *[]){x.away, x.away}, x.away));
    cuda_compare("multiply in place", x.away, x.near, 0);
  }
}

/* By multiplications alone, so to the bit. */
TEST(complex_numbers_have_whole_powers) {
  static const double exponents[] = {-100, -3, -1, 0, 1, 2, 7, 64, 100};
  for (tv_dtype dtype = TV_C64; dtype <= TV_C128; dtype++) {
    const cuda_pair x = cuda_random(dtype, CUDA_WHOLE, 7, 100, true);
    for (size_t k = 0; k < sizeof exponents / sizeof *exponents; k++)
      cuda_compare("pow", tv_pow(x.away, tv_scalar_real(exponents[k])),
                   tv_pow(x.near, tv_scalar_real(exponents[k])), 0);
  }
}

/* Axes that neither merge nor are rows. */
TEST(many_axes_are_walked) {
  enum { N = 12 };
  int64_t shape[N], axes[N];
  for (int k = 0; k < N; k++) shape[k] = k % 3 ? 2 : 3, axes[k] = k * 5 % N;
  const int64_t size = 81 * 256;
  const cuda_pair flat = cuda_random(TV_I32, CUDA_WHOLE, 1, size, true);
  tv_tensor *of[2];
  for (int k = 0; k < 2; k++) {
    tv_tensor *const x = tv_reshape(k ? flat.away : flat.near, N, shape);
    of[k] = tv_add(tv_permute_dims(x, N, axes), tv_flip(tv_permute_dims(x, N, axes), TV_AXES(3)));
  }
  cuda_compare("add", of[1], of[0], 0);
  cuda_compare("0-d",
               tv_add(tv_reshape(tv_slice(flat.away, ":, :1"), 0, NULL),
                      tv_reshape(tv_slice(flat.away, ":, 1:2"), 0, NULL)),
               tv_add(tv_reshape(tv_slice(flat.near, ":, :1"), 0, NULL),
                      tv_reshape(tv_slice(flat.near, ":, 1:2"), 0, NULL)),
               0);
}

int main(int argc, char **argv) {
  static const check_case all[] = {
      CASE(inputs_walked_across_are_turned),
      CASE(weak_scalars_travel_in_the_job),
      CASE(the_result_may_be_an_input),
      CASE(complex_numbers_have_whole_powers),
      CASE(many_axes_are_walked),
#undef TEST /* a row macro too */
#define EACH(name, ...) \
  ROW(#name, layouts_of_row, TVI_OP_##name), ROW(#name "_sizes", sizes_of_row, TVI_OP_##name),
#include "ops.def"
  };
  return check_main("cuda_elementwise", (int)(sizeof all / sizeof *all), all, argc, argv);
}
