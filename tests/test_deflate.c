/* SPDX-License-Identifier: MIT
 * Deflate: what zlib packed elsewhere, there and back, damaged and cut. */
#include <string.h>

#include "check.h"
#include "io/deflate.h"
#include "memory.h"

/* A source and a sink of memory; the source delivers `piece` bytes at most. */
typedef struct {
  tvi_source source;
  int64_t piece;
} feed;

static tv_status feed_read(tvi_source *from, void *out, int64_t n, int64_t *got) {
  const int64_t piece = ((feed *)from)->piece;
  *got = n < piece ? n : piece;
  if (*got > from->left) *got = from->left;
  memcpy(out, from->memory, (size_t)*got);
  from->memory += *got;
  return TV_OK;
}

static feed feed_of(const void *bytes, int64_t n, int64_t piece) {
  return (feed){{.who = "test", .left = n, .fd = -1, .memory = bytes, .read = feed_read}, piece};
}

typedef struct {
  tvi_sink sink;
  char bytes[4096];
  int64_t n;
} basin;

static tv_status basin_write(tvi_sink *to, const void *bytes, int64_t n) {
  basin *const b = (basin *)to;
  if (b->n + n > (int64_t)sizeof b->bytes) return TV_EIO;
  memcpy(b->bytes + b->n, bytes, (size_t)n);
  b->n += n;
  return TV_OK;
}

/* RFC 1951 by hand: one stored block; and "aaaaaaaaaa" by Python's zlib, raw, level 9. */
static const uint8_t stored[] = {1, 3, 0, 0xFC, 0xFF, 'a', 'b', 'c'};
static const uint8_t ten[] = {0x4B, 0x4C, 0x84, 0x01, 0x00};

static bool is_left_out(void) {
  feed f = feed_of(stored, sizeof stored, 100);
  tvi_inflater *const it = tvi_inflater_new(&f.source);
  tvi_inflater_free(it);
  if (it) return false;
  EQUAL(tv_error(), TV_EUNSUPPORTED);
  SAME_TEXT(tv_error_text(), "test: deflate: this build of the library is without zlib");
  tv_error_clear();
  basin b = {.sink = {.who = "test", .write = basin_write}};
  CHECK(!tvi_deflater_new(&b.sink, 6));
  EQUAL(tv_error(), TV_EUNSUPPORTED);
  tv_error_clear();
  return true;
}

static tv_status unpack(const void *bytes, int64_t n, int64_t piece, char *out, int64_t want,
                        int64_t *got) {
  feed f = feed_of(bytes, n, piece);
  tvi_inflater *const it = tvi_inflater_new(&f.source);
  *got = 0;
  if (!it) return tv_error();
  tv_status status = tvi_inflate(it, out, want, got);
  if (!status) status = tvi_inflate_end(it);
  tvi_inflater_free(it);
  return status;
}

TEST(published_bytes_are_unpacked) {
  if (is_left_out()) SKIP("without zlib");
  char out[16];
  int64_t got;
  for (int64_t piece = 1; piece < 9; piece++) {
    OK(unpack(stored, sizeof stored, piece, out, 3, &got));
    CHECK(got == 3 && !memcmp(out, "abc", 3));
    OK(unpack(ten, sizeof ten, piece, out, 10, &got));
    CHECK(got == 10 && !memcmp(out, "aaaaaaaaaa", 10));
  }
}

TEST(what_does_not_end_where_promised_is_refused) {
  if (is_left_out()) SKIP("without zlib");
  char out[16];
  int64_t got;
  FAILS_STATUS(TV_EFORMAT, "test: found more bytes than promised",
               unpack(ten, sizeof ten, 9, out, 9, &got));
  const uint8_t more[] = {0x4B, 0x4C, 0x84, 0x01, 0x00, 0};
  FAILS_STATUS(TV_EFORMAT, "test: found packed bytes that do not end where promised",
               unpack(more, sizeof more, 9, out, 10, &got));
  for (int64_t cut = 0; cut < (int64_t)sizeof stored; cut++) {
    CHECK(unpack(stored, cut, 9, out, 3, &got) == TV_EFORMAT);
    tv_error_clear();
  }
  const uint8_t bad[] = {7, 0, 0};
  FAILS_STATUS(TV_EFORMAT, "test: found packed bytes that are damaged: invalid block type",
               unpack(bad, sizeof bad, 9, out, 3, &got));
}

TEST(there_and_back) {
  if (is_left_out()) SKIP("without zlib");
  static char text[3000], out[3000];
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * i / 7 % 23);
  for (int level = 1; level <= 9; level += 4) {
    basin b = {.sink = {.who = "test", .write = basin_write}};
    tvi_deflater *const it = tvi_deflater_new(&b.sink, level);
    OK(tvi_deflate(it, text, 1000, false));
    OK(tvi_deflate(it, "", 0, false));
    OK(tvi_deflate(it, text + 1000, 2000, false));
    OK(tvi_deflate(it, "", 0, true));
    tvi_deflater_free(it);
    CHECK(b.n < 3000);
    int64_t got;
    OK(unpack(b.bytes, b.n, 100, out, 3000, &got));
    CHECK(got == 3000 && !memcmp(text, out, 3000));
  }
}

TEST(any_allocation_may_fail) {
  if (is_left_out()) SKIP("without zlib");
  char out[16];
  int64_t n = 0, got;
  for (tv_status status = TV_ENOMEM; status; tv_error_clear()) {
    tvi_memory_fail(++n, false);
    status = unpack(ten, sizeof ten, 9, out, 10, &got);
    tvi_memory_fail(0, false);
    CHECK(!status || status == TV_ENOMEM);
  }
  CHECK(n > 2);
  basin b = {.sink = {.who = "test", .write = basin_write}};
  tvi_deflater *it = NULL;
  for (n = 0; !it; tv_error_clear()) {
    tvi_memory_fail(++n, false);
    it = tvi_deflater_new(&b.sink, 6);
    tvi_memory_fail(0, false);
  }
  tvi_deflater_free(it);
  CHECK(n > 2);
}

TEST_MAIN("deflate", CASE(published_bytes_are_unpacked),
          CASE(what_does_not_end_where_promised_is_refused), CASE(there_and_back),
          CASE(any_allocation_may_fail))
