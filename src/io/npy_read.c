/* SPDX-License-Identifier: MIT */
/* Loading .npy files: from a path, an open file, memory or a callback.
 *
 * One source, one order of steps whichever it is: prefix, header text, sizes against what the
 * source holds, and only then memory (npy_elements.c) or a map (npy_map.c). */
#include "npy_read.h"

#include <string.h>

#include "device.h"
#include "dtype.h"
#include "file.h"
#include "memory.h"
#include "npy_header.h"
#include "scope.h"
#include "status.h"
#include "tensor.h"
#include "thread.h"

/* Options ------------------------------------------------------------------------------------- */

/* What those fields hold that are new to the caller's options, or that it filled in wrongly. */
static tv_status check_options(const char *who, const tv_npy_options *o) {
  if ((unsigned)o->map > TV_NPY_MAP_WRITABLE)
    return tvi_fail_status(TV_EVALUE, "%s: map is %d, which is none", who, (int)o->map);
  if ((unsigned)o->advice > TV_NPY_WILL_NEED)
    return tvi_fail_status(TV_EVALUE, "%s: advice is %d, which is none", who, (int)o->advice);
  if (o->n_index < 0 || (o->n_index && !o->index))
    return tvi_fail_status(TV_EVALUE, "%s: index has %d terms%s", who, o->n_index,
                           o->index ? "" : ", and is NULL");
  if (o->slice && o->n_index)
    return tvi_fail_status(TV_EVALUE, "%s: both slice and index are given", who);
  if (o->dtype != TV_DTYPE_NONE && !tvi_is_dtype(o->dtype))
    return tvi_fail_status(TV_EDTYPE, "%s: %d is no dtype", who, (int)o->dtype);
  if (o->refuse > TV_REFUSE_ANY_LOSS)
    return tvi_fail_status(TV_EVALUE, "%s: %u is no sum of what may be refused", who, o->refuse);
  if (o->capacity < 0)
    return tvi_fail_status(TV_EVALUE, "%s: capacity is %lld", who, (long long)o->capacity);
  const bool fits = (!o->layout || tvi_options_fit(who, o->layout->size, sizeof *o->layout)) &&
                    (!o->report || tvi_options_fit(who, o->report->size, sizeof *o->report));
  return fits ? TV_OK : TV_EVALUE;
}

tv_status tvi_npy_options_of(const char *who, const tv_npy_options *given, tv_npy_options *out) {
  *out = (tv_npy_options)TV_NPY_OPTIONS;
  if (!given) return TV_OK;
  if (!tvi_options_fit(who, given->size, sizeof *out)) return TV_EVALUE;
  memcpy(out, given, given->size);
  return check_options(who, out);
}

void tvi_npy_tell(const tv_npy_layout *layout, tv_npy_layout *out) {
  const size_t size = out->size;
  memcpy(out, layout, size);
  out->size = size;
}

/* The header ---------------------------------------------------------------------------------- */

/* A text of n bytes that is being read may be being written, by somebody who appends rows: it is
 * read until two readings agree. A file that ends meanwhile is as it was read at first. */
static tv_status read_until_it_stands(const tvi_source *from, int64_t at, uint8_t *text,
                                      uint8_t *again, int64_t n) {
  enum { TRIES = 100 };
  for (int i = 0; i < TRIES; i++) {
    int64_t got = 0;
    const tv_status status = tvi_file_read_at(from->who, from->fd, at, again, n, &got);
    if (status || got < n || !memcmp(text, again, (size_t)n)) return status;
    memcpy(text, again, (size_t)n);
  }
  return tvi_fail_status(TV_EIO, "%s: cannot read: its header changes all the time", from->who);
}

static tv_status read_text(tvi_source *from, int64_t n, const tv_npy_options *options,
                           tv_npy_layout *layout) {
  uint8_t *const text = tvi_malloc(2 * n);
  if (!text) return tvi_no_memory(from->who, 2 * n);
  int64_t got = 0;
  tv_status status = tvi_source_read(from, text, n, &got);
  if (!status && got < n) {
    const long long at = layout->offset - n + got;
    status = tvi_fail_status(
        TV_EFORMAT, "%s: byte %lld: found the end of the file, expected %lld bytes of header",
        from->who, at, (long long)n);
  }
  if (!status && from->may_grow)
    status = read_until_it_stands(from, from->base + layout->offset - n, text, text + n, n);
  if (!status) status = tvi_npy_header_parse(from->who, text, n, options, layout);
  tvi_free(text);
  return status;
}

/* That the source, which had `size` bytes, holds what the header promises. A file may have grown
 * since it was asked for its size: rows are written before the header that counts them. */
static tv_status check_size(tvi_source *from, const tv_npy_layout *layout, int64_t size) {
  if (from->may_grow && layout->bytes > size - layout->offset) {
    const tv_status status = tvi_file_left(from->who, from->fd, &from->left, NULL);
    if (status) return status;
    if (from->left < 0) from->left = 0; /* nothing is in it any more */
    size = layout->offset + from->left;
  }
  return tvi_npy_size_check(from->who, layout, size);
}

tv_status tvi_npy_read_header(tvi_source *from, const tv_npy_options *options,
                              tv_npy_layout *layout) {
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
  status = read_text(from, n, options, layout);
  if (!status) status = check_size(from, layout, size);
  if (!status && from->left >= 0) layout->behind = from->left - layout->bytes;
  return status;
}

