/* SPDX-License-Identifier: MIT
 * Zip archives as other writers make them, and as nobody should: each rule of the directory broken
 * alone. Truncations and changes of every byte are in test_npz.c. */
#include "archives.h"
#include "io/crc32.h"
#include "memory.h"

static void put(archive *a, size_t at, uint64_t x, int bytes) {
  for (int i = 0; i < bytes; i++) a->bytes[at + (size_t)i] = (unsigned char)(x >> 8 * i);
}
static uint64_t get(const archive *a, size_t at, int bytes) {
  uint64_t x = 0;
  for (int i = bytes - 1; i >= 0; i--) x = x << 8 | a->bytes[at + (size_t)i];
  return x;
}

/* Two members, "a" and "b", bytes 1 2 3 and 4 5; where their entries and the end are. */
typedef struct {
  archive file;
  size_t entry[2], end;
} two;

static two make(void) {
  const uint8_t x[] = {1, 2, 3}, y[] = {4, 5};
  const char *const names[] = {"a", "b"};
  tv_tensor *const all[] = {tv_tensor_from_memory(x, TV_U8, TV_SHAPE(3), NULL),
                            tv_tensor_from_memory(y, TV_U8, TV_SHAPE(2), NULL)};
  OK(tv_npz_save("x.npz", 2, names, all, NULL));
  two t = {.file = archive_of("x.npz")};
  t.end = archive_find(&t.file, t.file.n, 5, 6);
  t.entry[1] = archive_find(&t.file, t.end, 1, 2);
  t.entry[0] = archive_find(&t.file, t.entry[1] - 1, 1, 2);
  return t;
}

/* n more bytes at a place inside the directory or behind it; sizes in the end record follow. */
static void insert(two *t, size_t at, const void *bytes, size_t n) {
  archive *const a = &t->file;
  memmove(a->bytes + at + n, a->bytes + at, a->n - at);
  memcpy(a->bytes + at, bytes, n);
  a->n += n;
  if (at <= t->entry[1]) t->entry[1] += n;
  t->end += n;
}

static void opens(two *t) {
  archive_put("x.npz", &t->file);
  tv_npz *const z = tv_npz_open("x.npz", NULL);
  OK(z ? TV_OK : tv_error());
  HOLDS(tv_npz_read(z, "a", NULL), 1, 2, 3);
  HOLDS(tv_npz_read(z, "b", NULL), 4, 5);
  tv_npz_release(z);
}

static void fails(const two *t, const char *text) {
  archive_put("x.npz", &t->file);
  tv_npz *const z = tv_npz_open("x.npz", NULL);
  CHECK(!z);
  EQUAL(tv_error(), TV_EFORMAT);
  CHECK(strstr(tv_error_text(), text) || (check_fail(CHECK_HERE, "%s", tv_error_text()), false));
  tv_error_clear();
}

TEST(fields_of_the_directory_are_checked) {
  static const struct {
    int record; /* 0: an entry, 1: the end */
    size_t at;
    int bytes;
    uint64_t value;
    const char *text;
  } rules[] = {
      {0, 0, 1, 'Q', "found no entry of the directory"},
      {0, 6, 1, 64, "found a member for readers after version 6.3"},
      {0, 8, 2, 1, "found a member that is encrypted"},
      {0, 8, 2, 1 << 13, "found a member that is encrypted"},
      {0, 8, 2, 1 << 5, "found a member that is a patch"},
      {0, 10, 2, 12, "found a member packed neither as stored nor as deflated"},
      {0, 20, 4, 130, "found a stored member of two sizes"},
      {0, 24, 4, 0xFFFFFFFE, "found a stored member of two sizes"},
      {0, 28, 2, 0, "found a name without characters"},
      {0, 28, 2, 60000, "found an entry that is cut short"},
      {0, 30, 2, 60000, "found an entry that is cut short"},
      {0, 34, 2, 1, "found a member on another disk"},
      {0, 46, 1, '/', "found a name that is an absolute path"},
      {0, 46, 1, 0, "found a name with NUL in it"},
      {0, 46, 1, 0xB5, "found a name that is not UTF-8"},
      {1, 4, 2, 1, "found an archive of several disks"},
      {1, 8, 2, 1, "found an archive of several disks"},
      {1, 10, 2, 3, "found an archive of several disks"},
      {1, 12, 4, 80, "found a directory that does not end where the end record begins"},
      {1, 16, 4, 0, "found a directory that does not end where the end record begins"},
      {1, 20, 2, 7, "found no end record of a zip archive"},
  };
  folder_enter();
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    two t = make();
    put(&t.file, (rules[i].record ? t.end : t.entry[0]) + rules[i].at, rules[i].value,
        rules[i].bytes);
    fails(&t, rules[i].text);
  }
  folder_leave();
}

