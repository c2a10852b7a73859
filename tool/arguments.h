/* SPDX-License-Identifier: MIT
 * The command line: commands.def and options.def, and what of them was given. */
#ifndef TOOL_ARGUMENTS_H
#define TOOL_ARGUMENTS_H
#include <stdbool.h>
#include <stdint.h>

typedef enum {
#define COMMAND(name, files, fewest, most, summary) COMMAND_##name,
#include "commands.def"
  COMMAND_COUNT
} command;

typedef enum {
#define OPTION(name, letter, value, commands, help) OPTION_##name,
#include "options.def"
  OPTION_COUNT
} option;

/** What was given. Texts are those of argv. */
typedef struct arguments {
  command command;
  const char *options[OPTION_COUNT]; /* NULL: not given; "" for one without a value */
  int n_files;
  const char **files; /* allocated */
} arguments;

/** Read argv, from the command's name on. False after a message; then `status` is the exit code,
 *  0 where help or version was asked for. */
bool arguments_read(arguments *a, int argc, char **argv, int *status);
void arguments_free(arguments *a);

static inline bool given(const arguments *a, option o) { return a->options[o]; }

/** Numbers of options: `otherwise` where not given. False after a message of wrong usage. */
bool option_int(const arguments *a, option o, int64_t low, int64_t high, int64_t otherwise,
                int64_t *value);
bool option_real(const arguments *a, option o, double low, double otherwise, double *value);

/** The position of the option's value in a list of words that ends with NULL, 0 where not given;
 *  -1 after a message of wrong usage. */
int option_word(const arguments *a, option o, const char *const *words);

/** The name of a command or option, as it is typed. Valid until the next call. */
const char *command_name(command c);
const char *option_name(option o);
#endif
