/* SPDX-License-Identifier: MIT
 * Text that grows, and foreign bytes in messages. */
#include "writer.h"

#include <string.h>

#include "check.h"
#include "memory.h"

static const char *escaped(size_t capacity, const char *bytes, size_t n) {
  static char out[100];
  memset(out, '!', sizeof out);
  tvi_escape(out, capacity, bytes, n);
  CHECK(memchr(out, '\0', capacity));
  return out;
}

TEST(foreign_bytes_become_plain_ascii) {
  SAME_TEXT(escaped(50, "a b~", 4), "a b~");
  SAME_TEXT(escaped(50, "\0\n\\\x7f\xff", 5), "\\x00\\x0a\\x5c\\x7f\\xff");
  SAME_TEXT(escaped(50, "%n", 2), "%n");
  SAME_TEXT(escaped(5, "", 0), "");
}

TEST(what_does_not_fit_is_cut) {
  SAME_TEXT(escaped(8, "abcd", 4), "abcd");
  SAME_TEXT(escaped(8, "abcde", 5), "abcd...");
  SAME_TEXT(escaped(8, "a\nb", 3), "a...");
  SAME_TEXT(escaped(5, "ab", 2), "a...");
}

/* The text so far, which is then freed. */
static const char *taken(tvi_writer *w) {
  static char out[400];
  CHECK(!w->has_failed && w->n < (int64_t)sizeof out);
  if (w->n) memcpy(out, w->bytes, (size_t)w->n);
  out[w->n] = '\0';
  tvi_writer_free(w);
  return out;
}

TEST(integers_are_exact_at_both_ends) {
  tvi_writer w = TVI_WRITER;
  tvi_writer_put_int(&w, 0);
  tvi_writer_put(&w, " ", 1);
  tvi_writer_put_int(&w, INT64_MIN);
  tvi_writer_put(&w, " ", 1);
  tvi_writer_put_int(&w, INT64_MAX);
  SAME_TEXT(taken(&w), "0 -9223372036854775808 9223372036854775807");
  char out[TVI_INTEGER_SIZE];
  EQUAL(tvi_integer_text(UINT64_MAX, false, out), 20);
  CHECK(!memcmp(out, "18446744073709551615", 20));
}

TEST(shapes_are_tuples_of_python) {
  tvi_writer w = TVI_WRITER;
  tvi_writer_put_tuple(&w, 0, NULL);
  tvi_writer_put_tuple(&w, TV_SHAPE(3));
  tvi_writer_put_tuple(&w, TV_SHAPE(-1, 50));
  SAME_TEXT(taken(&w), "()(3,)(None, 50)");
}

TEST(text_grows_and_is_trimmed) {
  tvi_writer w = TVI_WRITER;
  for (int i = 0; i < 100; i++) tvi_writer_put_string(&w, "ab ");
  EQUAL(w.n, 300);
  tvi_writer_trim(&w, 0);
  EQUAL(w.n, 299);
  tvi_writer_put_repeated(&w, ' ', 5);
  tvi_writer_put_repeated(&w, ' ', -5);
  tvi_writer_trim(&w, 302);
  EQUAL(w.n, 302);
  tvi_writer_free(&w);
  SAME_TEXT(taken(&w), "");
}

TEST(once_out_of_memory_nothing_is_added) {
  tvi_writer w = TVI_WRITER;
  tvi_memory_fail(1, false);
  tvi_writer_put_string(&w, "lost");
  tvi_memory_fail(0, false);
  CHECK(w.has_failed);
  tvi_writer_put_string(&w, "lost too");
  tvi_writer_trim(&w, -3);
  EQUAL(w.n, 0);
  tvi_writer_free(&w);
  tvi_writer_put_repeated(&w, ' ', INT64_MAX); /* more than there can be */
  CHECK(w.has_failed);
  tvi_writer_free(&w);
}

TEST_MAIN("writer", CASE(foreign_bytes_become_plain_ascii), CASE(what_does_not_fit_is_cut),
          CASE(integers_are_exact_at_both_ends), CASE(shapes_are_tuples_of_python),
          CASE(text_grows_and_is_trimmed), CASE(once_out_of_memory_nothing_is_added))
