/* SPDX-License-Identifier: MIT
 * What the tool says when something is wrong, and with which status it then ends. */
#ifndef TOOL_FAILURE_H
#define TOOL_FAILURE_H
#include <stddef.h>
#include <tensorvar/export.h>

/** Exit statuses; 128 and a signal's number after a signal. */
enum { EXIT_DIFFERENT = 1, EXIT_USAGE = 2, EXIT_TROUBLE = 3 };

/** The command that messages name from now on. */
void failure_command(const char *name);

/** Print "tensorvar: COMMAND: ..." as printf does; give EXIT_USAGE. */
int usage(const char *format, ...) TV_PRINTF(1, 2);

/** The same; give EXIT_TROUBLE. */
int trouble(const char *format, ...) TV_PRINTF(1, 2);

/** Print the library's failure about a file, and what may help; forget it. Gives EXIT_TROUBLE, or
 *  the status of a signal that stopped the work. */
int library_trouble(const char *path);

/** The same of a file that was to become `path`, and is made at `beside`. */
int library_trouble_beside(const char *path, const char *beside);

/** The library's text without the name of its function, and without `path` where it begins so. */
const char *library_text(const char *path);

/** `text` fit for a terminal: control characters as \xHH. Valid until the fourth call from now. */
const char *safe(const char *text);

/** n bytes of zeros; ends the program where there are none. */
void *need(size_t n);
#endif
