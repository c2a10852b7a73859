/* SPDX-License-Identifier: MIT
 * Printing tensors and Variables through the public functions. */
#include <stdio.h>
#include <string.h>

#include "far.h"

#include "check.h"
#include "memory.h"

static const char *text_of(tv_tensor *x, tv_text_style style) {
  static char out[4000];
  const int64_t n = tv_format(x, style, out, sizeof out);
  EQUAL(n, strlen(out));
  return out;
}

static tv_tensor *count(int64_t n) { return tv_arange_int(TV_I64, 0, n, 1); }

TEST(a_tensor_prints_as_numpy_does) {
  tv_tensor *x = tv_tensor_from_memory((const float[]){1, 2.5}, TV_F32, TV_SHAPE(2), NULL);
  SAME_TEXT(text_of(x, TV_REPR), "array([1. , 2.5], dtype=float32)");
  SAME_TEXT(text_of(x, TV_STR), "[1.  2.5]");
}

TEST(weak_scalars_print_as_their_dtype) {
  SAME_TEXT(text_of(tv_scalar(3), TV_REPR), "array(3)");
  SAME_TEXT(text_of(tv_scalar(.5), TV_STR), "0.5");
  SAME_TEXT(text_of(tv_scalar_complex(1, 2), TV_STR), "(1+2j)");
}

TEST(any_layout_prints_in_its_order) {
  const tv_memory_options swapped = {sizeof swapped, true,         (const int64_t[]){4, 8},
                                     NULL,           NULL,         TV_DEVICE_NONE,
                                     NULL,           TV_GUARD_NONE};
  const int32_t elements[] = {1, 2, 3, 4};
  tv_tensor *x = tv_tensor_from_memory(elements, TV_I32, TV_SHAPE(2, 2), &swapped);
  SAME_TEXT(text_of(x, TV_STR), "[[1 3]\n [2 4]]");
  const tv_memory_options back = {sizeof back,    true, (const int64_t[]){-4}, NULL, NULL,
                                  TV_DEVICE_NONE, NULL, TV_GUARD_NONE};
  x = tv_tensor_from_memory(elements + 3, TV_I32, TV_SHAPE(4), &back);
  SAME_TEXT(text_of(x, TV_STR), "[4 3 2 1]");
}

TEST(long_tensors_show_their_corners) {
  SAME_TEXT(text_of(count(2000), TV_STR), "[   0    1    2 ... 1997 1998 1999]");
  const int64_t steps[] = {-8, 160 * 8, 8};
  int64_t elements[8 * 160];
  for (int i = 0; i < 8 * 160; i++) elements[i] = i;
  const tv_memory_options odd = {sizeof odd, true,           steps, NULL,
                                 NULL,       TV_DEVICE_NONE, NULL,  TV_GUARD_NONE};
  tv_tensor *x = tv_tensor_from_memory(elements + 1, TV_I64, TV_SHAPE(2, 8, 100), &odd);
  SAME_TEXT(text_of(x, TV_STR),
            "[[[   1    2    3 ...   98   99  100]\n  [ 161  162  163 ...  258  259  260]\n"
            "  [ 321  322  323 ...  418  419  420]\n  ...\n  [ 801  802  803 ...  898  899  900]\n"
            "  [ 961  962  963 ... 1058 1059 1060]\n  [1121 1122 1123 ... 1218 1219 1220]]\n\n"
            " [[   0    1    2 ...   97   98   99]\n  [ 160  161  162 ...  257  258  259]\n"
            "  [ 320  321  322 ...  417  418  419]\n  ...\n  [ 800  801  802 ...  897  898  899]\n"
            "  [ 960  961  962 ... 1057 1058 1059]\n  [1120 1121 1122 ... 1217 1218 1219]]]");
}

TEST(tensors_of_another_device_print) {
  SAME_TEXT(text_of(tv_to(count(3), far_device()), TV_STR), "[0 1 2]");
  tv_tensor *x = tv_flip(tv_to(count(2000), far_device()), TV_ALL_AXES);
  SAME_TEXT(text_of(x, TV_STR), "[1999 1998 1997 ...    2    1    0]");
}

