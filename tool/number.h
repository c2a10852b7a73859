/* SPDX-License-Identifier: MIT
 * Numbers and shapes as text. */
#ifndef TOOL_NUMBER_H
#define TOOL_NUMBER_H
#include <stdbool.h>
#include <stdint.h>

enum { NUMBER_SIZE = 32, SHAPE_SIZE = 1400 };

/** A number with the fewest digits that come back, as a float32 if `is_single`, and with a point or
 * an exponent. Gives `text`. */
const char *number_text(double value, bool is_single, char text[NUMBER_SIZE]);

/** Bytes for people, "1.5 MiB". Gives `text`. */
const char *bytes_text(int64_t bytes, char text[NUMBER_SIZE]);

/** Python's tuple, "(3, 4)"; and a list, "[3, 4]". Gives `text`. */
const char *shape_text(int rank, const int64_t *shape, char text[SHAPE_SIZE]);
const char *index_text(int rank, const int64_t *index, char text[SHAPE_SIZE]);

/** The index in C order of the element at a position. */
void index_of(int64_t position, int rank, const int64_t *shape, int64_t *index);
#endif
