/* SPDX-License-Identifier: MIT
 * What zip archives of ours are like: the same bytes for the same arrays, aligned, 64 bits where
 * they are needed, and streams that cannot be written anew. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <pthread.h>
#include <sys/mman.h>

#include "archives.h"

static const char *const names[] = {"a", "name/of/b"};

static tv_status save(const char *path) {
  return tv_npz_save(path, 2, names,
                     (tv_tensor *[]){tv_ones(TV_F32, TV_SHAPE(3)), tv_ones(TV_F64, TV_SHAPE(5))},
                     NULL);
}

static uint64_t get(const archive *a, size_t at, int bytes) {
  uint64_t x = 0;
  for (int i = bytes - 1; i >= 0; i--) x = x << 8 | a->bytes[at + (size_t)i];
  return x;
}

/* APPNOTE.TXT 4.3.7, 4.5.3. */
TEST(headers_have_64_bits_and_data_are_aligned) {
  folder_enter();
  OK(save("x"));
  const archive a = archive_of("x");
  size_t at = 0;
  for (int i = 0; i < 2; i++) {
    const size_t name = strlen(names[i]) + 4;
    CHECK(!memcmp(a.bytes + at, "PK\3\4", 4));
    EQUAL(get(&a, at + 4, 2), 45);
    EQUAL(get(&a, at + 6, 2), 0);
    EQUAL(get(&a, at + 10, 4), 0x210000); /* 1980-01-01 00:00 */
    EQUAL(get(&a, at + 18, 4), 0xFFFFFFFF);
    EQUAL(get(&a, at + 22, 4), 0xFFFFFFFF);
    const size_t extra = at + 30 + name, n = i ? 168 : 140;
    CHECK(!memcmp(a.bytes + at + 30, names[i], name - 4));
    EQUAL(get(&a, extra, 4), 1 | 16 << 16);
    EQUAL(get(&a, extra + 4, 8), n);
    EQUAL(get(&a, extra + 12, 8), n);
    EQUAL(get(&a, extra + 20, 2), 0xD935);
    const size_t data = extra + (size_t)get(&a, at + 28, 2);
    EQUAL(data % 64, 0);
    CHECK(!memcmp(a.bytes + data, "\x93NUMPY", 6));
    at = data + n;
  }
  CHECK(!memcmp(a.bytes + at, "PK\1\2", 4));
  OK(save("y"));
  CHECK(file_is("y", a.bytes, a.n));
  folder_leave();
}

static void *drain(void *path) {
  static archive got;
  got = archive_of(path);
  return &got;
}

/* A FIFO cannot be written anew: sizes and sums follow the data, and the directory knows them. */
TEST(a_fifo_gets_sizes_behind_the_data) {
  folder_enter();
  CHECK(mkfifo("fifo", 0600) == 0);
  pthread_t thread;
  char path[] = "fifo";
  CHECK(pthread_create(&thread, NULL, drain, path) == 0);
  OK(save("fifo"));
  void *got = NULL;
  pthread_join(thread, &got);
  const archive *const a = got;
  EQUAL(get(a, 6, 2), 8);
  archive_put("x", a);
  HOLDS(tv_npz_load("x", "a", NULL), 1, 1, 1);
  HOLDS(tv_npz_load("x", "name/of/b", NULL), 1, 1, 1, 1, 1);
  folder_leave();
}

/* Long runs of zeros become a hole. */
static ssize_t sparse_write(int fd, const void *from, size_t n) {
  static const char zeros[4096];
  const char *const bytes = from;
  const bool is_hole =
      n == 1 << 18 && !memcmp(bytes, zeros, 4096) && !memcmp(bytes + n - 4096, zeros, 4096);
  if (!is_hole) return write(fd, from, n);
  return lseek(fd, (off_t)n, SEEK_CUR) < 0 ? -1 : (ssize_t)n;
}

TEST(members_and_places_above_4_gib) {
  const int64_t n = (int64_t)4400 << 20;
  if (sizeof(void *) < 8) SKIP("an address space of 32 bits");
  uint8_t *const zeros =
      mmap(NULL, (size_t)n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (zeros == MAP_FAILED) SKIP("no address space");
  folder_enter();
  const tv_memory_options borrow = {sizeof borrow, true,           NULL, NULL,
                                    NULL,          TV_DEVICE_NONE, NULL, TV_GUARD_NONE};
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_tensor *const big = tv_tensor_from_memory(zeros, TV_U8, TV_SHAPE(n), &borrow);
  tv_tensor *const all[] = {big, tv_ones(TV_F32, TV_SHAPE(3))};
  tv_npz_save_options scratch = TV_NPZ_SAVE_OPTIONS;
  scratch.durable = false;
  const tvi_system real = tvi_sys;
  tvi_sys.write = sparse_write;
  const tv_status status = tv_npz_save("x.npz", 2, names, all, &scratch);
  tvi_sys = real;
  if (status == TV_EIO) { /* no file may be so large here */
    tv_error_clear();
  } else {
    OK(status);
    tv_npy_options map = TV_NPY_OPTIONS;
    tv_npy_layout layout = TV_NPY_LAYOUT;
    map.map = TV_NPY_MAP;
    map.require_map = true;
    map.layout = &layout;
    tv_tensor *const x = tv_npz_load("x.npz", "a", &map);
    OK(x);
    EQUAL(layout.bytes, n);
    EQUAL(((const uint8_t *)tv_tensor_data(x))[n - 1], 0);
    HOLDS(tv_npz_load("x.npz", "name/of/b", NULL), 1, 1, 1);
  }
  tv_scope_end(&scope, NULL);
  folder_leave();
  munmap(zeros, (size_t)n);
}

TEST(full_disks_are_told) {
  FAILS_STATUS(TV_EIO, "npz_save: /dev/full: cannot write: No space left on device",
               save("/dev/full"));
}

TEST_MAIN("zip_write", CASE(headers_have_64_bits_and_data_are_aligned),
          CASE(a_fifo_gets_sizes_behind_the_data), CASE(members_and_places_above_4_gib),
          CASE(full_disks_are_told))
