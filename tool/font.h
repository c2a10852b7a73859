/* SPDX-License-Identifier: MIT
 * The dots of letters. */
#ifndef TOOL_FONT_H
#define TOOL_FONT_H
#include <stdbool.h>
#include <stddef.h>

enum { FONT_WIDTH = 5, FONT_HEIGHT = 7, FONT_DEPTH = 2 }; /* the depth is under the line */

/** Whether a letter has a dot at column x and row y, from the top left. */
bool font_dot(char c, int x, int y);
#endif
