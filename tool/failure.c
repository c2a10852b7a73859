/* SPDX-License-Identifier: MIT
 * Messages: one line, "tensorvar: COMMAND: FILE: what was found and what was expected", and a hint
 * below it where an option would help. */
#include "failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorvar/tensorvar.h>

#include "progress.h"

static const char *command_now;

void failure_command(const char *name) { command_now = name; }

static void say(const char *format, va_list values) {
  progress_end();
  fflush(stdout);
  fputs("tensorvar: ", stderr);
  if (command_now) fprintf(stderr, "%s: ", command_now);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
}

int usage(const char *format, ...) {
  va_list values;
  va_start(values, format);
  say(format, values);
  va_end(values);
  return EXIT_USAGE;
}

int trouble(const char *format, ...) {
  va_list values;
  va_start(values, format);
  say(format, values);
  va_end(values);
  return EXIT_TROUBLE;
}

const char *library_text(const char *path) {
  const char *text = tv_error_text();
  const size_t who = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");
  if (who && !strncmp(text + who, ": ", 2)) text += who + 2;
  const size_t n = path ? strlen(path) : 0;
  if (n && !strncmp(text, path, n) && !strncmp(text + n, ": ", 2)) text += n + 2;
  return text;
}

/* A phrase of the library's, and the option that answers it. */
static const char *hint(const char *text) {
  static const char *const hints[][2] = {
      {"ask for a field", "--field NAME takes one"},
      {"if this is bfloat16", "--bf16 reads it as bfloat16"},
  };
  for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
    if (strstr(text, hints[i][0])) return hints[i][1];
  }
  return NULL;
}

/* Of a file, or where `path` is NULL of none. */
static int tell_library(const char *path, const char *text) {
  if (stop_signal()) {
    tv_error_clear();
    progress_end();
    return 128 + stop_signal();
  }
  const char *help = hint(text);
  if (path) {
    trouble("%s: %s", safe(path), safe(text));
  } else {
    trouble("%s", safe(text));
  }
  if (help) fprintf(stderr, "  hint: %s\n", help);
  tv_error_clear();
  return EXIT_TROUBLE;
}

int library_trouble(const char *path) { return tell_library(path, library_text(path)); }

int library_trouble_beside(const char *path, const char *beside) {
  const char *slash = strrchr(beside, '/'), *name = slash ? slash + 1 : beside;
  const char *text = library_text(NULL);
  /* The library may shorten a folder's name, and write it with escapes; this name it leaves. */
  const char *found = strstr(text, name);
  if (found && !strncmp(found + strlen(name), ": ", 2)) text = found + strlen(name) + 2;
  return tell_library(path, text);
}

const char *safe(const char *text) {
  static char *kept[4];
  static int next;
  next = (next + 1) % 4;
  free(kept[next]);
  char *out = kept[next] = need(4 * strlen(text) + 1);
  for (; *text; text++) {
    const unsigned char c = (unsigned char)*text;
    if (c < 0x20 || c == 0x7f) {
      out += snprintf(out, 5, "\\x%02x", c);
    } else {
      *out++ = (char)c;
    }
  }
  *out = '\0';
  return kept[next];
}

void *need(size_t n) {
  void *block = calloc(n ? n : 1, 1);
  if (block) return block;
  fprintf(stderr, "tensorvar: no memory for %zu bytes\n", n);
  exit(EXIT_TROUBLE);
}
