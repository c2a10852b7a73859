/* SPDX-License-Identifier: MIT
 * What the op table says, as an enum and an array. Knows no op by name.
 *
 * An op is its position in ops.def. The dtype that a row runs in, and the one that it gives, follow
 * from its class in dtypes.def alone: tvi_op_dtype and tvi_op_result. */
#ifndef TVI_OP_H
#define TVI_OP_H

#include <tensorvar/dtype.h>

typedef enum tvi_op {
#define EACH(name, ...) TVI_OP_##name,
#include "ops.def"
  TVI_OP_COUNT
} tvi_op;

/* The row macros of ops.def. */
typedef enum tvi_kind {
  TVI_UNARY,
  TVI_PART,
  TVI_TEST,
  TVI_BINARY,
  TVI_COMPARE,
  TVI_SELECT,
  TVI_BOUNDED
} tvi_kind;

/* What becomes of a dtype without a loop. */
typedef enum tvi_missing {
  TVI_MISSING_REFUSED,
  TVI_MISSING_I8,       /* bool runs as int8 */
  TVI_MISSING_SMALLEST, /* bool and integers run as the smallest float that holds them */
  TVI_MISSING_F64       /* bool and integers run as float64 */
} tvi_missing;

typedef struct tvi_op_row {
  const char *name;
  tvi_kind kind;
  int n_inputs;
  const char *inputs; /* a letter each: "x", "ab", "cab" (c is the condition), "xab" */
  const char *types;  /* name of the class */
  const char *value;
  const char *summary;
  double from, to; /* where tests sample */
  unsigned loops;  /* bit d: there is a loop for tv_dtype d */
  tvi_missing missing;
  const char *uses[3], *gradient[3]; /* per input but c; NULL: none */
} tvi_op_row;

extern const tvi_op_row tvi_op_info[TVI_OP_COUNT];

/* The dtype in which the row runs for inputs that meet in `dtype`; TV_DTYPE_NONE if it refuses
 * them. */
tv_dtype tvi_op_dtype(int op, tv_dtype dtype);

/* The dtype of the result of a row that runs in `loop`. */
tv_dtype tvi_op_result(int op, tv_dtype loop);

#endif
