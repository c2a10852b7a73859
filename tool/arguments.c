/* SPDX-License-Identifier: MIT
 * Reading the command line, and help. Options stand anywhere behind the command, as `--option
 * value` or `--option=value`; `--` ends them, `-` is a file. Tables: commands.def, options.def. */
#include "arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorvar/tensorvar.h>

#include "failure.h"
#include "likeness.h"

typedef struct {
  const char *name, *files;
  int fewest, most;
  const char *summary;
} command_row;

typedef struct {
  const char *name;
  char letter;
  const char *value;
  unsigned commands;
  const char *help;
} option_row;

static const command_row commands[] = {
#define COMMAND(name, files, fewest, most, summary) {#name, files, fewest, most, summary},
#include "commands.def"
};

#define ON(name) (1u << COMMAND_##name)
#define EVERY (~0u)
#define READING (~0u)
#define WRITING (ON(convert) | ON(concat))
static const option_row options[] = {
#define OPTION(name, letter, value, commands, help) {#name, letter, value, commands, help},
#include "options.def"
};

const char *command_name(command c) { return commands[c].name; }

const char *option_name(option o) {
  static char name[32];
  snprintf(name, sizeof name, "--%s", options[o].name);
  for (char *c = name; *c; c++) {
    if (*c == '_') *c = '-';
  }
  return name;
}

/* Help --------------------------------------------------------------------------------------- */

static void help_all(void) {
  puts(
      "usage: tensorvar COMMAND [OPTION...] FILE...\n\nArrays in .npy, .npz and .safetensors "
      "files.\n");
  for (int c = 0; c < COMMAND_COUNT; c++)
    printf("  %-8s %s\n", commands[c].name, commands[c].summary);
  puts(
      "\nA FILE is a path, FILE:NAME an array of an archive, - the standard input or output.\n"
      "Options of a command: tensorvar COMMAND --help. Version: tensorvar --version.\n"
      "Exit status: 0, 1 if diff finds differences, 2 for wrong usage, 3 for trouble with a file.");
}

static void help_of(command c) {
  const char *summary = commands[c].summary;
  printf("usage: tensorvar %s [OPTION...] %s\n\n%c%s.\n\n", commands[c].name, commands[c].files,
         summary[0] - 'a' + 'A', summary + 1);
  for (int o = 0; o < OPTION_COUNT; o++) {
    if (!(options[o].commands & 1u << c)) continue;
    char left[48];
    const char *value = options[o].value;
    snprintf(left, sizeof left, "%s%s%s", option_name((option)o), value ? " " : "",
             value ? value : "");
    if (options[o].letter) {
      printf("  -%c, %-22s %s\n", options[o].letter, left, options[o].help);
    } else {
      printf("      %-22s %s\n", left, options[o].help);
    }
  }
}

/* Reading ------------------------------------------------------------------------------------ */

static int find_command(const char *text) {
  for (int c = 0; c < COMMAND_COUNT; c++) {
    if (!strcmp(text, commands[c].name)) return c;
  }
  return -1;
}

static bool is_named(const char *name, const char *text, size_t n) {
  if (strlen(name) != n) return false;
  for (size_t i = 0; i < n; i++) {
    if (text[i] == '_' || (name[i] == '_' ? '-' : name[i]) != text[i]) return false;
  }
  return true;
}

/* The option that a word names; -1 if the command has none of that name. */
static int find_option(command c, const char *word) {
  const size_t n = strcspn(word, "=");
  for (int o = 0; o < OPTION_COUNT; o++) {
    if (!(options[o].commands & 1u << c)) continue;
    if (word[1] == '-' && is_named(options[o].name, word + 2, n - 2)) return o;
    if (word[1] != '-' && word[1] == options[o].letter && !word[2]) return o;
  }
  return -1;
}

static int wrong_option(command c, const char *whole) {
  const char *near = NULL;
  char name[48], word[64];
  snprintf(word, sizeof word, "%.*s", (int)strcspn(whole, "="), whole);
  for (int o = 0; o < OPTION_COUNT; o++) {
    if (!(options[o].commands & 1u << c)) continue;
    snprintf(name, sizeof name, "%s", option_name((option)o));
    if (is_like(word, name)) {
      near = name;
      break;
    }
  }
  if (near) return usage("no option %s; did you mean %s?", safe(word), near);
  return usage("no option %s; tensorvar %s --help lists them", safe(word), commands[c].name);
}

