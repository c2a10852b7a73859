/* SPDX-License-Identifier: MIT */
/* Text that grows, and foreign bytes made fit for a message. */
#include "writer.h"

#include <string.h>

#include "memory.h"

void tvi_writer_free(tvi_writer *text) {
  tvi_free(text->bytes);
  *text = (tvi_writer)TVI_WRITER;
}

/* Room for n more bytes; NULL if there is none. */
static char *reserve(tvi_writer *text, int64_t n) {
  if (text->has_failed || n <= 0) return NULL;
  if (n > text->capacity - text->n) {
    if (n > INT64_MAX / 4 - text->n) {
      text->has_failed = true;
      return NULL;
    }
    /* Doubling keeps the bytes copied below twice the bytes written. */
    const int64_t capacity = text->n + n > 128 ? 2 * (text->n + n) : 256;
    char *bytes = tvi_realloc(text->bytes, capacity);
    if (!bytes) {
      text->has_failed = true;
      return NULL;
    }
    text->bytes = bytes;
    text->capacity = capacity;
  }
  char *out = text->bytes + text->n;
  text->n += n;
  return out;
}

void tvi_writer_put(tvi_writer *text, const char *bytes, int64_t n) {
  char *out = reserve(text, n);
  if (out) memcpy(out, bytes, (size_t)n);
}

void tvi_writer_put_string(tvi_writer *text, const char *string) {
  tvi_writer_put(text, string, (int64_t)strlen(string));
}

void tvi_writer_put_repeated(tvi_writer *text, char c, int64_t n) {
  char *out = reserve(text, n);
  if (out) memset(out, c, (size_t)n);
}

void tvi_writer_put_int(tvi_writer *text, int64_t value) {
  char digits[TVI_INTEGER_SIZE];
  const uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  tvi_writer_put(text, digits, tvi_integer_text(magnitude, value < 0, digits));
}

void tvi_writer_put_tuple(tvi_writer *text, int rank, const int64_t *shape) {
  tvi_writer_put(text, "(", 1);
  for (int i = 0; i < rank; i++) {
    if (i) tvi_writer_put(text, ", ", 2);
    if (shape[i] < 0) {
      tvi_writer_put_string(text, "None");
    } else {
      tvi_writer_put_int(text, shape[i]);
    }
  }
  tvi_writer_put_string(text, rank == 1 ? ",)" : ")");
}

void tvi_writer_trim(tvi_writer *text, int64_t from) {
  while (!text->has_failed && text->n > from && text->bytes[text->n - 1] == ' ') text->n--;
}

int tvi_integer_text(uint64_t magnitude, bool is_negative, char out[TVI_INTEGER_SIZE]) {
  char reversed[TVI_INTEGER_SIZE];
  int digits = 0, n = 0;
  do reversed[digits++] = (char)('0' + magnitude % 10);
  while (magnitude /= 10);
  if (is_negative) out[n++] = '-';
  while (digits) out[n++] = reversed[--digits];
  return n;
}

const char *tvi_escape(char *out, size_t capacity, const void *bytes, size_t n) {
  static const char hex[] = "0123456789abcdef";
  const unsigned char *in = bytes;
  const size_t room = capacity - 4; /* "..." and NUL */
  size_t used = 0, i = 0;
  for (; i < n; i++) {
    const bool is_plain = in[i] >= 0x20 && in[i] < 0x7f && in[i] != '\\';
    if (used + (is_plain ? 1 : 4) > room) break;
    if (is_plain) {
      out[used++] = (char)in[i];
    } else {
      out[used++] = '\\';
      out[used++] = 'x';
      out[used++] = hex[in[i] >> 4];
      out[used++] = hex[in[i] & 15];
    }
  }
  if (i < n) {
    memcpy(out + used, "...", 3);
    used += 3;
  }
  out[used] = '\0';
  return out;
}