TEST(only_what_is_shown_is_read) {
  /* 2^60 elements that lie in 8 bytes. */
  const int64_t one = 1, steps[] = {0, 0};
  const tv_memory_options wide = {sizeof wide, true,           steps, NULL,
                                  NULL,        TV_DEVICE_NONE, NULL,  TV_GUARD_NONE};
  tv_tensor *x =
      tv_tensor_from_memory(&one, TV_I64, TV_SHAPE(INT64_C(1) << 30, INT64_C(1) << 29), &wide);
  SAME_TEXT(text_of(x, TV_STR),
            "[[1 1 1 ... 1 1 1]\n [1 1 1 ... 1 1 1]\n [1 1 1 ... 1 1 1]\n ...\n"
            " [1 1 1 ... 1 1 1]\n [1 1 1 ... 1 1 1]\n [1 1 1 ... 1 1 1]]");
}

TEST(length_is_told_and_text_is_cut_to_fit) {
  char out[8];
  memset(out, '!', sizeof out);
  EQUAL(tv_format(tv_scalar(12345), TV_STR, NULL, 0), 5);
  EQUAL(tv_format(tv_scalar(12345), TV_STR, out, 4), 5);
  SAME_TEXT(out, "123");
  EQUAL(out[4], '!');
  EQUAL(tv_format(tv_scalar(12345), TV_STR, out, 1), 5);
  SAME_TEXT(out, "");
  EQUAL(tv_format(tv_scalar(12345), TV_STR, out, 6), 5);
  SAME_TEXT(out, "12345");
}

TEST(arguments_without_meaning_are_refused) {
  char out[8];
  EQUAL(tv_format(NULL, TV_STR, out, 8), -1);
  FAILS_STATUS(TV_EVALUE, "format: x is NULL", tv_error());
  EQUAL(tv_format(tv_scalar(1), TV_STR, NULL, 8), -1);
  FAILS_STATUS(TV_EVALUE, "format: text is NULL", tv_error());
  EQUAL(tv_format(tv_scalar(1), TV_STR, out, -1), -1);
  FAILS_STATUS(TV_EVALUE, "format: capacity is -1", tv_error());
  EQUAL(tv_format(tv_scalar(1), (tv_text_style)7, out, 8), -1);
  FAILS_STATUS(TV_EVALUE, "format: style is 7, which is none", tv_error());
  EQUAL(tv_variable_format(NULL, out, 8), -1);
  FAILS_STATUS(TV_EVALUE, "variable_format: variable is NULL", tv_error());
  FAILS_STATUS(TV_EVALUE, "print: stream is NULL", tv_print(NULL, tv_scalar(1)));
  FAILS_STATUS(TV_EVALUE, "print: x is NULL", tv_print(stdout, NULL));
  FAILS_STATUS(TV_EVALUE, "variable_print: variable is NULL", tv_variable_print(stdout, NULL));
}

static const char *variable_text(tv_variable *v) {
  static char out[1000];
  OK(v ? TV_OK : tv_error());
  const int64_t n = tv_variable_format(v, out, sizeof out);
  EQUAL(n, strlen(out));
  tv_variable_release(v);
  return out;
}

TEST(a_variable_prints_as_tensorflows_does) {
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  tv_tensor *x = tv_tensor_from_memory((const float[]){1, 2, 3, 4}, TV_F32, TV_SHAPE(2, 2), NULL);
  SAME_TEXT(variable_text(tv_variable_new(x, NULL)),
            "<tv.Variable 'Variable:0' shape=(2, 2) dtype=float32, numpy=\n"
            "array([[1., 2.],\n       [3., 4.]], dtype=float32)>");
  options.name = "w";
  SAME_TEXT(variable_text(tv_variable_new(count(3), &options)),
            "<tv.Variable 'w:0' shape=(3,) dtype=int64, numpy=array([0, 1, 2])>");
  SAME_TEXT(
      variable_text(tv_variable_new(tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(5)), &options)),
      "<tv.Variable 'w:0' shape=() dtype=float64, numpy=5.0>");
  const bool open[] = {true};
  options.open_axes = open;
  SAME_TEXT(variable_text(tv_variable_new(count(2), &options)),
            "<tv.Variable 'w:0' shape=(None,) dtype=int64, numpy=array([0, 1])>");
}

