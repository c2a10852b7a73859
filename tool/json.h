/* SPDX-License-Identifier: MIT
 * JSON on the standard output, as it comes. */
#ifndef TOOL_JSON_H
#define TOOL_JSON_H
#include <stdbool.h>
#include <stdint.h>

/** Begin and end an object or a list: '{', '}', '[', ']'. The outermost end adds a line feed. */
void json_open(char bracket);
void json_close(char bracket);

/** The key of the value that comes next. */
void json_key(const char *key);

/** A text; bytes that are no UTF-8 become U+FFFD. NULL is null. */
void json_text(const char *text);
void json_int(int64_t value);
void json_uint(uint64_t value);
/** The fewest digits that come back; "NaN", "Infinity" and "-Infinity" as texts, for JSON has no
 *  such numbers. `is_single`: digits that come back as float32. */
void json_real(double value, bool is_single);
void json_bool(bool value);
void json_shape(int rank, const int64_t *shape);

/** Lists in lists, as ndarray.tolist gives them: `put` writes the value of each element, counted in
 *  C order. */
void json_lists(int rank, const int64_t *shape, void (*put)(void *user, int64_t i), void *user);
#endif
