/* SPDX-License-Identifier: MIT
 * Pictures as PNG files. */
#ifndef TOOL_PNG_H
#define TOOL_PNG_H
#include "picture.h"

/** Write a picture; "-" is the standard output. Gives 0, or an exit status after a message. */
int png_save(const char *path, const picture *p);
#endif
