/* SPDX-License-Identifier: MIT */
/* Text that grows, and foreign bytes made fit for a message. No locale. */
#ifndef TVI_WRITER_H
#define TVI_WRITER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A text that grows. Starts as TVI_WRITER; the owner calls tvi_writer_free. The first allocation
 * that fails sets has_failed, and nothing is added from then on: write it all, check once. */
typedef struct tvi_writer {
  char *bytes; /* n of them, no NUL; NULL while there is nothing */
  int64_t n, capacity;
  bool has_failed;
} tvi_writer;
#define TVI_WRITER \
  { NULL, 0, 0, false }

void tvi_writer_free(tvi_writer *text);
void tvi_writer_put(tvi_writer *text, const char *bytes, int64_t n);
void tvi_writer_put_string(tvi_writer *text, const char *string);
void tvi_writer_put_repeated(tvi_writer *text, char c, int64_t n);
void tvi_writer_put_int(tvi_writer *text, int64_t value);
/** Python's tuple: "()", "(3,)", "(2, 3)"; a size of -1 is None. */
void tvi_writer_put_tuple(tvi_writer *text, int rank, const int64_t *shape);
/** Take trailing spaces away, but none before position `from`. */
void tvi_writer_trim(tvi_writer *text, int64_t from);

enum { TVI_INTEGER_SIZE = 20 };

/** The decimal digits of a magnitude, with '-' before them if asked; returns how many characters.
 */
int tvi_integer_text(uint64_t magnitude, bool is_negative, char out[TVI_INTEGER_SIZE]);

/**
 * n bytes as printable ASCII with NUL: others, and backslash, become \xHH.
 *
 * What does not fit into `capacity` (at least 5) is cut, and "..." then ends it. Returns out.
 */
const char *tvi_escape(char *out, size_t capacity, const void *bytes, size_t n);

#endif
