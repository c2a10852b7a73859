/* SPDX-License-Identifier: MIT
 * Products on a CUDA device, of every dtype, layout and kind of batch. The stand-in of cuBLASLt
 * adds in order of k, as the CPU's own loops do, so they are compared bit for bit with
 * TV_OPENBLAS=none; a real cuBLASLt within the rounding of the sums. */
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "cuda_device.h"

static tv_tensor *operand(tv_dtype dtype, uint64_t seed, int rank, const int64_t *shape) {
  tv_tensor *const x =
      tv_multiply(tv_random_normal(tv_key_from_seed(seed), TV_F64, rank, shape), tv_scalar(3));
  if (dtype < TV_C64) return tv_astype(x, dtype);
  tv_tensor *const y = tv_random_normal(tv_key_from_seed(seed + 1), TV_F64, rank, shape);
  return tv_astype(tv_add(x, tv_multiply(tv_astype(y, TV_C128), tv_scalar_complex(0, 1))), dtype);
}

static bool is_fake(void) {
  fakecuda_counts counts;
  return fake_counts(&counts);
}

/* far is the product of a and b that lie on the device. */
static void same_product(const char *what, tv_tensor *far, tv_tensor *a, tv_tensor *b) {
  tv_tensor *const want = tv_matmul(a, b), *const got = tv_to(far, TV_CPU);
  if (!want || !got) check_fail(CHECK_HERE, "%s: %s", what, tv_error_text());
  if (is_fake() || tv_tensor_dtype(want) < TV_F16) {
    check_same(CHECK_HERE, what, got, want);
    return;
  }
  const tv_dtype dtype = tv_tensor_dtype(want);
  const double epsilon = dtype == TV_F16                      ? 0x1p-10
                         : dtype == TV_BF16                   ? 0x1p-7
                         : dtype == TV_F32 || dtype == TV_C64 ? 0x1p-17
                                                              : 0x1p-46;
  double worst = 0, scale = 0;
  OK(tv_item_f64(
      tv_max(tv_abs(tv_subtract(tv_astype(got, TV_C128), tv_astype(want, TV_C128))), TV_ALL_AXES),
      &worst));
  OK(tv_item_f64(tv_max(tv_abs(tv_astype(want, TV_C128)), TV_ALL_AXES), &scale));
  if (!(worst <= epsilon * scale))
    check_fail(CHECK_HERE, "%s: off by %g of %g", what, worst, scale);
}

/* The k-th layout of a matrix [rows, columns] that holds the same elements. */
enum { LAYOUTS = 5 };
static tv_tensor *laid_out(tv_tensor *x, int layout) {
  switch (layout) {
    case 1: /* by columns */
      return tv_matrix_transpose(tv_reshape(
          tv_matrix_transpose(x), TV_SHAPE(tv_tensor_shape(x)[1], tv_tensor_shape(x)[0])));
    case 2: /* rows apart */
      return tv_slice(tv_concat(2, (tv_tensor *[]){x, x}, 1),
                      tv_tensor_shape(x)[1] == 6 ? ":, :6" : ":, :5");
    case 3: /* elements apart */
      return tv_slice(tv_stack(2, (tv_tensor *[]){x, x}, -1), "..., 0");
    case 4: /* backwards */
      return tv_flip(tv_flip(x, TV_AXES(0, 1)), TV_AXES(0, 1));
    default:
      return x;
  }
}

static void dtype_case(intptr_t dtype) {
  tv_tensor *const a = operand((tv_dtype)dtype, 1, TV_SHAPE(7, 6));
  tv_tensor *const b = operand((tv_dtype)dtype, 5, TV_SHAPE(6, 5));
  tv_tensor *const far_a = tv_to(a, cuda()), *const far_b = tv_to(b, cuda());
  for (int left = 0; left < LAYOUTS; left++)
    for (int right = 0; right < LAYOUTS; right++)
      same_product(tv_dtype_name((tv_dtype)dtype),
                   tv_matmul(laid_out(far_a, left), laid_out(far_b, right)), a, b);
}