TEST(counts_that_do_not_fit_are_refused) {
  folder_enter();
  two t = make();
  put(&t.file, t.end + 8, 3, 2); /* both counts */
  put(&t.file, t.end + 10, 3, 2);
  fails(&t, "found 3 members in 102 bytes");
  t = make();
  put(&t.file, t.end + 8, 1, 2);
  put(&t.file, t.end + 10, 1, 2);
  fails(&t, "found bytes behind the last member");
  t = make();
  put(&t.file, t.end + 8, 60000, 2);
  put(&t.file, t.end + 10, 60000, 2);
  fails(&t, "found 60000 members in");
  folder_leave();
}

TEST(two_truths_are_refused) {
  folder_enter();
  two t = make();
  t.file.bytes[t.entry[1] + 46] = 'a';
  fails(&t, "npz_open: x.npz: found 'a' twice, expected each name once");
  t = make(); /* "b" is told to begin where "a" does */
  put(&t.file, t.entry[1] + 42, 0, 4);
  fails(&t, "found member 'a', which overlaps the next");
  t = make(); /* bytes in front, all offsets moved */
  t.file.n += 4;
  memmove(t.file.bytes + 4, t.file.bytes, t.file.n - 4);
  memcpy(t.file.bytes, "junk", 4);
  for (int i = 0; i < 2; i++)
    put(&t.file, t.entry[i] + 4 + 42, get(&t.file, t.entry[i] + 4 + 42, 4) + 4, 4);
  put(&t.file, t.end + 4 + 16, get(&t.file, t.end + 4 + 16, 4) + 4, 4);
  fails(&t, "found bytes in front of the first member");
  t = make(); /* bytes between the directory and the end */
  insert(&t, t.end, "junk", 4);
  t.end += 0;
  fails(&t, "found a directory that does not end where the end record begins");
  folder_leave();
}

/* The zip64 end record and its locator, to be inserted before the end record. */
static archive wide_end(const two *t) {
  archive f = {.n = 76};
  memcpy(f.bytes, "PK\6\6", 4);
  put(&f, 4, 44, 8);
  put(&f, 24, 2, 8);
  put(&f, 32, 2, 8);
  put(&f, 40, get(&t->file, t->end + 12, 4), 8);
  put(&f, 48, get(&t->file, t->end + 16, 4), 8);
  memcpy(f.bytes + 56, "PK\6\7", 4);
  put(&f, 64, t->end, 8);
  put(&f, 72, 1, 4);
  return f;
}

/* Somebody shortens the file, or its disk fails, behind so many reads. */
static int reads_left;
static ssize_t ending_pread(int fd, void *out, size_t bytes, off_t at) {
  return reads_left-- > 0 ? pread(fd, out, bytes, at) : 0;
}
static ssize_t failing_pread(int fd, void *out, size_t bytes, off_t at) {
  if (reads_left-- > 0) return pread(fd, out, bytes, at);
  errno = EIO;
  return -1;
}