/* The whole ----------------------------------------------------------------------------------- */

tv_tensor *tvi_npy_read_elements(tvi_source *from, const tv_npy_layout *layout,
                                 const tv_npy_options *options) {
  const tv_device device =
      options->device == TV_DEVICE_NONE ? tv_device_current() : options->device;
  tvi_npy_part part;
  if (tvi_npy_part_of(from->who, layout, options, &part)) return NULL;
  const bool wants_map = options->map != TV_NPY_COPY && part.size > 0;
  const char *const why_not =
      wants_map ? tvi_npy_no_map(from, layout, &part, options, device) : NULL;
  if (why_not && options->require_map)
    return tvi_fail(TV_EUNSUPPORTED, "%s: cannot be mapped: %s", from->who, why_not);
  const bool maps = wants_map && !why_not;
  tv_tensor *const x = maps ? tvi_npy_map(from, layout, &part, options)
                            : tvi_npy_copy(from, layout, &part, options, device);
  if (x && options->is_mapped) *options->is_mapped = maps;
  if (x && options->layout) tvi_npy_tell(layout, options->layout);
  return x;
}

/* The array of a source, the scope's. */
static tv_tensor *read_array(tvi_source *from, const tv_npy_options *options) {
  tv_npy_layout layout = TV_NPY_LAYOUT;
  if (tvi_npy_read_header(from, options, &layout)) return NULL;
  return tvi_scope_own(tvi_npy_read_elements(from, &layout, options));
}

bool tvi_npy_may_load(const char *who, const tv_npy_options *given, tv_npy_options *options) {
  if (!tvi_scope_is_open(who) || tvi_npy_options_of(who, given, options)) return false;
  return options->device == TV_DEVICE_NONE || tvi_device_find(who, options->device);
}

bool tvi_npy_may_load_all(const char *who, const tv_npy_options *given, tv_npy_options *options) {
  if (!tvi_npy_may_load(who, given, options)) return false;
  options->is_mapped = NULL;
  options->layout = NULL;
  options->report = NULL;
  return !options->out || tvi_fail(TV_EVALUE, "%s: out is for one array", who);
}

tv_tensor *tv_npy_load(const char *path, const tv_npy_options *options) {
  tv_npy_options o;
  tvi_who who;
  tvi_source from;
  if (!path) return tvi_null("npy_load", "path");
  if (!tvi_npy_may_load("npy_load", options, &o)) return NULL;
  const int fd = tvi_file_open(tvi_who_text(&who, "npy_load", path), path);
  if (fd < 0) return NULL;
  tv_tensor *const x = tvi_file_source(&from, who.text, fd) ? NULL : read_array(&from, &o);
  tvi_file_close(fd);
  return x;
}

tv_tensor *tv_npy_read_fd(int fd, const char *name, const tv_npy_options *options) {
  tv_npy_options o;
  tvi_who who;
  tvi_source from;
  if (!name) return tvi_null("npy_read_fd", "name");
  if (!tvi_npy_may_load("npy_read_fd", options, &o)) return NULL;
  if (fd < 0) return tvi_fail(TV_EVALUE, "npy_read_fd: fd is %d", fd);
  o.map = TV_NPY_COPY;
  if (tvi_file_source(&from, tvi_who_text(&who, "npy_read_fd", name), fd)) return NULL;
  return read_array(&from, &o);
}

tv_tensor *tv_npy_read_callback(int64_t (*read)(void *user, void *out, int64_t n), void *user,
                                const char *name, const tv_npy_options *options) {
  tv_npy_options o;
  tvi_who who;
  if (!read || !name) return tvi_null("npy_read_callback", read ? "name" : "read");
  if (!tvi_npy_may_load("npy_read_callback", options, &o)) return NULL;
  o.map = TV_NPY_COPY;
  tvi_callback_source from =
      tvi_callback_source_of(tvi_who_text(&who, "npy_read_callback", name), read, user);
  return read_array(&from.source, &o);
}

tv_tensor *tv_npy_read_memory(const void *bytes, int64_t size, const tv_npy_options *options) {
  tv_npy_options o;
  if (!bytes && size) return tvi_null("npy_read_memory", "bytes");
  if (!tvi_npy_may_load("npy_read_memory", options, &o)) return NULL;
  if (size < 0) return tvi_fail(TV_EVALUE, "npy_read_memory: size is %lld", (long long)size);
  o.map = TV_NPY_COPY;
  tvi_source from = tvi_memory_source("npy_read_memory", bytes ? bytes : "", size);
  return read_array(&from, &o);
}

tv_status tv_npy_info(const char *path, const tv_npy_options *options, tv_npy_layout *layout) {
  tv_npy_options o;
  tvi_who who;
  tvi_source from;
  if (!path || !layout) return tvi_null_status("npy_info", path ? "layout" : "path");
  tv_status status = tvi_npy_options_of("npy_info", options, &o);
  if (status) return status;
  if (!tvi_options_fit("npy_info", layout->size, sizeof *layout)) return TV_EVALUE;
  tv_npy_layout found = TV_NPY_LAYOUT;
  const int fd = tvi_file_open(tvi_who_text(&who, "npy_info", path), path);
  if (fd < 0) return TV_EIO;
  status = tvi_file_source(&from, who.text, fd);
  if (!status) status = tvi_npy_read_header(&from, &o, &found);
  tvi_file_close(fd);
  if (!status) tvi_npy_tell(&found, layout);
  return status;
}
