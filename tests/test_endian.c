/* SPDX-License-Identifier: MIT
 * Reversing the bytes of numbers, held against a plain loop, for every dtype and length. */
#include "io/endian.h"

#include <string.h>

#include "check.h"

TEST(numbers_are_reversed_one_by_one) {
  for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++) {
    const int64_t item = tv_dtype_size((tv_dtype)dtype),
                  number = tv_dtype_size(tvi_real_part((tv_dtype)dtype));
    for (int64_t n = 0; n <= 9 * item; n += item) {
      uint8_t bytes[160], want[160];
      for (int i = 0; i < 160; i++) bytes[i] = want[i] = (uint8_t)(i * 7 + 1);
      for (int64_t i = 0; i < n; i++)
        want[1 + i] = bytes[1 + i / number * number + number - 1 - i % number];
      tvi_swap_numbers((tv_dtype)dtype, bytes + 1, n); /* at any address, and nothing beyond */
      CHECK(!memcmp(bytes, want, sizeof bytes));
    }
  }
}

TEST(the_host_is_one_of_two) {
  const uint16_t one = 1;
  EQUAL(*(const uint8_t *)&one, !tvi_host_is_big_endian());
}

TEST_MAIN("endian", CASE(numbers_are_reversed_one_by_one), CASE(the_host_is_one_of_two))
