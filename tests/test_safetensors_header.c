/* SPDX-License-Identifier: MIT
 * Headers of safetensors files: what is read, and each rule of the format broken alone. The
 * safetensors package is asked the same in tests/conformance/test_safetensors.py. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "io/safetensors_header.h"
#include "memory.h"

static tv_status parse(tvi_safetensors_header *h, const char *text, int64_t data) {
  const size_t n = strlen(text);
  char *const copy = tvi_malloc((int64_t)n); /* without NUL at its end: whoever reads on is seen */
  *h = (tvi_safetensors_header){.text = NULL};
  if (!copy) return tvi_safetensors_parse(h, "x", NULL, 0, 0);
  memcpy(copy, text, n);
  return tvi_safetensors_parse(h, "x", copy, (int64_t)n, data);
}

#define W "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}"
#define B "\"b\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[24,27]}"

TEST(entries_are_read_in_the_order_of_their_data) {
  static const char *const spellings[] = {
      "{" W "," B "}", "{" B "," W "}   ", " {\n" W "\t,\r" B " } \n",
      "{\"b\" : {\"shape\" : [ 3 ] , \"data_offsets\" : [ 24 , 27 ], \"dtype\":\"I8\"}," W "}"};
  for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
    tvi_safetensors_header h;
    OK(parse(&h, spellings[i], 27));
    EQUAL(h.n, 2);
    SAME_TEXT(h.entries[0].name, "w");
    EQUAL(h.entries[0].dtype, TV_F32);
    EQUAL(h.entries[0].rank, 2);
    EQUAL(h.sizes[h.entries[0].shape_at + 1], 3);
    EQUAL(h.entries[1].begin, 24);
    SAME_TEXT(tvi_safetensors_find(&h, "b")->name, "b");
    CHECK(!tvi_safetensors_find(&h, "c"));
    tvi_safetensors_free(&h);
  }
}

TEST(all_dtypes_are_known) {
  static const char *const names[] = {"BOOL", "U8",  "I8",  "U16",  "I16", "U32", "I32",
                                      "U64",  "I64", "F16", "BF16", "F32", "F64", "C64"};
  static const tv_dtype dtypes[] = {TV_BOOL, TV_U8,  TV_I8,  TV_U16,  TV_I16, TV_U32, TV_I32,
                                    TV_U64,  TV_I64, TV_F16, TV_BF16, TV_F32, TV_F64, TV_C64};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char text[100];
    tvi_safetensors_header h;
    snprintf(text, sizeof text, "{\"x\":{\"dtype\":\"%s\",\"shape\":[],\"data_offsets\":[0,%d]}}",
             names[i], (int)tv_dtype_size(dtypes[i]));
    OK(parse(&h, text, tv_dtype_size(dtypes[i])));
    EQUAL(h.entries[0].dtype, dtypes[i]);
    EQUAL(h.entries[0].rank, 0);
    SAME_TEXT(tvi_safetensors_dtype(dtypes[i]), names[i]);
    tvi_safetensors_free(&h);
  }
  CHECK(!tvi_safetensors_dtype(TV_C128));
}

TEST(texts_are_decoded) {
  tvi_safetensors_header h;
  OK(parse(&h,
           "{\"__metadata__\":{\"a\\n\\\"\\\\\\/\\b\\f\\r\\t\":\"\\u00b5\\u20AC\\ud83d\\ude00 "
           "\xC2\xB5\",\"\":\"\"}}",
           0));
  EQUAL(h.n, 0);
  EQUAL(h.n_metadata, 2);
  SAME_TEXT(h.metadata[0].key, "a\n\"\\/\b\f\r\t");
  SAME_TEXT(h.metadata[0].value, "\xC2\xB5\xE2\x82\xAC\xF0\x9F\x98\x80 \xC2\xB5");
  SAME_TEXT(h.metadata[1].value, "");
  tvi_safetensors_free(&h);
}

TEST(arrays_without_elements_lie_anywhere_between) {
  tvi_safetensors_header h;
  OK(parse(&h,
           "{\"z\":{\"dtype\":\"U8\",\"shape\":[0,9],\"data_offsets\":[24,24]}," W "," B
           ",\"e\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[27,27]}}",
           27));
  EQUAL(h.n, 4);
  SAME_TEXT(h.entries[1].name, "z");
  SAME_TEXT(h.entries[3].name, "e");
  tvi_safetensors_free(&h);
}

#define AS(dtype, shape, offsets) \
  "{\"w\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