static int read_options(arguments *a, int argc, char **argv) {
  const command_row *row = &commands[a->command];
  bool ended = false;
  for (int i = 0; i < argc; i++) {
    const char *word = argv[i];
    if (ended || word[0] != '-' || !word[1]) {
      a->files[a->n_files++] = word;
      continue;
    }
    if (!strcmp(word, "--")) {
      ended = true;
      continue;
    }
    const int o = find_option(a->command, word);
    if (o < 0) return wrong_option(a->command, word);
    const char *value = strchr(word, '=');
    if (!options[o].value) {
      if (value) return usage("%s takes no value", option_name((option)o));
      a->options[o] = "";
      continue;
    }
    if (value) {
      value++;
    } else if (i + 1 < argc) {
      value = argv[++i];
    } else {
      return usage("%s needs a value: %s", option_name((option)o), options[o].value);
    }
    a->options[o] = value;
  }
  if (given(a, OPTION_help)) return 0;
  if (a->n_files < row->fewest || (row->most && a->n_files > row->most)) {
    return usage("%d file%s given, expected %s", a->n_files, a->n_files == 1 ? "" : "s",
                 row->files);
  }
  return 0;
}

bool arguments_read(arguments *a, int argc, char **argv, int *status) {
  *a = (arguments){0};
  *status = EXIT_USAGE;
  if (argc < 1) {
    usage("no command; tensorvar --help lists them");
    return false;
  }
  const bool asks_help = !strcmp(argv[0], "--help") || !strcmp(argv[0], "-h");
  if (asks_help || !strcmp(argv[0], "--version")) {
    *status = 0;
    if (asks_help) {
      help_all();
    } else {
      printf("tensorvar %s\n", tv_version());
    }
    return false;
  }
  const int c = find_command(argv[0]);
  if (c < 0) {
    const char *near = NULL;
    for (int i = 0; i < COMMAND_COUNT && !near; i++) {
      if (is_like(argv[0], commands[i].name)) near = commands[i].name;
    }
    usage(near ? "no command %s; did you mean %s?" : "no command %s; tensorvar --help lists them",
          safe(argv[0]), near);
    return false;
  }
  a->command = (command)c;
  failure_command(commands[c].name);
  a->files = need((size_t)argc * sizeof *a->files);
  *status = read_options(a, argc - 1, argv + 1);
  if (!*status && given(a, OPTION_help)) {
    help_of(a->command);
    return false;
  }
  return !*status;
}

void arguments_free(arguments *a) { free(a->files); }

/* Values ------------------------------------------------------------------------------------- */

bool option_int(const arguments *a, option o, int64_t low, int64_t high, int64_t otherwise,
                int64_t *value) {
  *value = otherwise;
  const char *text = a->options[o];
  if (!text) return true;
  char *end;
  errno = 0;
  const long long found = strtoll(text, &end, 10);
  if (end == text || *end || errno || found < low || found > high) {
    usage("%s: found %s, expected an integer from %" PRId64 " to %" PRId64, option_name(o),
          safe(text), low, high);
    return false;
  }
  *value = found;
  return true;
}

bool option_real(const arguments *a, option o, double low, double otherwise, double *value) {
  *value = otherwise;
  const char *text = a->options[o];
  if (!text) return true;
  char *end;
  const double found = strtod(text, &end);
  if (end == text || *end || !(found >= low)) {
    usage("%s: found %s, expected a number of at least %g", option_name(o), safe(text), low);
    return false;
  }
  *value = found;
  return true;
}

int option_word(const arguments *a, option o, const char *const *words) {
  const char *text = a->options[o];
  if (!text) return 0;
  char all[256] = "";
  size_t n = 0;
  for (int i = 0; words[i]; i++) {
    if (!strcmp(text, words[i])) return i;
    if (n < sizeof all) {
      n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", i ? ", " : "", words[i]);
    }
  }
  usage("%s: found %s, expected one of %s", option_name(o), safe(text), all);
  return -1;
}
