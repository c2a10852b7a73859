/* SPDX-License-Identifier: MIT
 * Single elements in host memory. */
#ifndef TOOL_ELEMENT_H
#define TOOL_ELEMENT_H
#include <tensorvar/tensorvar.h>

enum { ELEMENT_SIZE = 80 };

/** The elements of x in C order in host memory, wherever it is; NULL after a failure, or if there
 *  are none. They live as long as the scope. */
const void *host_data(tv_tensor *x);

/** The i-th of elements as JSON: a number, true or false; complex as [real, imaginary]. */
void json_element(const void *elements, tv_dtype dtype, int64_t i);

/** The i-th of elements as text, as Python writes it. Gives `text`. */
const char *element_text(const void *elements, tv_dtype dtype, int64_t i, char text[ELEMENT_SIZE]);
#endif
