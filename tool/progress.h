/* SPDX-License-Identifier: MIT
 * How far the work is, and whether it should stop: a bar on a terminal, and signals. */
#ifndef TOOL_PROGRESS_H
#define TOOL_PROGRESS_H
#include <stdbool.h>
#include <stdint.h>

/** Take SIGINT, SIGTERM and SIGHUP as wishes to stop; the second of a kind ends the program. */
void progress_start(bool is_quiet);

/** The signal that asked to stop; 0: none. */
int stop_signal(void);

/** A tv_progress: show it, if that is wanted, and tell whether to go on. `user` is not used. */
bool progress_told(void *user, int64_t done, int64_t total);

/** Take the bar away. */
void progress_end(void);
#endif