TEST(each_rule_is_kept) {
  static const struct {
    const char *text;
    int64_t data;
    const char *why;
  } rules[] = {
      {"", 0, "x: header byte 0: found the end of the header, expected '{'"},
      {"[]", 0, "x: header byte 0: found [, expected '{'"},
      {"{", 0, "x: header byte 1: found the end of the header, expected a name in quotes"},
      {"{}x", 0, "x: header byte 2: found x, expected nothing but blanks behind '}'"},
      {"{}\v", 0, "x: header byte 2: found \\x0b, expected nothing but blanks behind '}'"},
      {"{,}", 0, "x: header byte 1: found ,, expected a name in quotes"},
      {"{" W ",}", 24, "x: header byte 57: found }, expected a name in quotes"},
      {"{" W " " B "}", 27, "x: header byte 57: found \"b\", expected ',' or '}'"},
      {"{\"w\" 1}", 0, "x: header byte 5: found 1, expected ':'"},
      {"{\"w\":1}", 0, "x: header byte 5: found 1, expected '{'"},
      {"{\"w\":{}}", 0, "x: header byte 6: found }, expected a field in quotes"},
      {"{\"w\":{\"dtype\":\"F32\"}}", 0, "x: header byte 19: found }, expected the field shape"},
      {"{\"w\":{\"dtype\":\"F32\",\"shape\":[]}}", 0,
       "x: header byte 30: found }, expected the field data_offsets"},
      {"{\"w\":{\"shape\":[]}}", 0, "x: header byte 16: found }, expected the field dtype"},
      {"{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 0,
       "x: header byte 20: found \"dtype, expected each field once"},
      {"{\"w\":{\"strides\":[]}}", 0,
       "x: header byte 6: found \"strides, expected the field dtype, shape or data_offsets"},
      {"{\"w\":{\"dtype\" \"F32\"}}", 0, "x: header byte 14: found \"F32\", expected ':'"},
      {AS("1", "[]", "[0,4]"), 4, "x: header byte 14: found 1, expected a dtype in quotes"},
      {AS("\"F8_E4M3\"", "[]", "[0,1]"), 1, "x: header byte 14: dtype 'F8_E4M3' is not supported"},
      {AS("\"F4\"", "[2]", "[0,1]"), 1, "x: header byte 14: dtype 'F4' is not supported"},
      {AS("\"f32\"", "[]", "[0,4]"), 4, "x: header byte 14: dtype 'f32' is not supported"},
      {AS("\"F32\"", "3", "[0,12]"), 12, "x: header byte 28: found 3, expected a list of sizes"},
      {AS("\"F32\"", "[-1]", "[0,4]"), 4,
       "x: header byte 29: found -1, expected a size: digits, at most 2^63-1"},
      {AS("\"F32\"", "[01]", "[0,4]"), 4,
       "x: header byte 29: found 01, expected a size: digits, at most 2^63-1"},
      {AS("\"F32\"", "[1.0]", "[0,4]"), 4, "x: header byte 30: found .0, expected ',' or ']'"},
      {AS("\"F32\"", "[1e0]", "[0,4]"), 4, "x: header byte 30: found e0, expected ',' or ']'"},
      {AS("\"F32\"", "[1,]", "[0,4]"), 4,
       "x: header byte 31: found ], expected a size: digits, at most 2^63-1"},
      {AS("\"F32\"", "[9223372036854775808]", "[0,4]"), 4,
       "x: header byte 29: found 9223372036854775808, expected a size: digits, at most 2^63-1"},
      {AS("\"F32\"", "[4611686018427387904,2]", "[0,4]"), 4,
       "x: header byte 5: found data_offsets [0, 4], which are not those of shape "
       "[4611686018427387904, 2] of float32"},
      {AS("\"F32\"", "[0,4611686018427387904,2]", "[0,0]"), 0,
       "x: header byte 5: found data_offsets [0, 0], which are not those of shape "
       "[0, 4611686018427387904, 2] of float32"},
      {AS("\"F32\"", "[2]", "[0,4]"), 4,
       "x: header byte 5: found data_offsets [0, 4], which are not those of shape [2] of float32"},
      {AS("\"F32\"", "[1]", "[4,0]"), 4,
       "x: header byte 5: found data_offsets [4, 0], which are not those of shape [1] of float32"},
      {AS("\"F32\"", "[1]", "[0]"), 4, "x: header byte 49: found ], expected ','"},
      {AS("\"F32\"", "[1]", "[0,4,8]"), 4, "x: header byte 51: found ,8, expected ']'"},
      {AS("\"F32\"", "[1]", "{}"), 4, "x: header byte 47: found {, expected two offsets"},
      {AS("\"F32\"", "[1]", "[1,5]"), 5,
       "x: header: found 'w' at data offset 1, expected 0: arrays follow each other without hole "
       "or "
       "overlap"},
      {"{" W "}", 23, "x: found 23 bytes of data, expected 24"},
      {"{" W "}", 25, "x: found 25 bytes of data, expected 24"},
      {"{}", 1, "x: found 1 bytes of data, expected 0"},
      {"{" W "," W "}", 24, "x: header: found 'w' twice, expected each name once"},
      {"{" W ",\"\\u0077\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[24,25]}}", 25,
       "x: header: found 'w' twice, expected each name once"},
      {"{\"__metadata__\":{},\"__metadata__\":{}}", 0,
       "x: header byte 19: found \"__metadata__, expected __metadata__ once"},
      {"{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0,
       "x: header: found 'a' twice, expected each name once"},
      {"{\"__metadata__\":{\"a\":1}}", 0, "x: header byte 21: found 1, expected a text in quotes"},
      {"{\"__metadata__\":null}", 0, "x: header byte 16: found null, expected '{'"},
      {"{\"__metadata__\":{\"a\" \"\"}}", 0, "x: header byte 21: found \"\", expected ':'"},
      {"{\"__metadata__\":{\"a\":\"\" 1}}", 0, "x: header byte 24: found 1, expected ',' or '}'"},
      {"{\"a", 0, "x: header byte 3: found the end of the header, expected the closing quote"},
      {"{\"a\n\"", 0, "x: header byte 3: found \\x0a, expected no control character in a string"},
      {"{\"\\u0000\"", 0, "x: header byte 2: found \\x5cu0000, expected no NUL in a string"},
      {"{\"\\x\"", 0, "x: header byte 2: found \\x5cx, expected an escape of JSON"},
      {"{\"\\", 0, "x: header byte 2: found \\x5c, expected an escape of JSON"},
      {"{\"\\u12", 0, "x: header byte 2: found \\x5cu12, expected an escape of JSON"},
      {"{\"\\u12g4\"", 0, "x: header byte 2: found \\x5cu12g4, expected an escape of JSON"},
      {"{\"\\ud83d\"", 0, "x: header byte 2: found \\x5cud83d, expected an escape of JSON"},
      {"{\"\\ude00\\ud83d\"", 0,
       "x: header byte 2: found \\x5cude00\\x5cud83d, expected an escape of JSON"},
      {"{\"\\ud83d\\u0041\"", 0,
       "x: header byte 2: found \\x5cud83d\\x5cu0041, expected an escape of JSON"},
      {"{\"\xFF\"", 0, "x: header byte 2: found \\xff, expected UTF-8"},
      {"{\"\xED\xA0\x80\"", 0, "x: header byte 2: found \\xed\\xa0\\x80, expected UTF-8"},
  };
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    tvi_safetensors_header h;
    FAILS_STATUS(TV_EFORMAT, rules[i].why, parse(&h, rules[i].text, rules[i].data));
    tvi_safetensors_free(&h);
  }
}

