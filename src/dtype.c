/* SPDX-License-Identifier: MIT
 * What a dtype is. */
#include <tensorvar/dtype.h>

#include "dtype.h"

static const struct {
  const char *name;
  int64_t size;
  char kind;
} dtypes[TV_DTYPE_COUNT] = {
    [TV_BOOL] = {"bool", 1, 'b'},        [TV_I8] = {"int8", 1, 'i'},
    [TV_I16] = {"int16", 2, 'i'},        [TV_I32] = {"int32", 4, 'i'},
    [TV_I64] = {"int64", 8, 'i'},        [TV_U8] = {"uint8", 1, 'u'},
    [TV_U16] = {"uint16", 2, 'u'},       [TV_U32] = {"uint32", 4, 'u'},
    [TV_U64] = {"uint64", 8, 'u'},       [TV_F16] = {"float16", 2, 'f'},
    [TV_BF16] = {"bfloat16", 2, 'f'},    [TV_F32] = {"float32", 4, 'f'},
    [TV_F64] = {"float64", 8, 'f'},      [TV_C64] = {"complex64", 8, 'c'},
    [TV_C128] = {"complex128", 16, 'c'},
};

int64_t tv_dtype_size(tv_dtype dtype) { return tvi_is_dtype(dtype) ? dtypes[dtype].size : 0; }

const char *tv_dtype_name(tv_dtype dtype) {
  return tvi_is_dtype(dtype) ? dtypes[dtype].name : "none";
}

char tv_dtype_kind(tv_dtype dtype) { return tvi_is_dtype(dtype) ? dtypes[dtype].kind : '\0'; }

int64_t tvi_alignment(tv_dtype dtype) {
  return dtypes[dtype].kind == 'c' ? dtypes[dtype].size / 2 : dtypes[dtype].size;
}

bool tvi_integer_fits(const tvi_weak *value, tv_dtype dtype) {
  const int bits = (int)(8 * dtypes[dtype].size);
  if (dtypes[dtype].kind == 'u')
    return value->kind == TVI_WEAK_UINT ? (bits == 64 || value->u >> bits == 0)
                                        : value->i >= 0 && (bits == 64 || value->i >> bits == 0);
  if (value->kind == TVI_WEAK_UINT) return false; /* above INT64_MAX by construction */
  return bits == 64 ||
         (value->i >= -(INT64_C(1) << (bits - 1)) && value->i < INT64_C(1) << (bits - 1));
}