static void printed(FILE *stream, const char *want) {
  char got[200] = "";
  rewind(stream);
  const size_t n = fread(got, 1, sizeof got - 1, stream);
  got[n] = '\0';
  SAME_TEXT(got, want);
  fclose(stream);
}

TEST(printing_goes_to_the_callers_stream) {
  FILE *stream = tmpfile();
  CHECK(stream);
  tv_variable *v = tv_variable_new(count(2), NULL);
  OK(tv_print(stream, count(3)));
  OK(tv_variable_print(stream, v));
  tv_variable_release(v);
  printed(stream,
          "array([0, 1, 2])\n"
          "<tv.Variable 'Variable:0' shape=(2,) dtype=int64, numpy=array([0, 1])>\n");
}

TEST(a_full_stream_is_told) {
  FILE *full = fopen("/dev/full", "w");
  if (!full) SKIP("no /dev/full here");
  setvbuf(full, NULL, _IONBF, 0);
  tv_tensor *x = count(3);
  const tv_status status = tv_print(full, x);
  fclose(full);
  FAILS_STATUS(TV_EIO, "print: cannot write: No space left on device", status);
}

TEST(any_allocation_may_fail) {
  int64_t n = 0;
  char out[100];
  tv_tensor *x = count(2000);
  for (int64_t got = -1; got < 0;) {
    const int64_t live = tv_live_handles();
    tvi_memory_fail(++n, false);
    got = tv_format(x, TV_STR, out, sizeof out);
    tvi_memory_fail(0, false);
    EQUAL(tv_live_handles(), live);
    if (got < 0) EQUAL(tv_error(), TV_ENOMEM);
    tv_error_clear();
  }
  SAME_TEXT(out, "[   0    1    2 ... 1997 1998 1999]");
  CHECK(n > 4);
}

TEST(any_allocation_of_a_print_may_fail) {
  char out[200];
  tv_variable *v = tv_variable_new(count(2), NULL);
  FILE *stream = tmpfile();
  CHECK(stream);
  int64_t n = 0;
  for (tv_status status = TV_ENOMEM; status; tv_error_clear()) {
    tvi_memory_fail(++n, false);
    status = n % 2 ? tv_variable_print(stream, v) : TV_ENOMEM;
    const int64_t got = n % 2 ? 0 : tv_variable_format(v, out, sizeof out);
    tvi_memory_fail(0, false);
    if (got > 0) break;
  }
  CHECK(n > 4);
  n = 0;
  for (tv_status status = TV_ENOMEM; status; tv_error_clear()) {
    tvi_memory_fail(++n, false);
    status = tv_print(stream, tv_scalar(1));
    tvi_memory_fail(0, false);
  }
  fclose(stream);
  tv_variable_release(v);
}

TEST_MAIN("format", CASE(a_tensor_prints_as_numpy_does), CASE(weak_scalars_print_as_their_dtype),
          CASE(any_layout_prints_in_its_order), CASE(long_tensors_show_their_corners),
          CASE(tensors_of_another_device_print), CASE(only_what_is_shown_is_read),
          CASE(length_is_told_and_text_is_cut_to_fit), CASE(arguments_without_meaning_are_refused),
          CASE(a_variable_prints_as_tensorflows_does), CASE(printing_goes_to_the_callers_stream),
          CASE(a_full_stream_is_told), CASE(any_allocation_may_fail),
          CASE(any_allocation_of_a_print_may_fail))
