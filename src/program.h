/* SPDX-License-Identifier: MIT
 * Running what was deferred: see deferred.h for what is. */
#ifndef TVI_PROGRAM_H
#define TVI_PROGRAM_H

#include <tensorvar/backend.h>

#include "tensor.h"

/* Run a reduction of x, of which the caller holds a count, straight from its program. The job is
 * filled in but for `in.data` and `program`. *is_left is false, and nothing is done, if x is not
 * deferred any more. */
tv_status tvi_program_reduce(const char *who, tv_tensor *x, tv_reduce *job, bool *is_left);

/* Compute x, which nobody else knows, into the elements of out: compact, of its dtype and shape. */
tv_status tvi_program_into(tv_tensor *x, tv_tensor *out);

#endif
