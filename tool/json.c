/* SPDX-License-Identifier: MIT
 * JSON (RFC 8259) on the standard output. One object a line, so that a reader may take them one by
 * one. */
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "number.h"

static int depth;
static bool needs_comma;

static void begin_value(void) {
  if (needs_comma) fputs(", ", stdout);
  needs_comma = true;
}

void json_open(char bracket) {
  begin_value();
  putchar(bracket);
  depth++;
  needs_comma = false;
}

void json_close(char bracket) {
  putchar(bracket);
  needs_comma = --depth > 0;
  if (!depth) putchar('\n');
}

/* The length of the character of UTF-8 at `c`; 0 if there is none (RFC 3629). */
static int character(const unsigned char *c) {
  if (*c < 0x80) return 1;
  const int n = *c >= 0xc2 && *c < 0xe0   ? 2
                : (*c & 0xf0) == 0xe0     ? 3
                : *c >= 0xf0 && *c < 0xf5 ? 4
                                          : 0;
  for (int i = 1; i < n; i++) {
    if ((c[i] & 0xc0) != 0x80) return 0;
  }
  if ((*c == 0xe0 && c[1] < 0xa0) || (*c == 0xed && c[1] >= 0xa0)) return 0; /* long; a surrogate */
  if ((*c == 0xf0 && c[1] < 0x90) || (*c == 0xf4 && c[1] >= 0x90)) return 0;
  return n;
}

static void put_quoted(const char *text) {
  putchar('"');
  for (const unsigned char *c = (const unsigned char *)text; *c;) {
    const int n = character(c);
    if (n == 0) {
      fputs("\xef\xbf\xbd", stdout);
    } else if (*c == '"' || *c == '\\') {
      printf("\\%c", *c);
    } else if (*c < 0x20 || *c == 0x7f) {
      printf("\\u%04x", *c);
    } else {
      printf("%.*s", n, (const char *)c);
    }
    c += n ? n : 1;
  }
  putchar('"');
}

void json_key(const char *key) {
  begin_value();
  put_quoted(key);
  fputs(": ", stdout);
  needs_comma = false;
}

void json_text(const char *text) {
  begin_value();
  if (text) {
    put_quoted(text);
  } else {
    fputs("null", stdout);
  }
}

void json_int(int64_t value) {
  begin_value();
  printf("%" PRId64, value);
}

void json_uint(uint64_t value) {
  begin_value();
  printf("%" PRIu64, value);
}

void json_real(double value, bool is_single) {
  if (isnan(value)) {
    json_text("NaN");
  } else if (isinf(value)) {
    json_text(value > 0 ? "Infinity" : "-Infinity");
  } else {
    char text[NUMBER_SIZE];
    begin_value();
    fputs(number_text(value, is_single, text), stdout);
  }
}

void json_bool(bool value) {
  begin_value();
  fputs(value ? "true" : "false", stdout);
}

void json_shape(int rank, const int64_t *shape) {
  json_open('[');
  for (int k = 0; k < rank; k++) json_int(shape[k]);
  json_close(']');
}

static int64_t put_lists(int rank, const int64_t *shape, void (*put)(void *user, int64_t i),
                         void *user, int64_t i) {
  if (rank == 0) {
    put(user, i);
    return i + 1;
  }
  json_open('[');
  for (int64_t k = 0; k < shape[0]; k++) i = put_lists(rank - 1, shape + 1, put, user, i);
  json_close(']');
  return i;
}

void json_lists(int rank, const int64_t *shape, void (*put)(void *user, int64_t i), void *user) {
  put_lists(rank, shape, put, user, 0);
}