TEST(batches_walk_on_and_broadcast) {
  static const struct {
    int rank_a, rank_b;
    int64_t a[5], b[5];
  } shapes[] = {
      {3, 3, {4, 3, 2}, {4, 2, 5}},
      {3, 2, {4, 3, 2}, {2, 5}},
      {2, 3, {3, 2}, {4, 2, 5}},
      {4, 4, {2, 3, 3, 2}, {2, 3, 2, 4}},
      {4, 4, {2, 1, 3, 2}, {1, 3, 2, 4}},
      {4, 3, {2, 3, 3, 2}, {3, 2, 4}},
      {5, 3, {2, 2, 3, 3, 2}, {1, 2, 4}},
      {1, 1, {7}, {7}},
      {1, 2, {7}, {7, 3}},
      {2, 1, {3, 7}, {7}},
      {3, 1, {2, 3, 7}, {7}},
      {2, 2, {1, 1}, {1, 1}},
      {2, 2, {1, 9}, {9, 1}},
      {2, 2, {9, 1}, {1, 9}},
  };
  for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
    tv_tensor *const a = operand(TV_F32, k, shapes[k].rank_a, shapes[k].a);
    tv_tensor *const b = operand(TV_F32, k + 50, shapes[k].rank_b, shapes[k].b);
    same_product("batch", tv_matmul(tv_to(a, cuda()), tv_to(b, cuda())), a, b);
    tv_tensor *const m = tv_astype(a, TV_I32), *const n = tv_astype(b, TV_I32);
    same_product("batch of integers", tv_matmul(tv_to(m, cuda()), tv_to(n, cuda())), m, n);
  }
}

TEST(batch_axes_may_be_permuted) {
  tv_tensor *const a = operand(TV_F64, 3, TV_SHAPE(3, 4, 2, 5));
  tv_tensor *const b = operand(TV_F64, 4, TV_SHAPE(4, 3, 5, 2));
  tv_tensor *const far = tv_permute_dims(tv_to(a, cuda()), TV_AXES(1, 0, 2, 3));
  same_product("permuted", tv_matmul(far, tv_to(b, cuda())),
               tv_permute_dims(a, TV_AXES(1, 0, 2, 3)), b);
  same_product("a row for each column", /* b's batch axis lies innermost */
               tv_matmul(tv_to(a, cuda()), tv_permute_dims(tv_to(b, cuda()), TV_AXES(1, 0, 2, 3))),
               a, tv_permute_dims(b, TV_AXES(1, 0, 2, 3)));
}

TEST(sizes_around_tiles) {
  static const int64_t sizes[][3] = {
      {64, 64, 64}, {65, 63, 33}, {1, 300, 17}, {129, 1, 70}, {31, 90, 1}};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
    for (int of = 0; of < 3; of++) {
      const tv_dtype dtype = (const tv_dtype[]){TV_F32, TV_BF16, TV_I64}[of];
      tv_tensor *const a = operand(dtype, k, TV_SHAPE(sizes[k][0], sizes[k][2]));
      tv_tensor *const b = operand(dtype, k + 9, TV_SHAPE(sizes[k][2], sizes[k][1]));
      same_product("size", tv_matmul(tv_to(a, cuda()), tv_to(b, cuda())), a, b);
    }
}

/* A b that all share makes one product of the batch; large batches are several. */
TEST(batches_are_folded_and_cut) {
  static const int64_t shapes[][4] = {{3, 4, 2, 5}, {3, 4, 1, 5}, {1, 7, 1, 5}, {4, 1, 3, 5}};
  tv_tensor *const b = operand(TV_F64, 8, TV_SHAPE(5, 3));
  for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
    tv_tensor *const a = operand(TV_F64, k, 4, shapes[k]), *const far = tv_to(a, cuda());
    same_product("shared", tv_matmul(far, tv_to(b, cuda())), a, b);
    same_product("shared, rows apart", tv_matmul(tv_flip(far, TV_AXES(2)), tv_to(b, cuda())),
                 tv_flip(a, TV_AXES(2)), b);
    same_product("shared, batch turned",
                 tv_matmul(tv_permute_dims(far, TV_AXES(1, 0, 2, 3)), tv_to(b, cuda())),
                 tv_permute_dims(a, TV_AXES(1, 0, 2, 3)), b);
  }
  tv_tensor *const many = operand(TV_F32, 4, TV_SHAPE(70000, 2, 2));
  tv_tensor *const others = operand(TV_F32, 6, TV_SHAPE(70000, 2, 1));
  same_product("many", tv_matmul(tv_to(many, cuda()), tv_to(others, cuda())), many, others);
}