TEST(a_file_that_shrinks_or_fails_while_it_is_read_is_refused) {
  folder_enter();
  two t = make();
  const archive f = wide_end(&t); /* so that each record is read */
  insert(&t, t.end, f.bytes, f.n);
  archive_put("x.npz", &t.file);
  const tvi_system real = tvi_sys;
  for (int fails = 0; fails < 2; fails++) {
    int n = 0;
    for (tv_tensor *x = NULL; !x; n++) {
      reads_left = n;
      tvi_sys.pread = fails ? failing_pread : ending_pread;
      x = tv_npz_load("x.npz", "a", NULL);
      tvi_sys = real;
      EQUAL(tv_error(), x ? TV_OK : fails ? TV_EIO : TV_EFORMAT);
      CHECK(x || strstr(tv_error_text(), fails ? "Input/output error" : "the end of the file"));
      tv_error_clear();
    }
    CHECK(n > 6);
  }
  folder_leave();
}

/* By which other readers know an archive. */
TEST(archives_begin_with_a_member) {
  folder_enter();
  two t = make();
  t.file.bytes[0] = 'Q';
  fails(&t, "npz_open: x.npz: byte 0: found no signature of a member");
  OK(tv_npz_save("x.npz", 0, NULL, NULL, NULL));
  t.file = archive_of("x.npz");
  EQUAL(t.file.n, 22);
  memmove(t.file.bytes + 76, t.file.bytes, 22); /* with zip64 records in front of its end */
  memset(t.file.bytes, 0, 76);
  memcpy(t.file.bytes, "PK\6\6\54", 5);
  memcpy(t.file.bytes + 56, "PK\6\7", 4);
  t.file.bytes[56 + 16] = 1;
  t.file.n += 76;
  fails(&t,
        "npz_open: x.npz: byte 0: found no signature of a member, or of an archive without any");
  folder_leave();
}

/* What a member's own header says otherwise is found when it is read. */
TEST(headers_that_disagree_with_the_directory_are_refused) {
  static const struct {
    size_t at;
    unsigned char value;
  } changes[] = {{0, 'Q'}, {6, 1}, {8, 8}, {26, 4}, {30, 'a'}, {29, 0x7F}};
  char want[200];
  folder_enter();
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    two t = make();
    const size_t begin = (size_t)get(&t.file, t.entry[1] + 42, 4);
    t.file.bytes[begin + changes[i].at] = changes[i].value;
    archive_put("x.npz", &t.file);
    tv_npz *const z = tv_npz_open("x.npz", NULL);
    CHECK(z && !tv_npz_read(z, "b", NULL));
    snprintf(want, sizeof want, "npz_read: x.npz: b: byte %zu: found %s", begin,
             i < 5 ? "a member's header that disagrees with the directory, expected one truth"
                   : "a member that overlaps the next, expected none that does");
    SAME_TEXT(tv_error_text(), want);
    tv_error_clear();
    HOLDS(tv_npz_read(z, "a", NULL), 1, 2, 3); /* which is as it was */
    CHECK(tv_npz_verify(z) == TV_EFORMAT);
    tv_error_clear();
    tv_npz_release(z);
  }
  folder_leave();
}

TEST(sums_are_compared_and_arrays_fit_their_members) {
  folder_enter();
  two t = make();
  t.file.bytes[get(&t.file, t.entry[1] + 42, 4) - 1] ^= 4; /* the last byte of "a" */
  archive_put("x.npz", &t.file);
  CHECK(!tv_npz_load("x.npz", "a", NULL));
  CHECK(strstr(tv_error_text(), "npz_read: x.npz: a: found CRC-32 "));
  tv_error_clear();
  t = make();
  put(&t.file, t.entry[0] + 20, 130, 4);
  put(&t.file, t.entry[0] + 24, 130, 4);
  archive_put("x.npz", &t.file);
  FAILS(TV_EFORMAT,
        "npz_read: x.npz: a: byte 128: found 2 bytes, expected 3 for shape [3] of uint8",
        tv_npz_load("x.npz", "a", NULL));
  folder_leave();
}

