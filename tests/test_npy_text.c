/* SPDX-License-Identifier: MIT
 * Tokens of .npy headers, which end where the text ends and not at a NUL. Refusals as a user reads
 * them are in test_npy_header.c. */
#include "io/npy_text.h"

#include <string.h>
#include <tensorvar/tensor.h>

#include "check.h"

static tvi_npy_text text_of(const char *text, int64_t n) {
  const uint8_t *const bytes = (const uint8_t *)text;
  return (tvi_npy_text){"x", bytes, bytes, bytes + n};
}
#define TEXT(literal) text_of(literal, sizeof literal - 1)

TEST(tokens_end_with_the_text) {
  tvi_npy_text in = text_of("True", 3);
  CHECK(!tvi_npy_take_word(&in, "True"));
  in = text_of("True2", 4);
  CHECK(tvi_npy_take_word(&in, "True"));
  in = TEXT("True2");
  CHECK(!tvi_npy_take_word(&in, "True"));
  CHECK(in.at == in.begin);
  in = TEXT(" \t\r\n");
  CHECK(!tvi_npy_take(&in, ','));
  CHECK(in.at == in.end);
  in = TEXT(" , ");
  CHECK(tvi_npy_take(&in, ','));
  EQUAL(in.end - in.at, 1);
}

TEST(strings_have_two_quotes) {
  const uint8_t *text = NULL;
  int64_t n = 0;
  tvi_npy_text in = TEXT(" \"it's\" ");
  OK(tvi_npy_take_string(&in, "a key", &text, &n));
  EQUAL(n, 4);
  CHECK(!memcmp(text, "it's", 4));
  in = TEXT("'abc");
  FAILS_STATUS(TV_EFORMAT,
               "x: header byte 4: found the end of the header, expected the closing quote",
               tvi_npy_take_string(&in, "a key", &text, &n));
  in = TEXT("'a\0'");
  FAILS_STATUS(TV_EFORMAT,
               "x: header byte 2: found \\x00, expected a printable ASCII character other than "
               "backslash",
               tvi_npy_take_string(&in, "a key", &text, &n));
  in = TEXT("abc");
  FAILS_STATUS(TV_EFORMAT, "x: header byte 0: found abc, expected a key",
               tvi_npy_take_string(&in, "a key", &text, &n));
}

TEST(shapes_are_taken) {
  int64_t shape[TV_MAX_RANK];
  int rank = -1;
  tvi_npy_text in = TEXT("( 2L ,3 , ) ");
  OK(tvi_npy_take_shape(&in, true, &rank, shape));
  EQUAL(rank, 2);
  EQUAL(shape[0], 2);
  EQUAL(shape[1], 3);
  in = TEXT("()");
  OK(tvi_npy_take_shape(&in, false, &rank, shape));
  EQUAL(rank, 0);
  in = TEXT("(2L,)");
  FAILS_STATUS(TV_EFORMAT, "x: header byte 1: found 2L, expected a size: digits, at most 2^63-1",
               tvi_npy_take_shape(&in, false, &rank, shape));
}

TEST(found_is_escaped_and_cut) {
  char out[TVI_NPY_FOUND];
  tvi_npy_text in = TEXT("'0123456789012345678901234567890123456789012345678901234567890'");
  SAME_TEXT(tvi_npy_found(&in, in.at, out), "'012345678901234567890123456789012345678...");
  in = TEXT("-12 ");
  SAME_TEXT(tvi_npy_found(&in, in.at, out), "-12");
  SAME_TEXT(tvi_npy_found(&in, in.end, out), "the end of the header");
  in = TEXT("\xff");
  SAME_TEXT(tvi_npy_found(&in, in.at, out), "\\xff");
}

TEST(edges_end_with_a_line_break_or_have_none) {
  tvi_npy_text in = TEXT("  {");
  OK(tvi_npy_skip_edge(&in));
  EQUAL(*in.at, '{');
  in = TEXT("\n {");
  FAILS_STATUS(TV_EFORMAT, "x: header byte 1: found  , expected no blank behind a line break",
               tvi_npy_skip_edge(&in));
}

TEST_MAIN("npy_text", CASE(tokens_end_with_the_text), CASE(strings_have_two_quotes),
          CASE(shapes_are_taken), CASE(found_is_escaped_and_cut),
          CASE(edges_end_with_a_line_break_or_have_none))
