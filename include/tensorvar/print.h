/* SPDX-License-Identifier: MIT
 * Tensors and Variables as text: what NumPy 2.2 and TensorFlow print. The text does not depend on
 * the locale. bfloat16, which NumPy does not have, prints as its float16 does, with its own digits.
 */
#ifndef TENSORVAR_PRINT_H
#define TENSORVAR_PRINT_H

#include <stdio.h>

#include <tensorvar/tensor.h>
#include <tensorvar/variable.h>
TV_BEGIN_C

/** NumPy's `repr`, "array([1., 2.], dtype=float32)", or its `str`, "[1. 2.]". */
typedef enum tv_text_style { TV_REPR, TV_STR } tv_text_style;

/**
 * The text of a tensor.
 *
 *     char text[200];
 *     if (tv_format(x, TV_REPR, text, sizeof text) >= (int64_t)sizeof text) …   // did not fit
 *
 * Returns the length of the whole text, the NUL not counted, as snprintf does; at most capacity - 1
 * bytes of it and a NUL are written, and nothing if capacity is 0. -1 on failure.
 *
 * Above 1000 elements only the first and last three of each axis are shown, and only they are read.
 *
 * Errors    - TV_EVALUE   x is NULL, text is NULL with capacity, capacity is negative, or no style
 *           - TV_ENOMEM   the text, or computing x
 * Source    NumPy 2.2 `repr`, `str`, with its default print options.
 */
TV_API int64_t tv_format(tv_tensor *x, tv_text_style style, char *text, int64_t capacity);

/** Write the TV_REPR text of a tensor and a line feed to the caller's stream. TV_EIO if that fails,
 *  errors as tv_format. */
TV_API tv_status tv_print(FILE *stream, tv_tensor *x);

/**
 * The text of a Variable, as tv_format gives that of a tensor.
 *
 * "<tv.Variable 'NAME:0' shape=(2,) dtype=float32, numpy=array([1., 2.], dtype=float32)>": what
 * TensorFlow prints but for the word `tv`. Axes whose size may change are None in the shape. A
 * value of several lines begins on a line of its own; one without axes is a bare number.
 *
 * Errors    as tv_format and tv_read
 * Source    TensorFlow `ResourceVariable.__repr__`.
 */
TV_API int64_t tv_variable_format(tv_variable *variable, char *text, int64_t capacity);

/** Write the text of a Variable and a line feed to the caller's stream; as tv_print. */
TV_API tv_status tv_variable_print(FILE *stream, tv_variable *variable);

TV_END_C
#endif