/* Sizes and places in a zip64 field, as they may be at any size. */
TEST(zip64_fields_are_read) {
  folder_enter();
  for (int which = 1; which < 8; which++) { /* bytes, packed, place */
    two t = make();
    unsigned char field[32];
    archive f = {.n = 4};
    static const size_t places[] = {24, 20, 42};
    for (int k = 0; k < 3; k++) {
      if (!(which & 1 << k)) continue;
      put(&f, f.n, get(&t.file, t.entry[0] + places[k], 4), 8);
      put(&t.file, t.entry[0] + places[k], 0xFFFFFFFF, 4);
      f.n += 8;
    }
    put(&f, 0, 1, 2);
    put(&f, 2, f.n - 4, 2);
    memcpy(field, f.bytes, f.n);
    put(&t.file, t.entry[0] + 30, f.n, 2);
    insert(&t, t.entry[0] + 46 + 5, field, f.n);
    put(&t.file, t.end + 12, get(&t.file, t.end + 12, 4) + f.n, 4);
    opens(&t);
    two cut = t; /* no zip64 field any more */
    put(&cut.file, t.entry[0] + 46 + 5, 9, 2);
    fails(&cut, which == 4                 ? "found member 'a', which overlaps the next"
                : which == 7 || which == 3 ? "which overlaps the next"
                                           : "found a stored member of two sizes");
    cut = t;
    put(&cut.file, t.entry[0] + 46 + 5 + 2, 7, 2);
    fails(&cut, "found a zip64 field that is cut short");
    cut = t;
    put(&cut.file, t.entry[0] + 46 + 5 + 2, 200, 2);
    fails(&cut, "found an extra field that is cut short");
    cut = t;
    put(&cut.file, t.entry[0] + 46 + 5, 0x7075, 2);
    fails(&cut, "found a second name in an extra field");
  }
  folder_leave();
}

TEST(zip64_end_records_are_read) {
  folder_enter();
  for (int way = 0; way < 6; way++) {
    two t = make();
    archive f = wide_end(&t);
    if (way == 2) f.bytes[48]++;   /* another place than the end record's */
    if (way == 3) f.bytes[64]++;   /* a locator of elsewhere */
    if (way == 4) f.bytes[4]++;    /* a longer record */
    if (way == 5) f.bytes[16] = 1; /* another disk */
    insert(&t, t.end, f.bytes, 76);
    if (way == 1) { /* the narrow fields say nothing */
      put(&t.file, t.end + 8, 0xFFFF, 2);
      put(&t.file, t.end + 10, 0xFFFF, 2);
      put(&t.file, t.end + 12, 0xFFFFFFFF, 4);
      put(&t.file, t.end + 16, 0xFFFFFFFF, 4);
    }
    if (way < 2) opens(&t);
    if (way == 2) fails(&t, "found a zip64 end record that disagrees with the end record");
    if (way == 3) fails(&t, "found a zip64 locator of another place or of several disks");
    if (way == 4) fails(&t, "found other bytes, expected a zip64 end record of 56 bytes");
    if (way == 5) fails(&t, "found an archive of several disks");
  }
  folder_leave();
}

/* A directory may be as large as the file; memory for it is not taken on the file's word alone. */
TEST(directories_larger_than_their_entries_are_refused) {
  folder_enter();
  two t = make();
  archive end = {.n = t.file.n - t.end};
  memcpy(end.bytes, t.file.bytes + t.end, end.n);
  const off_t hole = (off_t)1 << 30;
  file_put("x.npz", t.file.bytes, t.end);
  CHECK(truncate("x.npz", (off_t)t.end + hole) == 0);
  put(&end, 12, get(&end, 12, 4) + (uint64_t)hole, 4);
  const int fd = open("x.npz", O_WRONLY);
  CHECK(pwrite(fd, end.bytes, end.n, (off_t)t.end + hole) == (ssize_t)end.n && close(fd) == 0);
  CHECK(!tv_npz_open("x.npz", NULL));
  CHECK(strstr(tv_error_text(), "found a directory larger than its entries can be"));
  tv_error_clear();
  folder_leave();
}