/* Append to a text with room for it. */
static void put(char *text, size_t room, const char *more) {
  const size_t n = strlen(text);
  snprintf(text + n, room - n, "%s", more);
}

TEST(rank_is_at_most_64) {
  char text[400] = "{\"w\":{\"dtype\":\"U8\",\"data_offsets\":[0,1],\"shape\":[1";
  for (int k = 1; k < 64; k++) put(text, sizeof text, ",1");
  const size_t n = strlen(text);
  tvi_safetensors_header h;
  put(text, sizeof text, "]}}");
  OK(parse(&h, text, 1));
  EQUAL(h.entries[0].rank, 64);
  tvi_safetensors_free(&h);
  text[n] = '\0';
  put(text, sizeof text, ",1]}}");
  FAILS_STATUS(TV_EFORMAT, "x: header byte 177: found 1, expected at most 64 sizes",
               parse(&h, text, 1));
  tvi_safetensors_free(&h);
}

TEST(a_header_cut_at_any_byte_is_refused) {
  static const char text[] = "{\"__metadata__\":{\"k\":\"\\u00b5\"}," W "," B "}";
  for (size_t n = 0; n < sizeof text - 1; n++) {
    char cut[sizeof text];
    tvi_safetensors_header h;
    memcpy(cut, text, n);
    cut[n] = '\0';
    EQUAL(parse(&h, cut, 27), TV_EFORMAT);
    tv_error_clear();
    tvi_safetensors_free(&h);
  }
}

TEST(any_allocation_may_fail) {
  char text[4000] = "{";
  for (int i = 0; i < 20; i++) {
    char entry[100];
    snprintf(entry, sizeof entry,
             "\"w%d\":{\"dtype\":\"U8\",\"shape\":[1,1],\"data_offsets\":[%d,%d]},", i, i, i + 1);
    put(text, sizeof text, entry);
  }
  put(text, sizeof text, "\"__metadata__\":{\"k\":\"v\"}}");
  int64_t n = 0;
  for (tv_status status = TV_ENOMEM; status; tv_error_clear()) {
    tvi_safetensors_header h;
    char *const copy = malloc(sizeof text);
    memcpy(copy, text, sizeof text);
    tvi_memory_fail(++n, false);
    status = tvi_safetensors_parse(&h, "x", copy, (int64_t)strlen(text), 20);
    tvi_memory_fail(0, false);
    CHECK(!status || status == TV_ENOMEM);
    tvi_safetensors_free(&h);
  }
  CHECK(n > 6);
}

TEST_MAIN("safetensors_header", CASE(entries_are_read_in_the_order_of_their_data),
          CASE(all_dtypes_are_known), CASE(texts_are_decoded),
          CASE(arrays_without_elements_lie_anywhere_between), CASE(each_rule_is_kept),
          CASE(rank_is_at_most_64), CASE(a_header_cut_at_any_byte_is_refused),
          CASE(any_allocation_may_fail))
