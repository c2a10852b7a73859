/* SPDX-License-Identifier: MIT
 * CRC-32 against published values, and its two ways against each other. */
#include <string.h>

#include "check.h"
#include "io/crc32.h"

/* "123456789": the check value of CRC-32/ISO-HDLC in the catalogue of Greg Cook; the others by
 * Python's zlib.crc32. */
TEST(published_values) {
  static const char fox[] =
      "The quick brown fox jumps over the lazy dog. The quick brown fox jumps over the lazy dog.";
  EQUAL(tvi_crc32(0, "123456789", 9), 0xCBF43926);
  EQUAL(tvi_crc32(0, "", 0), 0);
  EQUAL(tvi_crc32(0, fox, 89), 0x9AE90AA7);
  EQUAL(tvi_crc32(0, fox, 64), 0x915A5D0F);
  EQUAL(tvi_crc32(0, fox, 80), 0x03F647DE);
}

TEST(folding_and_tables_agree_at_every_length_and_place) {
  static uint8_t bytes[1024];
  uint32_t x = 1;
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
  for (int64_t at = 0; at < 17; at++)
    for (int64_t n = 0; n <= 700; n++)
      EQUAL(tvi_crc32(0, bytes + at, n), tvi_crc32_by_table(0, bytes + at, n));
}

TEST(pieces_come_to_the_whole) {
  static uint8_t bytes[999];
  memset(bytes, 0xA5, sizeof bytes);
  const uint32_t whole = tvi_crc32(0, bytes, 999);
  for (int64_t cut = 0; cut <= 999; cut += 37)
    EQUAL(tvi_crc32(tvi_crc32(0, bytes, cut), bytes + cut, 999 - cut), whole);
}

TEST_MAIN("crc32", CASE(published_values), CASE(folding_and_tables_agree_at_every_length_and_place),
          CASE(pieces_come_to_the_whole))
