/* SPDX-License-Identifier: MIT
 * Conversions and copies on a CUDA device against the CPU: every pair of dtypes, every layout, and
 * values at the edges of the types. */
#include <stdio.h>

#include "cuda_layouts.h"

static void from(intptr_t dtype) {
  for (tv_dtype to = TV_BOOL; to < TV_DTYPE_COUNT; to++) {
    if (dtype >= TV_C64 && to < TV_C64 && to != TV_BOOL) continue;
    for (int layout = 0; layout < CUDA_LAYOUTS; layout++) {
      tv_scope scope;
      char what[100];
      snprintf(what, sizeof what, "%d to %d, layout %d", (int)dtype, (int)to, layout);
      tv_scope_begin(&scope);
      const cuda_pair x = cuda_random((tv_dtype)dtype, layout, 11, 131, true);
      cuda_compare(what, tv_astype(x.away, to), tv_astype(x.near, to), 0);
      OK(tv_scope_end(&scope, NULL));
    }
  }
}

/* Around every power of two, where types end and rounding turns. */
TEST(edges_of_the_types) {
  double edges[2600];
  int n = 0;
  for (int exponent = -150; exponent < 130; exponent++)
    for (int k = -1; k <= 1; k++)
      for (int sign = -1; sign <= 1; sign += 2) {
        edges[n++] = sign * ldexp(1 + k * 0x1p-11, exponent);
        if (exponent % 2) edges[n++] = sign * ldexp(1 + k * 0x1p-52, exponent);
      }
  tv_tensor *const wide = tv_tensor_from_memory(edges, TV_F64, TV_SHAPE(n), NULL);
  for (tv_dtype of = TV_BOOL; of <= TV_F64; of++)
    for (tv_dtype to = TV_BOOL; to < TV_DTYPE_COUNT; to++) {
      tv_tensor *const x = tv_astype(wide, of);
      cuda_compare("edges", tv_astype(tv_to(x, cuda()), to), tv_astype(x, to), 0);
    }
}

/* All 65,536 of f16 and bf16, NaN among them. */
TEST(every_half) {
  static uint16_t halves[65536];
  for (int k = 0; k < 65536; k++) halves[k] = (uint16_t)k;
  for (int k = 0; k < 2; k++) {
    const tv_dtype of = k ? TV_BF16 : TV_F16;
    tv_tensor *const x = tv_tensor_from_memory(halves, of, TV_SHAPE(65536), NULL);
    for (tv_dtype to = TV_BOOL; to < TV_DTYPE_COUNT; to++)
      cuda_compare("halves", tv_astype(tv_to(x, cuda()), to), tv_astype(x, to), 0);
  }
}

/* copy_out makes a strided tensor compact first. */
TEST(copies_of_every_layout) {
  static const tv_dtype sizes[] = {TV_I8, TV_F16, TV_F32, TV_I64, TV_C128};
  static const int64_t shapes[][2] = {{1, 1},     {7, 5},     {64, 64},  {33, 1001},
                                      {200, 177}, {1025, 33}, {9, 4099}, {8, 5000}};
  for (int k = 0; k < 5; k++)
    for (size_t j = 0; j < sizeof shapes / sizeof *shapes; j++)
      for (int layout = 0; layout < CUDA_LAYOUTS; layout++) {
        tv_scope scope;
        char what[100];
        snprintf(what, sizeof what, "copy of dtype %d, [%lld, %lld], layout %d", (int)sizes[k],
                 (long long)shapes[j][0], (long long)shapes[j][1], layout);
        tv_scope_begin(&scope);
        const cuda_pair x = cuda_random(sizes[k], layout, shapes[j][0], shapes[j][1], true);
        cuda_compare(what, x.away, x.near, 0);
        cuda_compare(what, tv_concat(2, (tv_tensor *[]){x.away, x.away}, 1),
                     tv_concat(2, (tv_tensor *[]){x.near, x.near}, 1), 0);
        OK(tv_scope_end(&scope, NULL));
      }
}

TEST(batches_of_transposed_matrices) {
  static const int64_t axes[][4] = {{0, 1, 3, 2}, {3, 2, 1, 0}, {2, 3, 0, 1}, {0, 3, 1, 2}};
  for (int k = 0; k < 4; k++)
    for (int j = 0; j < 2; j++) {
      const cuda_pair flat = cuda_random(j ? TV_U8 : TV_F32, CUDA_WHOLE, 1, 9 * 11 * 40 * 37, true);
      tv_tensor *of[2];
      for (int i = 0; i < 2; i++)
        of[i] = tv_permute_dims(tv_reshape(i ? flat.away : flat.near, TV_SHAPE(9, 11, 40, 37)), 4,
                                axes[k]);
      cuda_compare("permuted", of[1], of[0], 0);
    }
}

int main(int argc, char **argv) {
  static const check_case all[] = {
#define FROM(tag, TAG, ...) ROW("from_" #tag, from, TV_##TAG),
#include "dtypes.def"
      ANY(FROM, ) CASE(edges_of_the_types), CASE(every_half), CASE(copies_of_every_layout),
      CASE(batches_of_transposed_matrices)};
  return check_main("cuda_convert", (int)(sizeof all / sizeof *all), all, argc, argv);
}
