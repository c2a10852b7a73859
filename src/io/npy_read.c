/* SPDX-License-Identifier: MIT */
/* Loading .npy files: from a path, an open file or memory; by copy or map.
 *
 * One source, one order of steps whichever it is: prefix, header text, sizes against what the
 * source holds, and only then memory. A source of unknown size, a FIFO say, is believed as far as
 * it delivers: memory doubles behind the bytes that have come. Fortran order is the C order of the
 * reversed shape, shown through reversed steps. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "dtype.h"
#include "endian.h"
#include "file.h"
#include "flow.h"
#include "memory.h"
#include "npy_header.h"
#include "scope.h"
#include "status.h"
#include "tensor.h"
#include "thread.h"

enum { FIRST_BYTES = 1 << 19 }; /* of storage for a source of unknown size */

/* Sources ------------------------------------------------------------------------------------- */

static tv_status read_file(tvi_source *from, void *out, int64_t n, int64_t *got) {
  return tvi_file_read(from->who, from->fd, out, n, got);
}

static tv_status read_memory(tvi_source *from, void *out, int64_t n, int64_t *got) {
  *got = n < from->left ? n : from->left;
  memcpy(out, from->memory, (size_t)*got);
  from->memory += *got;
  return TV_OK;
}

tv_status tvi_npy_options_of(const char *who, const tv_npy_options *given, tv_npy_options *out) {
  *out = (tv_npy_options)TV_NPY_OPTIONS;
  if (!given) return TV_OK;
  if (!tvi_options_fit(who, given->size, sizeof *out)) return TV_EVALUE;
  memcpy(out, given, given->size);
  if ((unsigned)out->map > TV_NPY_MAP_WRITABLE) {
    return tvi_fail_status(TV_EVALUE, "%s: map is %d, which is none", who, (int)out->map);
  }
  const bool fits = !out->layout || tvi_options_fit(who, out->layout->size, sizeof *out->layout);
  return fits ? TV_OK : TV_EVALUE;
}

void tvi_npy_tell(const tv_npy_layout *layout, tv_npy_layout *out) {
  const size_t size = out->size;
  memcpy(out, layout, size);
  out->size = size;
}

/* ---- header --------------------------------------------------------------------------------- */

static tv_status read_text(tvi_source *from, int64_t n, bool void2_is_bf16, tv_npy_layout *layout) {
  uint8_t *const text = tvi_malloc(n);
  if (!text)
    return tvi_fail_status(TV_ENOMEM, "%s: no memory on cpu for %lld bytes", from->who,
                           (long long)n);
  int64_t got = 0;
  tv_status status = tvi_source_read(from, text, n, &got);
  if (!status && got < n) {
    const long long at = layout->offset - n + got;
    status = tvi_fail_status(
        TV_EFORMAT, "%s: byte %lld: found the end of the file, expected %lld bytes of header",
        from->who, at, (long long)n);
  }
  if (!status) status = tvi_npy_header_parse(from->who, text, n, void2_is_bf16, layout);
  tvi_free(text);
  return status;
}

tv_status tvi_npy_read_header(tvi_source *from, bool void2_is_bf16, tv_npy_layout *layout) {
  uint8_t prefix[12] = {0};
  int64_t got = 0, n = 0;
  int prefix_bytes = 0;
  const int64_t size = from->left;
  tv_status status = tvi_source_read(from, prefix, TVI_NPY_PREFIX, &got);
  if (!status) status = tvi_npy_magic(from->who, prefix, got, &prefix_bytes);
  if (status) return status;
  if (prefix_bytes > TVI_NPY_PREFIX) {
    status = tvi_source_read(from, prefix + TVI_NPY_PREFIX, prefix_bytes - TVI_NPY_PREFIX, &got);
    if (status) return status;
    if (got < prefix_bytes - TVI_NPY_PREFIX) {
      return tvi_fail_status(TV_EFORMAT,
                             "%s: byte %d: found the end of the file, expected 4 bytes of length",
                             from->who, TVI_NPY_PREFIX + (int)got);
    }
  }
  status = tvi_npy_header_length(from->who, prefix, prefix_bytes, from->left, &n);
  if (status) return status;
  layout->version = prefix[6];
  layout->offset = prefix_bytes + n;
  status = read_text(from, n, void2_is_bf16, layout);
  return status ? status : tvi_npy_size_check(from->who, layout, size);
}

/* ---- elements ------------------------------------------------------------------------------- */

static bool needs_swap(const tv_npy_layout *layout) {
  return tv_dtype_size(layout->dtype) > 1 && layout->is_big_endian != tvi_host_is_big_endian();
}

static tv_status check_bools(const char *who, const tv_npy_layout *layout, const uint8_t *bytes) {
  if (layout->dtype != TV_BOOL) return TV_OK;
  for (int64_t i = 0; i < layout->bytes; i++) {
    if (bytes[i] > 1) {
      const long long at = layout->offset + i;
      return tvi_fail_status(TV_EFORMAT, "%s: byte %lld: found %d as bool %lld, expected 0 or 1",
                             who, at, bytes[i], (long long)i);
    }
  }
  return TV_OK;
}

