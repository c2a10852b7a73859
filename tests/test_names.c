/* SPDX-License-Identifier: MIT
 * Names of arrays: which can be one. UTF-8 by the table of RFC 3629. */
#include <string.h>

#include "check.h"
#include "io/names.h"
#include "memory.h"

static const char *fault(const char *name) { return tvi_name_fault(name, (int64_t)strlen(name)); }

TEST(what_can_be_a_name) {
  static const char *const good[] = {"w",
                                     "layer/1.weight",
                                     "a..b",
                                     "..a/b..",
                                     "...",
                                     " ",
                                     "C:",
                                     "\xC2\xB5",
                                     "\xED\x9F\xBF\xEE\x80\x80",
                                     "\xF4\x8F\xBF\xBF",
                                     "%n%s\n"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) CHECK(!fault(good[i]));
}

TEST(what_cannot) {
  SAME_TEXT(fault(""), "a name without characters");
  SAME_TEXT(fault("/etc/x"), "a name that is an absolute path");
  SAME_TEXT(fault("\\x"), "a name that is an absolute path");
  static const char *const up[] = {"..", "../x", "a/..", "a/../b", "a\\..\\b"};
  for (size_t i = 0; i < sizeof up / sizeof *up; i++)
    SAME_TEXT(fault(up[i]), "a name with '..' as a part of its path");
  SAME_TEXT(tvi_name_fault("a\0b", 3), "a name with NUL in it");
  static char long_name[65001];
  memset(long_name, 'a', sizeof long_name);
  CHECK(!tvi_name_fault(long_name, 65000));
  SAME_TEXT(tvi_name_fault(long_name, 65001), "a name of more than 65000 bytes");
}

TEST(what_is_no_utf8) {
  static const char *const bad[] = {"\x80",
                                    "\xC0\x80",
                                    "\xC1\xBF",
                                    "\xC2",
                                    "\xE0\x9F\xBF", /* longer than need be */
                                    "\xED\xA0\x80", /* a surrogate */
                                    "\xF0\x8F\xBF\xBF",
                                    "\xF4\x90\x80\x80",
                                    "\xF5\x80\x80\x80",
                                    "\xE2\x82",
                                    "a\xFF",
                                    "\xE2\x82z"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    SAME_TEXT(fault(bad[i]), "a name that is not UTF-8");
}

/* Every sequence of up to 3 bytes, and 4 by their first two: as many characters as Unicode has. */
TEST(as_many_characters_as_unicode_has) {
  int64_t n = 0;
  for (int a = 0; a < 256; a++)
    for (int b = 0; b < 256; b++) {
      uint8_t at[4] = {(uint8_t)a, (uint8_t)b, 0x80, 0x80};
      const int64_t bytes = tvi_utf8(at, 4);
      if (bytes == 1) n += b == 0;
      if (bytes == 2) n += 1;
      if (bytes == 3) n += 64;
      if (bytes == 4) n += 64 * 64;
      if (bytes > 1) EQUAL(tvi_utf8(at, bytes - 1), 0);
    }
  EQUAL(n, 0x110000 - 0x800); /* less the surrogates */
}

TEST(sets_of_names) {
  tv_tensor *const x = tv_ones(TV_F32, TV_SHAPE(1));
  tv_tensor *const two[] = {x, x};
  const char *const good[] = {"b", "a"}, *const twice[] = {"a", "a"}, *const hole[] = {"a", NULL};
  OK(tvi_names_check("save", 2, good, two));
  OK(tvi_names_check("save", 0, NULL, NULL));
  tvi_memory_fail(1, false);
  const tv_status status = tvi_names_check("save", 2, good, two);
  tvi_memory_fail(0, false);
  FAILS_STATUS(TV_ENOMEM, "save: no memory on cpu for 2 names", status);
  FAILS_STATUS(TV_EVALUE, "save: the name 'a' is given twice",
               tvi_names_check("save", 2, twice, two));
  FAILS_STATUS(TV_EVALUE, "save: the name 'a' is given twice",
               tvi_names_check("save", 3, (const char *[]){"a", "b", "a"},
                               (tv_tensor *[]){two[0], two[0], two[0]}));
  FAILS_STATUS(TV_EVALUE, "save: a name is NULL", tvi_names_check("save", 2, hole, two));
  FAILS_STATUS(TV_EVALUE, "save: a tensor is NULL",
               tvi_names_check("save", 2, good, (tv_tensor *[]){two[0], NULL}));
  FAILS_STATUS(TV_EVALUE, "save: names is NULL", tvi_names_check("save", 2, NULL, two));
  FAILS_STATUS(TV_EVALUE, "save: tensors is NULL", tvi_names_check("save", 2, good, NULL));
  FAILS_STATUS(TV_EVALUE, "save: n is -1", tvi_names_check("save", -1, good, two));
  const char *const up[] = {"../\n"};
  FAILS_STATUS(TV_EVALUE, "save: found a name with '..' as a part of its path: '../\\x0a'",
               tvi_names_check("save", 1, up, two));
}

TEST_MAIN("names", CASE(what_can_be_a_name), CASE(what_cannot), CASE(what_is_no_utf8),
          CASE(as_many_characters_as_unicode_has), CASE(sets_of_names))
