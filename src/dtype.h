/* SPDX-License-Identifier: MIT
 * Questions about dtypes that the library asks itself, and the value of a weak scalar. */
#ifndef TVI_DTYPE_H
#define TVI_DTYPE_H

#include <tensorvar/dtype.h>

static inline bool tvi_is_dtype(tv_dtype dtype) {
  return (unsigned)dtype < (unsigned)TV_DTYPE_COUNT;
}
static inline bool tvi_is_complex(tv_dtype dtype) { return dtype == TV_C64 || dtype == TV_C128; }
/* bool is none. */
static inline bool tvi_is_integer(tv_dtype dtype) { return dtype >= TV_I8 && dtype <= TV_U64; }
static inline bool tvi_is_signed(tv_dtype dtype) { return dtype >= TV_I8 && dtype <= TV_I64; }
static inline bool tvi_is_real_floating(tv_dtype dtype) {
  return dtype >= TV_F16 && dtype <= TV_F64;
}
/* Floating or complex: carries a gradient. */
static inline bool tvi_is_inexact(tv_dtype dtype) { return dtype >= TV_F16 && dtype <= TV_C128; }
static inline tv_dtype tvi_real_part(tv_dtype dtype) {
  return dtype == TV_C64 ? TV_F32 : dtype == TV_C128 ? TV_F64 : dtype;
}

/* Bytes that an element's address is a multiple of. */
int64_t tvi_alignment(tv_dtype dtype);

typedef enum {
  TVI_STRONG, /* no weak scalar */
  TVI_WEAK_BOOL,
  TVI_WEAK_INT,
  TVI_WEAK_UINT, /* above INT64_MAX */
  TVI_WEAK_REAL,
  TVI_WEAK_COMPLEX
} tvi_weak_kind;

typedef struct {
  tvi_weak_kind kind;
  union {
    bool b;
    int64_t i;
    uint64_t u;
    double r[2]; /* real, imaginary */
  };
} tvi_weak;

/* Whether a weak integer is in the range of an integer dtype. */
bool tvi_integer_fits(const tvi_weak *value, tv_dtype dtype);

/* The dtype of n >= 1 tensors together; `who` names the caller in a failure. */
tv_dtype tvi_promote(const char *who, int n, tv_tensor *const *tensors);

#endif