/* The elements of a storage on the CPU that holds just them, in the order of the file. */
static tv_tensor *show(tvi_storage *storage, const tv_npy_layout *layout) {
  int64_t reversed[TV_MAX_RANK], reversed_steps[TV_MAX_RANK], steps[TV_MAX_RANK];
  const int rank = layout->rank;
  if (!layout->is_fortran)
    return tvi_tensor_view(storage, storage->data, layout->dtype, rank, layout->shape, NULL);
  for (int k = 0; k < rank; k++) reversed[k] = layout->shape[rank - 1 - k];
  tvi_steps_of(rank, reversed, tv_dtype_size(layout->dtype), reversed_steps);
  for (int k = 0; k < rank; k++) steps[k] = reversed_steps[rank - 1 - k];
  return tvi_tensor_view(storage, storage->data, layout->dtype, rank, layout->shape, steps);
}

/* A storage of all the elements, as they are in the file. */
static tvi_storage *read_storage(tvi_source *from, const tv_npy_layout *layout) {
  const int64_t need = layout->bytes;
  int64_t room = from->left >= 0 || need < FIRST_BYTES ? need : FIRST_BYTES, have = 0;
  tvi_storage *storage = tvi_storage_new(TV_CPU, room);
  while (storage && have < need) {
    if (have == room) {
      room = room < need / 2 ? 2 * room : need;
      tvi_storage *const larger = tvi_storage_new(TV_CPU, room);
      if (larger) memcpy(larger->data, storage->data, (size_t)have);
      tvi_storage_release(storage);
      storage = larger;
      continue;
    }
    int64_t got = 0;
    tv_status status = tvi_source_read(from, (char *)storage->data + have, room - have, &got);
    have += got;
    if (!status && have < room) {
      tvi_text shape;
      const long long at = layout->offset + have;
      status = tvi_fail_status(
          TV_EFORMAT,
          "%s: byte %lld: found the end of the file, expected %lld bytes for shape %s of %s",
          from->who, at, (long long)need, tvi_shape_text(&shape, layout->rank, layout->shape),
          tv_dtype_name(layout->dtype));
    }
    if (status) {
      tvi_storage_release(storage);
      return NULL;
    }
  }
  return storage;
}

static tv_tensor *read_copy(tvi_source *from, const tv_npy_layout *layout) {
  tvi_storage *const storage = read_storage(from, layout);
  tv_tensor *x = NULL;
  if (!storage) return NULL;
  if (!(from->finish && from->finish(from)) && !check_bools(from->who, layout, storage->data)) {
    if (needs_swap(layout)) tvi_swap_numbers(layout->dtype, storage->data, layout->bytes);
    x = show(storage, layout);
  }
  tvi_storage_release(storage);
  return x;
}

/* ---- maps ----------------------------------------------------------------------------------- */

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

/* Why a map is not possible; NULL if it is. Pages begin at the start of the file, so an element is
 * as aligned as its place there. */
static const char *no_map(const tvi_source *from, const tv_npy_layout *layout, tv_device device) {
  if (from->left < 0) return "it is no regular file";
  if (from->fd < 0) return "it is compressed";
  if (device != TV_CPU) return "the device is not cpu";
  if (needs_swap(layout)) return "its bytes are swapped";
  if ((from->at + layout->offset) % tvi_alignment(layout->dtype))
    return "its elements are misaligned";
  if (layout->bytes > INT64_MAX / 2 || (uint64_t)(layout->bytes + page_bytes()) > SIZE_MAX)
    return "it is larger than the address space";
  return NULL;
}

static tv_tensor *read_map(tvi_source *from, const tv_npy_layout *layout, bool is_writable) {
  map *const it = tvi_malloc(sizeof *it);
  if (!it) return tvi_fail(TV_ENOMEM, "%s: no memory on cpu for %zu bytes", from->who, sizeof *it);
  const int64_t first = from->at + layout->offset, within = first % page_bytes();
  it->bytes = (size_t)(within + layout->bytes);
  it->pages = tvi_sys.mmap(NULL, it->bytes, is_writable ? PROT_READ | PROT_WRITE : PROT_READ,
                           is_writable ? MAP_PRIVATE : MAP_SHARED, from->fd, first - within);
  if (it->pages == MAP_FAILED) {
    tvi_file_fail(from->who, "map", errno);
    tvi_free(it);
    return NULL;
  }
  uint8_t *const data = (uint8_t *)it->pages + within;
  tvi_storage *const storage = is_writable ? tvi_storage_adopt(data, layout->bytes, unmap, it)
                                           : tvi_storage_borrow(data, layout->bytes, unmap, it);
  if (!storage) return NULL;
  tv_tensor *const x = check_bools(from->who, layout, data) ? NULL : show(storage, layout);
  tvi_storage_release(storage);
  return x;
}