/* More products than there are places to remember them. */
TEST(choices_are_forgotten_and_made_again) {
  for (int64_t n = 1; n <= 400; n++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    tv_tensor *const a = tv_ones(TV_F32, TV_SHAPE(1 + n % 20, 2)), *const b = tv_ones(
                                                                       TV_F32, TV_SHAPE(2, n));
    tv_tensor *const y = tv_matmul(tv_to(a, cuda()), tv_to(b, cuda()));
    double least = 0;
    OK(tv_item_f64(tv_min(y, TV_ALL_AXES), &least));
    CHECK(least == 2);
    tv_scope_end(&scope, NULL);
  }
}

/* The 20th bit is lost by TF32, and by nothing else. */
TEST(tf32_is_asked_for) {
  tv_tensor *const x = tv_to(tv_full(TV_F32, TV_SHAPE(16, 16), tv_scalar(1 + 0x1p-20)), cuda());
  tv_tensor *const one = tv_to(tv_eye(TV_F32, 16, 16, 0), cuda());
  double strict = 0, rounded = 0;
  OK(tv_item_f64(tv_slice(tv_matmul(x, one), "0, 0"), &strict));
  OK(tv_matmul_precision_set(TV_MATMUL_TF32));
  OK(tv_item_f64(tv_slice(tv_matmul(x, one), "0, 0"), &rounded));
  OK(tv_matmul_precision_set(TV_MATMUL_STRICT));
  CHECK(strict == 1 + 0x1p-20);
  CHECK(rounded == 1);
}

TEST(devices_do_not_mix) {
  tv_tensor *const x = tv_ones(TV_F32, TV_SHAPE(2, 2));
  FAILS(TV_EDEVICE, "matmul: a is on cuda:0, b on cpu", tv_matmul(tv_to(x, cuda()), x));
}

int main(int argc, char **argv) {
  setenv("TV_OPENBLAS", "none", 1); /* before the first product */
  static const check_case all[] = {ROW("bool", dtype_case, TV_BOOL),
                                   ROW("int8", dtype_case, TV_I8),
                                   ROW("int16", dtype_case, TV_I16),
                                   ROW("int32", dtype_case, TV_I32),
                                   ROW("int64", dtype_case, TV_I64),
                                   ROW("uint8", dtype_case, TV_U8),
                                   ROW("uint16", dtype_case, TV_U16),
                                   ROW("uint32", dtype_case, TV_U32),
                                   ROW("uint64", dtype_case, TV_U64),
                                   ROW("float16", dtype_case, TV_F16),
                                   ROW("bfloat16", dtype_case, TV_BF16),
                                   ROW("float32", dtype_case, TV_F32),
                                   ROW("float64", dtype_case, TV_F64),
                                   ROW("complex64", dtype_case, TV_C64),
                                   ROW("complex128", dtype_case, TV_C128),
                                   CASE(batches_walk_on_and_broadcast),
                                   CASE(batch_axes_may_be_permuted),
                                   CASE(sizes_around_tiles),
                                   CASE(batches_are_folded_and_cut),
                                   CASE(choices_are_forgotten_and_made_again),
                                   CASE(tf32_is_asked_for),
                                   CASE(devices_do_not_mix)};
  return check_main("cuda_gemm", (int)(sizeof all / sizeof *all), all, argc, argv);
}
