/* SPDX-License-Identifier: MIT
 * Storages: counts, borrowing, being alone. */
#include "storage.h"

#include <string.h>

#include "check.h"

static void count(void *user) { ++*(int *)user; }

TEST(counted_bytes) {
  tvi_storage *const s = tvi_storage_new(TV_CPU, 100);
  CHECK(s && s->bytes == 100 && (uintptr_t)s->data % 64 == 0);
  memset(s->data, 1, 100);
  CHECK(tvi_storage_is_alone(s));
  tvi_storage_retain(s);
  CHECK(!tvi_storage_is_alone(s));
  tvi_storage_release(s);
  CHECK(tvi_storage_is_alone(s));
  tvi_storage_release(s);
}

TEST(no_bytes_need_no_block) {
  tvi_storage *const s = tvi_storage_new(TV_CPU, 0);
  CHECK(s && !s->data);
  tvi_storage_release(s);
}

TEST(borrowed_bytes_go_back_once) {
  int released = 0;
  char bytes[4] = {0};
  tvi_storage *const s = tvi_storage_borrow(bytes, 4, count, &released);
  CHECK(s && s->is_borrowed && s->data == bytes);
  tvi_storage_retain(s);
  tvi_storage_release(s);
  EQUAL(released, 0);
  tvi_storage_release(s);
  EQUAL(released, 1);
}

TEST(adopted_bytes_may_be_written) {
  int released = 0;
  char bytes[4] = {0};
  tvi_storage *const s = tvi_storage_adopt(bytes, 4, count, &released);
  CHECK(s && !s->is_borrowed);
  tvi_storage_release(s);
  EQUAL(released, 1);
}

TEST_MAIN("storage", CASE(counted_bytes), CASE(no_bytes_need_no_block),
          CASE(borrowed_bytes_go_back_once), CASE(adopted_bytes_may_be_written))