/* ---- the whole ------------------------------------------------------------------------------ */

tv_tensor *tvi_npy_read_elements(tvi_source *from, const tv_npy_layout *layout,
                                 const tv_npy_options *options) {
  const tv_device device =
      options->device == TV_DEVICE_NONE ? tv_device_current() : options->device;
  const bool wants_map = options->map != TV_NPY_COPY && layout->bytes > 0;
  const char *const why_not = wants_map ? no_map(from, layout, device) : NULL;
  if (why_not && options->require_map)
    return tvi_fail(TV_EUNSUPPORTED, "%s: cannot be mapped: %s", from->who, why_not);
  const bool maps = wants_map && !why_not;
  tv_tensor *x =
      maps ? read_map(from, layout, options->map == TV_NPY_MAP_WRITABLE) : read_copy(from, layout);
  if (x && device != TV_CPU) {
    tv_tensor *const there = tvi_tensor_copy(from->who, x, x->dtype, device);
    tv_release(x);
    x = there;
  }
  if (x && options->is_mapped) *options->is_mapped = maps;
  if (x && options->layout) tvi_npy_tell(layout, options->layout);
  return x;
}

/* The array of a source, whose one count is the caller's. */
static tv_tensor *read_array(tvi_source *from, const tv_npy_options *options) {
  tv_npy_layout layout = TV_NPY_LAYOUT;
  if (tvi_npy_read_header(from, options->void2_is_bf16, &layout)) return NULL;
  return tvi_npy_read_elements(from, &layout, options);
}

bool tvi_npy_may_load(const char *who, const tv_npy_options *given, tv_npy_options *options) {
  if (!tvi_scope_is_open(who) || tvi_npy_options_of(who, given, options)) return false;
  return options->device == TV_DEVICE_NONE || tvi_device_find(who, options->device);
}

tv_tensor *tv_npy_load(const char *path, const tv_npy_options *options) {
  tv_npy_options o;
  tvi_who who;
  if (!path) return tvi_null("npy_load", "path");
  if (!tvi_npy_may_load("npy_load", options, &o)) return NULL;
  tvi_source from = {.who = tvi_who_text(&who, "npy_load", path), .read = read_file};
  from.fd = tvi_file_open(from.who, path);
  if (from.fd < 0) return NULL;
  tv_tensor *x = NULL;
  if (!tvi_file_left(from.who, from.fd, &from.left)) x = read_array(&from, &o);
  tvi_file_close(from.fd);
  return tvi_scope_own(x);
}

tv_tensor *tv_npy_read_fd(int fd, const char *name, const tv_npy_options *options) {
  tv_npy_options o;
  tvi_who who;
  if (!name) return tvi_null("npy_read_fd", "name");
  if (!tvi_npy_may_load("npy_read_fd", options, &o)) return NULL;
  if (fd < 0) return tvi_fail(TV_EVALUE, "npy_read_fd: fd is %d", fd);
  o.map = TV_NPY_COPY;
  tvi_source from = {.who = tvi_who_text(&who, "npy_read_fd", name), .fd = fd, .read = read_file};
  if (tvi_file_left(from.who, fd, &from.left)) return NULL;
  return tvi_scope_own(read_array(&from, &o));
}

tv_tensor *tv_npy_read_memory(const void *bytes, int64_t size, const tv_npy_options *options) {
  tv_npy_options o;
  if (!bytes && size) return tvi_null("npy_read_memory", "bytes");
  if (!tvi_npy_may_load("npy_read_memory", options, &o)) return NULL;
  if (size < 0) return tvi_fail(TV_EVALUE, "npy_read_memory: size is %lld", (long long)size);
  o.map = TV_NPY_COPY;
  const void *const begin = bytes ? bytes : "";
  tvi_source from = {
      .who = "npy_read_memory", .fd = -1, .memory = begin, .left = size, .read = read_memory};
  return tvi_scope_own(read_array(&from, &o));
}

tv_status tv_npy_info(const char *path, const tv_npy_options *options, tv_npy_layout *layout) {
  tv_npy_options o;
  tvi_who who;
  if (!path || !layout) return tvi_null_status("npy_info", path ? "layout" : "path");
  tv_status status = tvi_npy_options_of("npy_info", options, &o);
  if (status) return status;
  if (!tvi_options_fit("npy_info", layout->size, sizeof *layout)) return TV_EVALUE;
  tv_npy_layout found = TV_NPY_LAYOUT;
  tvi_source from = {.who = tvi_who_text(&who, "npy_info", path), .read = read_file};
  from.fd = tvi_file_open(from.who, path);
  if (from.fd < 0) return TV_EIO;
  status = tvi_file_left(from.who, from.fd, &from.left);
  if (!status) status = tvi_npy_read_header(&from, o.void2_is_bf16, &found);
  tvi_file_close(from.fd);
  if (status) return status;
  tvi_npy_tell(&found, layout);
  return TV_OK;
}
