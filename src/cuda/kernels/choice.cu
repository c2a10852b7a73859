// SPDX-License-Identifier: MIT
// Ops of three inputs. A choice moves bytes, so it goes by size alone: the dtype in the kernel's
// name is the unsigned integer of that size, or c128.
#include "stamp.h"

#define OF_CHOICE(kernel, S, formula)                        \
  struct op_##kernel : tvi_op_of<3, 0, S, uint8_t, S, S> {   \
    static constexpr int width = 16 / sizeof(S);             \
    static TVI_INLINE S value(uint8_t condition, S a, S b) { \
      const bool c = condition;                              \
      return formula;                                        \
    }                                                        \
  };                                                         \
  TVI_POINTWISE_KERNELS(kernel)

#define OF_BOUNDS(kernel, weight, S, T, load, store, formula) \
  struct op_##kernel : tvi_op_of<3, weight, S, S, S, S> {     \
    static constexpr int width = 16 / sizeof(S);              \
    static TVI_INLINE S value(S inner, S low, S high) {       \
      const T x = load(inner), a = load(low), b = load(high); \
      return store((T)(formula));                             \
    }                                                         \
  };                                                          \
  TVI_POINTWISE_KERNELS(kernel)

#define STAMP_BOUNDED(tag, TAG, S, T, load, store, R, P, name, weight, value) \
  OF_BOUNDS(name##_##tag, weight, S, T, load, store, value)

#define SIZES(M, ...)           \
  M(u8, uint8_t, __VA_ARGS__)   \
  M(u16, uint16_t, __VA_ARGS__) \
  M(u32, uint32_t, __VA_ARGS__) M(u64, uint64_t, __VA_ARGS__) M(c128, tvi_c128, __VA_ARGS__)
#define STAMP_SELECT(tag, S, name, value) OF_CHOICE(name##_##tag, S, value)

#define SELECT(name, types, value, ...) SIZES(STAMP_SELECT, name, value)
#define BOUNDED(name, types, value, ...) types(STAMP_BOUNDED, name, WEIGHT_##types, value)
#include "ops.def"
