/* SPDX-License-Identifier: MIT
 * Element types, and how two of them meet. */
#ifndef TENSORVAR_DTYPE_H
#define TENSORVAR_DTYPE_H

#include <tensorvar/status.h>
TV_BEGIN_C

/** Element types. bool is one byte, 0 or 1; complex is real part, then imaginary part. */
typedef enum tv_dtype {
  TV_DTYPE_NONE = -1, /* no dtype: a failure, or "choose for me" in options */
  TV_BOOL = 0,
  TV_I8,
  TV_I16,
  TV_I32,
  TV_I64,
  TV_U8,
  TV_U16,
  TV_U32,
  TV_U64,
  TV_F16,
  TV_BF16,
  TV_F32,
  TV_F64,
  TV_C64,
  TV_C128,
  TV_DTYPE_COUNT
} tv_dtype;

/** What a dtype may become: every value kept, or the kind kept in bool < unsigned < integer < real
 * < complex, which is what assigning to a Variable accepts. */
typedef enum tv_casting { TV_CAST_SAFE, TV_CAST_SAME_KIND } tv_casting;

/** How operands of different dtypes meet: as in NumPy 2 (NEP 50), or not at all. */
typedef enum tv_promotion { TV_PROMOTION_NUMPY, TV_PROMOTION_STRICT } tv_promotion;

typedef struct tv_tensor tv_tensor;

/** Bytes of one element; 0 for what is no dtype. */
TV_API int64_t tv_dtype_size(tv_dtype dtype);

/** NumPy's name, "float32"; "bfloat16" for TV_BF16; "none" for what is no dtype. */
TV_API const char *tv_dtype_name(tv_dtype dtype);

/** NumPy's kind: 'b', 'i', 'u', 'f' or 'c'; '\0' for what is no dtype. */
TV_API char tv_dtype_kind(tv_dtype dtype);

/** Whether NumPy's rule lets `from` become `to`. False for what is no dtype. */
TV_API bool tv_can_cast(tv_dtype from, tv_dtype to, tv_casting casting);

/**
 * The dtype in which elements of two dtypes meet, whatever tv_promotion_set says.
 *
 * Errors    - TV_EDTYPE   one is no dtype; the result is TV_DTYPE_NONE
 * Source    NumPy 2 `promote_types`; bfloat16 follows float16's pattern.
 */
TV_API tv_dtype tv_promote_types(tv_dtype a, tv_dtype b);

/**
 * The dtype in which n tensors meet; weak scalars give way to tensors.
 *
 * Errors    - TV_EVALUE   n is below 1 or a tensor is NULL; the result is TV_DTYPE_NONE
 *           - TV_EDTYPE   dtypes differ under TV_PROMOTION_STRICT
 * Source    array API 2024.12 `result_type`, NEP 50.
 */
TV_API tv_dtype tv_result_type(int n, tv_tensor *const *tensors);

/** Choose how dtypes meet on this thread; TV_PROMOTION_NUMPY at first.
 *  TV_EVALUE for what is no promotion. */
TV_API tv_status tv_promotion_set(tv_promotion promotion);

TV_END_C
#endif
