/* SPDX-License-Identifier: MIT
 * A file to read: one array, or the arrays of an archive. */
#ifndef TOOL_SOURCE_H
#define TOOL_SOURCE_H
#include <tensorvar/tensorvar.h>

#include "arguments.h"

typedef enum format { FORMAT_NPY, FORMAT_NPZ, FORMAT_SAFETENSORS } format;

/** An open file. */
typedef struct source {
  format format;
  char *path;     /* without the name of an array; "-" is the standard input */
  int64_t chosen; /* the one array that was asked for, or -1 */
  int stream;     /* what cannot be read twice, or be mapped: its descriptor, else -1 */
  tv_npz *npz;
  tv_safetensors *safetensors;
} source;

/** Open `given`, a path or PATH:NAME, for a command. Gives 0, or an exit status after a message. Of
 *  diff --name is for archives alone. */
int source_open(source *s, const char *given, const arguments *a);
/** Say that a .npy file was asked for a name; gives EXIT_TROUBLE. */
int source_has_no_names(const source *s, const char *name);
void source_close(source *s);

/** The name of a format, "npz". */
const char *format_name(format f);

/** How many arrays were asked for, and their positions in the file. */
int64_t source_count(const source *s);
int64_t source_at(const source *s, int64_t i);
/** The name of the array at a position; NULL in a .npy file. */
const char *source_name(const source *s, int64_t at);
/** The position of a name; -1: there is none. */
int64_t source_find(const source *s, const char *name);

/** How the command line says to read: bf16 and field; progress is told. */
tv_npy_options source_options(const arguments *a);

/** What a header says; not of a stream. */
tv_status source_layout(const source *s, int64_t at, const tv_npy_options *options,
                        tv_npy_layout *layout);
tv_tensor *source_read(const source *s, int64_t at, const tv_npy_options *options);

/** The array with the slice that the command line asks for: mapped where that can be. NULL if that
 *  failed, which the library knows. */
tv_tensor *source_take(const source *s, int64_t at, const arguments *a);

/** Give each array of each file to `work`, in a scope of its own, going on after a failure but not
 *  after wrong usage or a signal. Gives the status of the last that failed. */
int each_array(const arguments *a, int (*work)(const source *s, int64_t at, const arguments *a));

/** "FILE", or "FILE:NAME" of an archive; valid until the next call. */
const char *source_label(const source *s, int64_t at);
#endif
