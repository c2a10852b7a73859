/* SPDX-License-Identifier: MIT
 * The dtype in a .npy header: of plain elements (npy_descr.c) or of records (npy_record.c). */
#ifndef TVI_NPY_DESCR_H
#define TVI_NPY_DESCR_H
#include <tensorvar/npy.h>

#include "npy_text.h"

typedef struct tvi_npy_descr {
  tv_dtype dtype;
  bool is_big_endian;
  bool is_record;
  int64_t record_bytes;
  int64_t field_offset;
  int field_rank;
  int64_t field_shape[TV_MAX_RANK];
} tvi_npy_descr;

/* What a code as "<f4" or "U10", n bytes of it, says. */
typedef struct tvi_npy_code {
  tv_dtype dtype; /* TV_DTYPE_NONE: not supported */
  bool is_big_endian;
  const char *why; /* it is not supported */
  int64_t bytes;   /* of an element, also of those not supported; -1: there is no such code */
} tvi_npy_code;
tvi_npy_code tvi_npy_code_read(const uint8_t *text, int64_t n, bool void2_is_bf16);

/* The code that NumPy writes for a dtype, little-endian; bfloat16 is "<V2". */
const char *tvi_npy_code_of(tv_dtype dtype);

/* A whole descr. `field` of the options chooses among those of records. TV_EFORMAT, and TV_EVALUE
 * for a field that is not there. */
tv_status tvi_npy_take_descr(tvi_npy_text *in, const tv_npy_options *options, tvi_npy_descr *descr);
/* One of records. */
tv_status tvi_npy_take_record(tvi_npy_text *in, const tv_npy_options *options,
                              tvi_npy_descr *descr);

#endif
