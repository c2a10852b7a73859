// SPDX-License-Identifier: MIT
// Element types into one another, and copies. A copy moves bytes: it goes by size alone, and the
// dtype in the kernel's name is the unsigned integer of that size, or c128.
//
// A copy that turns goes through a square in shared memory, so that it reads along the rows of the
// one side and writes along those of the other. Each row of the square is one element longer: a
// column then lies in different banks.
#include "cast.h"
#include "dtypes.def"
#include "vector.h"

template <class From, class To>
struct tvi_conversion {
  typedef To Out;
  typedef From A;
  typedef tvi_none B, C;
  static constexpr int inputs = 1;
  static constexpr int width = 16 / (sizeof(From) > sizeof(To) ? sizeof(From) : sizeof(To));
  static constexpr int weight = 0;
};

#define CONVERSION(kernel, S, T, load, O, to)                                     \
  struct op_##kernel : tvi_conversion<S, O> {                                     \
    static TVI_INLINE O value(S x, tvi_none, tvi_none) { return to((T)load(x)); } \
  };                                                                              \
  TVI_POINTWISE_KERNELS(kernel)

// Rows of dtypes.def cannot be nested in one class macro: the outer list is spelled.
#define TO(tag, TAG, O, T_, load_, store_, R_, P_, from, S, T, load) \
  CONVERSION(convert_##from##_##tag, S, T, load, O, tvi_to_##tag)
#define TO_ALL(...) \
  BOOLEAN(TO, __VA_ARGS__) INTEGER(TO, __VA_ARGS__) FLOAT(TO, __VA_ARGS__) COMPLEX(TO, __VA_ARGS__)

TO_ALL(b1, uint8_t, bool, (bool))
TO_ALL(i8, int8_t, int8_t, )
TO_ALL(i16, int16_t, int16_t, )
TO_ALL(i32, int32_t, int32_t, )
TO_ALL(i64, int64_t, int64_t, )
TO_ALL(u8, uint8_t, uint8_t, )
TO_ALL(u16, uint16_t, uint16_t, )
TO_ALL(u32, uint32_t, uint32_t, )
TO_ALL(u64, uint64_t, uint64_t, )
TO_ALL(f16, uint16_t, float, tvi_f16_load)
TO_ALL(bf16, uint16_t, float, tvi_bf16_load)
TO_ALL(f32, float, float, )
TO_ALL(f64, double, double, )
BOOLEAN(TO, c64, tvi_c64, tvi_c64, )
BOOLEAN(TO, c128, tvi_c128, tvi_c128, )
COMPLEX(TO, c64, tvi_c64, tvi_c64, )
COMPLEX(TO, c128, tvi_c128, tvi_c128, )

#define COPY(tag, S)                                                                 \
  struct op_copy_##tag : tvi_conversion<S, S> {                                      \
    static TVI_INLINE S value(S x, tvi_none, tvi_none) { return x; }                 \
  };                                                                                 \
  TVI_POINTWISE_KERNELS(copy_##tag)                                                  \
  TV_KERNEL(copy_##tag##_turn, const tvi_turn_job job) {                             \
    TV_SHARED(S, square, TVI_TURN_SIDE(sizeof(S)) * (TVI_TURN_SIDE(sizeof(S)) + 1)); \
    tvi_turn<S>(job, square);                                                        \
  }

template <class S>
static TVI_INLINE void tvi_turn(const tvi_turn_job &job, S *square /* [side, side + 1] */) {
  constexpr uint32_t side = TVI_TURN_SIDE(sizeof(S)), lines = TVI_TURN_THREADS / side;
  constexpr uint32_t each = side / lines;
  const uint32_t x = threadIdx.x % side, y = threadIdx.x / side;
  uint32_t tile = blockIdx.x;
  int64_t offset[2] = {0, 0};
  uint32_t rest = tvi_quotient(tile, job.tile_columns);
  const uint32_t column = (tile - rest * job.tile_columns.by) * side;
  tile = rest;
  rest = tvi_quotient(tile, job.tile_rows);
  const uint32_t row = (tile - rest * job.tile_rows.by) * side;
  tvi_walk<2>(job, rest, offset);

  const unsigned char *const in =
      job.in + offset[1] + (int64_t)(row + x) * (int64_t)sizeof(S) + (column + y) * job.in_step;
  S part[each] = {};  // all on their way before the first is waited for
  for (uint32_t k = 0; k < each; k++)
    if (row + x < job.rows && column + y + k * lines < job.columns)
      part[k] = *reinterpret_cast<const S *>(in + k * lines * job.in_step);
  for (uint32_t k = 0; k < each; k++) square[(y + k * lines) * (side + 1) + x] = part[k];
  __syncthreads();
  unsigned char *const out =
      job.out + offset[0] + (int64_t)(column + x) * (int64_t)sizeof(S) + (row + y) * job.out_step;
  for (uint32_t k = 0; k < each; k++) part[k] = square[x * (side + 1) + y + k * lines];
  for (uint32_t k = 0; k < each; k++)
    if (column + x < job.columns && row + y + k * lines < job.rows)
      *reinterpret_cast<S *>(out + k * lines * job.out_step) = part[k];
}

COPY(u8, uint8_t)
COPY(u16, uint16_t)
COPY(u32, uint32_t)
COPY(u64, uint64_t)
COPY(c128, tvi_c128)
