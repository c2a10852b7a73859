/* SPDX-License-Identifier: MIT
 * The commands. Each is given its arguments, in a scope of its own, and gives the exit status. */
#ifndef TOOL_RUN_H
#define TOOL_RUN_H
#include "arguments.h"
#define COMMAND(name, files, fewest, most, summary) int run_##name(const arguments *a);
#include "commands.def"
#endif
