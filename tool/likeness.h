/* SPDX-License-Identifier: MIT
 * Words that look alike, for "did you mean". */
#ifndef TOOL_LIKENESS_H
#define TOOL_LIKENESS_H
#include <stdbool.h>

/** Whether `word` may be a slip of `name`: one begins with the other, or few letters differ. */
bool is_like(const char *word, const char *name);
#endif