TEST(comments_are_fine) {
  folder_enter();
  two t = make();
  put(&t.file, t.end + 20, 5, 2);
  memcpy(t.file.bytes + t.file.n, "hello", 5);
  t.file.n += 5;
  opens(&t);
  t = make();
  put(&t.file, t.entry[0] + 32, 2, 2);
  insert(&t, t.entry[0] + 46 + 5, "hi", 2);
  put(&t.file, t.end + 12, get(&t.file, t.end + 12, 4) + 2, 4);
  opens(&t);
  t = make(); /* an end record inside a comment: readers differ in which they take */
  put(&t.file, t.end + 20, 22, 2);
  memcpy(t.file.bytes + t.file.n, "PK\5\6                  ", 22);
  t.file.n += 22;
  fails(&t, "found no end record of a zip archive");
  folder_leave();
}

/* Deflate gives 1032 bytes for one at most: who claims more lies, and nothing is unpacked. */
TEST(claims_beyond_deflate_are_refused) {
  folder_enter();
  two t = make();
  put(&t.file, t.entry[0] + 10, 8, 2);
  put(&t.file, t.entry[0] + 24, 1032 * (131 + 2), 4);
  fails(&t, "found a member that claims to unpack to more than 1032 times its size");
  folder_leave();
}

TEST(what_is_no_zip_is_named) {
  folder_enter();
  two t = make();
  OK(tv_npy_save("x.npz", tv_ones(TV_F32, TV_SHAPE(2)), NULL));
  t.file = archive_of("x.npz");
  fails(&t, "npz_open: x.npz: byte 0: found a .npy file, expected an .npz file");
  t.file.n = 0;
  fails(&t,
        "npz_open: x.npz: byte 0: found no regular file, or an empty one, expected an .npz file");
  FAILS(
      TV_EFORMAT,
      "npz_open: /dev/zero: byte 0: found no regular file, or an empty one, expected an .npz file",
      (void *)tv_npz_open("/dev/zero", NULL));
  folder_leave();
}

TEST(members_that_are_no_arrays_are_listed_and_refused_when_read) {
  folder_enter();
  two t = make();
  const size_t at = 30 + 5 + (size_t)get(&t.file, 28, 2);
  t.file.bytes[at] = 'x';
  put(&t.file, t.entry[0] + 16, tvi_crc32(0, t.file.bytes + at, 131), 4);
  archive_put("x.npz", &t.file);
  tv_npz *const z = tv_npz_open("x.npz", NULL);
  EQUAL(tv_npz_count(z), 2);
  FAILS(
      TV_EFORMAT,
      "npz_read: x.npz: a: byte 0: found xNUMPY\\x01\\x00v\\x00 (unknown), expected the magic of a "
      ".npy file",
      tv_npz_read(z, "a", NULL));
  OK(tv_npz_verify(z));
  tv_npz_release(z);
  folder_leave();
}

TEST_MAIN("zip_read", CASE(fields_of_the_directory_are_checked),
          CASE(counts_that_do_not_fit_are_refused), CASE(two_truths_are_refused),
          CASE(a_file_that_shrinks_or_fails_while_it_is_read_is_refused),
          CASE(archives_begin_with_a_member),
          CASE(headers_that_disagree_with_the_directory_are_refused),
          CASE(sums_are_compared_and_arrays_fit_their_members), CASE(zip64_fields_are_read),
          CASE(zip64_end_records_are_read), CASE(directories_larger_than_their_entries_are_refused),
          CASE(comments_are_fine), CASE(claims_beyond_deflate_are_refused),
          CASE(what_is_no_zip_is_named),
          CASE(members_that_are_no_arrays_are_listed_and_refused_when_read))
