/* SPDX-License-Identifier: MIT
 * Codes of dtypes in .npy headers: what they are, what they are not, and their sizes. Refusals as
 * a user reads them are in test_npy_header.c, records in test_npy_record.c. */
#include "io/npy_descr.h"

#include <string.h>

#include "check.h"

static tvi_npy_code read_code(const char *text) {
  return tvi_npy_code_read((const uint8_t *)text, (int64_t)strlen(text), false);
}

TEST(what_is_written_is_read) {
  for (int d = 0; d < TV_DTYPE_COUNT; d++) {
    const char *const text = tvi_npy_code_of((tv_dtype)d);
    const tvi_npy_code code = tvi_npy_code_read((const uint8_t *)text, (int64_t)strlen(text), true);
    EQUAL(code.dtype, d);
    EQUAL(code.bytes, tv_dtype_size((tv_dtype)d));
    EQUAL(code.is_big_endian, false);
  }
}

TEST(orders_are_read) {
  EQUAL(read_code(">f4").is_big_endian, true);
  EQUAL(read_code("<f4").is_big_endian, false);
  EQUAL(read_code("=f4").is_big_endian, false);
  EQUAL(read_code("|f4").is_big_endian, false);
  EQUAL(read_code("f4").dtype, TV_F32);
  EQUAL(read_code(">u1").is_big_endian, false);
}

TEST(others_are_known_by_size) {
  static const struct {
    const char *text;
    int bytes;
    const char *why;
  } table[] = {{"S10", 10, "text"},
               {"|a3", 3, "text"},
               {"<U", -1, "text"},
               {"<U0", 0, "text"},
               {"<U3", 12, "text"},
               {"<U536870911", 2147483644, "text"},
               {"<U536870912", -1, "text"},
               {"|V7", 7, "void"},
               {"|V2", 2, "2-byte void; if this is bfloat16, ask for it"},
               {"<M8", 8, "date"},
               {"<M8[ns]", 8, "date"},
               {"<m8[Y]", 8, "time span"},
               {"<M4", -1, "date"},
               {"<M8[x]", -1, "date"},
               {"<M8[25s]", 8, "date"},
               {"<M8[0s]", -1, "date"},
               {"<M8[2:]", -1, "date"},
               {"<M8[", -1, "date"},
               {"<M8[+2s]", -1, "date"},
               {"<M8x", -1, "date"},
               {"<m", -1, "time span"},
               {"<f16", 16, "long double"},
               {"<f32", -1, "unknown"},
               {"<c32", 32, "complex long double"},
               {"<c64", -1, "unknown"},
               {"|O", -1, "Python objects"},
               {"|O8", -1, "Python objects"},
               {"|S", -1, "text"},
               {"|S0", 0, "text"},
               {"|S01", -1, "text"},
               {"|S2147483647", INT32_MAX, "text"},
               {"|S2147483648", -1, "text"},
               {"|S99999999999", -1, "text"},
               {"|S1x", -1, "text"},
               {"<f4294967300", -1, "unknown"},
               {"3<f4", -1, "unknown"},
               {"<", -1, "unknown"},
               {"", -1, "unknown"}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    const tvi_npy_code code = read_code(table[i].text);
    EQUAL(code.dtype, TV_DTYPE_NONE);
    EQUAL(code.bytes, table[i].bytes);
    SAME_TEXT(code.why, table[i].why);
  }
}

TEST_MAIN("npy_descr", CASE(what_is_written_is_read), CASE(orders_are_read),
          CASE(others_are_known_by_size))
