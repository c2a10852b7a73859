/* SPDX-License-Identifier: MIT */
/* Loading .npy files by mapping their pages. Only the pages of the part that was asked for are
 * mapped; the file's size was checked when it was opened. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dtype.h"
#include "file.h"
#include "memory.h"
#include "npy_read.h"
#include "status.h"
#include "storage.h"
#include "tensor.h"

typedef struct map {
  void *pages;
  size_t bytes;
} map;

static void unmap(void *user) {
  map *const it = user;
  tvi_sys.munmap(it->pages, it->bytes);
  tvi_free(it);
}

static int64_t page_bytes(void) { return sysconf(_SC_PAGESIZE); }

/* Pages begin at the start of the file, so an element is as aligned as its place there. */
static bool is_aligned(const tvi_source *from, const tv_npy_layout *layout,
                       const tvi_npy_part *part) {
  const int64_t alignment = tvi_alignment(part->dtype);
  bool is = (from->base + layout->offset + part->first) % alignment == 0;
  for (int i = 0; i < part->n_axes; i++) is &= part->steps[i] % alignment == 0;
  return is;
}

const char *tvi_npy_no_map(const tvi_source *from, const tv_npy_layout *layout,
                           const tvi_npy_part *part, const tv_npy_options *options,
                           tv_device device) {
  if (from->left < 0) return "it is no regular file";
  if (from->fd < 0) return "it is compressed";
  if (options->out) return "it goes into the caller's memory";
  if (device != TV_CPU) return "the device is not cpu";
  if (options->dtype != TV_DTYPE_NONE && options->dtype != part->dtype)
    return "its elements are to be converted";
  if (part->is_swapped) return "its bytes are swapped";
  if (!is_aligned(from, layout, part)) return "its elements are misaligned";
  if (part->span > INT64_MAX / 2 || (uint64_t)(part->span + page_bytes()) > SIZE_MAX)
    return "it is larger than the address space";
  return NULL;
}

/* What the system is told is a wish: that it fails is no failure. */
static void advise(const map *it, tv_npy_advice advice) {
  const int words[] = {POSIX_MADV_NORMAL, POSIX_MADV_SEQUENTIAL, POSIX_MADV_RANDOM,
                       POSIX_MADV_WILLNEED};
  if (advice != TV_NPY_NORMAL) tvi_sys.madvise(it->pages, it->bytes, words[advice]);
}

/* That the file, which may have been opened long ago, has n bytes still: reading pages behind its
 * end would be the end of the process. */
static tv_status check_size(const tvi_source *from, int64_t n) {
  struct stat about;
  if (tvi_sys.fstat(from->fd, &about)) return tvi_file_fail(from->who, "ask for the size", errno);
  if (about.st_size >= n) return TV_OK;
  return tvi_fail_status(TV_EFORMAT,
                         "%s: byte %lld: found the end of the file, expected %lld bytes", from->who,
                         (long long)about.st_size, (long long)n);
}

tv_tensor *tvi_npy_map(tvi_source *from, const tv_npy_layout *layout, const tvi_npy_part *part,
                       const tv_npy_options *options) {
  const bool is_writable = options->map == TV_NPY_MAP_WRITABLE;
  const int64_t first = from->base + layout->offset + part->first, within = first % page_bytes();
  if (check_size(from, first + part->span)) return NULL;
  map *const it = tvi_malloc(sizeof *it);
  if (!it) return tvi_fail(TV_ENOMEM, "%s: no memory on cpu for %zu bytes", from->who, sizeof *it);
  it->bytes = (size_t)(within + part->span);
  it->pages = tvi_sys.mmap(NULL, it->bytes, is_writable ? PROT_READ | PROT_WRITE : PROT_READ,
                           is_writable ? MAP_PRIVATE : MAP_SHARED, from->fd, first - within);
  if (it->pages == MAP_FAILED) {
    tvi_file_fail(from->who, "map", errno);
    tvi_free(it);
    return NULL;
  }
  advise(it, options->advice);
  uint8_t *const data = (uint8_t *)it->pages + within;
  tvi_storage *const storage = is_writable ? tvi_storage_adopt(data, part->span, unmap, it)
                                           : tvi_storage_borrow(data, part->span, unmap, it);
  if (!storage) return NULL;
  tv_tensor *x = NULL;
  if (!tvi_npy_check(from->who, layout, part, data))
    x = tvi_tensor_view(storage, data + part->file_origin, part->dtype, part->rank, part->shape,
                        part->file_steps);
  tvi_storage_release(storage);
  return x;
}
