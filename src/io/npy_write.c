/* SPDX-License-Identifier: MIT */
/* Saving .npy files: header, then elements, into a file that file.c replaces as a whole, to an open
 * file or to a callback.
 *
 * Fortran order is the C order of the transpose, which is what is written then. Elements that lie
 * in the order of the file are written from where they are. Any other layout goes through a buffer
 * of BUFFER bytes, never through a second full array; so do the bytes of another device, and those
 * to be swapped, for the file's order does not depend on the host's. */
#include <string.h>

#include "deferred.h"
#include "device.h"
#include "endian.h"
#include "file.h"
#include "guard.h"
#include "memory.h"
#include "npy_header.h"
#include "npy_write.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"

enum { BUFFER = 1 << 18 }; /* a multiple of every element's size */

/* Whether the elements lie with the first axis fastest, without gaps; steps of axes of size 1 mean
 * nothing. */
static bool is_fortran_order(tv_tensor *x, const int64_t *steps) {
  int64_t next = tv_dtype_size(x->dtype);
  for (int k = 0; k < x->rank; k++) {
    if (x->shape[k] == 1) continue;
    if (steps[k] != next) return false;
    next *= x->shape[k];
  }
  return true;
}

/* The elements in C order, collected and written in pieces. */
typedef struct collector {
  tvi_sink *to;
  tv_dtype dtype;
  bool swaps;
  char *buffer; /* BUFFER bytes, `used` of them */
  int64_t used;
} collector;

static tv_status flush(collector *c) {
  if (c->swaps) tvi_swap_numbers(c->dtype, c->buffer, c->used);
  const tv_status status = tvi_sink_elements(c->to, c->buffer, c->used);
  c->used = 0;
  return status;
}

/* n elements, `step` bytes apart. */
static tv_status collect(collector *c, const char *from, int64_t step, int64_t n) {
  const int64_t item = tv_dtype_size(c->dtype);
  for (int64_t i = 0; i < n; i++, from += step) {
    if (c->used == BUFFER) {
      const tv_status status = flush(c);
      if (status) return status;
    }
    memcpy(c->buffer + c->used, from, (size_t)item);
    c->used += item;
  }
  return TV_OK;
}

static tv_status write_collected(tvi_sink *to, tv_tensor *x, const char *data, const int64_t *steps,
                                 bool swaps) {
  int64_t index[TV_MAX_RANK] = {0};
  const int64_t *const shape = x->shape;
  const int last = x->rank - 1;
  collector c = {to, x->dtype, swaps, tvi_malloc(BUFFER), 0};
  if (!c.buffer) return tvi_no_memory(to->who, BUFFER);
  tv_status status = TV_OK;
  for (int axis = 0; !status && axis >= 0;) {
    status = x->rank ? collect(&c, data, steps[last], shape[last]) : collect(&c, data, 0, 1);
    for (axis = last - 1; axis >= 0; axis--) {
      data += steps[axis];
      if (++index[axis] < shape[axis]) break;
      data -= steps[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  if (!status) status = flush(&c);
  tvi_free(c.buffer);
  return status;
}

/* The elements of another device, compact in C order there, in pieces. */
static tv_status write_device(tvi_sink *to, tv_tensor *x, bool swaps) {
  tvi_device *const on = tvi_device_at(tvi_tensor_on(x));
  collector c = {to, x->dtype, swaps, tvi_malloc(BUFFER), 0};
  if (!c.buffer) return tvi_no_memory(to->who, BUFFER);
  tv_status status = tvi_stream_reads(x);
  const int64_t bytes = tv_tensor_bytes(x);
  for (int64_t done = 0; !status && done < bytes; done += BUFFER) {
    c.used = bytes - done < BUFFER ? bytes - done : BUFFER;
    status = on->backend.copy_out(on->self, c.buffer, x->data + done, c.used,
                                  tvi_stream_now(tvi_tensor_on(x)));
    if (!status) status = flush(&c);
  }
  tvi_free(c.buffer);
  return status;
}

static bool is_here(const tv_tensor *x) { return x->weak.kind || tvi_tensor_on(x) == TV_CPU; }

/* x with its axes reversed; the caller has the one count. */
static tv_tensor *transpose(tv_tensor *x) {
  int64_t shape[TV_MAX_RANK], steps[TV_MAX_RANK];
  if (tvi_settle(x)) return NULL;
  for (int k = 0; k < x->rank; k++) {
    shape[k] = x->shape[x->rank - 1 - k];
    steps[k] = x->steps[x->rank - 1 - k];
  }
  return tvi_tensor_view(x->storage, x->data, x->dtype, x->rank, shape, steps);
}

tv_tensor *tvi_npy_packed(const char *who, tv_tensor *x, tv_npy_order order, bool *is_fortran) {
  *is_fortran = false;
  if (order == TV_NPY_ORDER_FORTRAN) *is_fortran = x->rank > 1;
  if (order == TV_NPY_ORDER_KEEP && is_here(x) && x->size && !x->is_contiguous) {
    int64_t steps[TV_MAX_RANK];
    if (!tv_tensor_data_strided(x, steps)) return NULL;
    *is_fortran = is_fortran_order(x, steps);
  }
  tv_tensor *const shown = *is_fortran ? transpose(x) : tv_retain(x);
  if (!shown || is_here(x)) return shown;
  tv_tensor *const packed = tvi_tensor_compact(who, shown);
  tv_release(shown);
  return packed;
}

/* What was written of borrowed memory is what was borrowed. */
static tv_status looked_at(tv_status status, const tvi_sink *to, tv_tensor *x) {
  if (status || !tvi_guard_of(x->storage)) return status;
  tvi_guard_note(x->storage);
  return tvi_guards_check(to->who);
}

/* All elements in C order. */
static tv_status write_elements(tvi_sink *to, tv_tensor *x, bool swaps) {
  int64_t steps[TV_MAX_RANK];
  if (!x->size) return TV_OK;
  if (!is_here(x)) return write_device(to, x, swaps);
  const char *const data = tv_tensor_data_strided(x, steps);
  if (!data) return tvi_failure();
  const tv_status status = x->is_contiguous && !swaps
                               ? tvi_sink_elements(to, data, tv_tensor_bytes(x))
                               : write_collected(to, x, data, steps, swaps);
  return looked_at(status, to, x);
}

tv_status tvi_npy_write_elements(tvi_sink *to, tv_tensor *x) {
  return write_elements(to, x, tvi_host_is_big_endian());
}

tv_status tvi_npy_write(tvi_sink *to, tv_tensor *x, bool is_fortran, bool is_big_endian) {
  char header[TVI_NPY_HEADER_ROOM];
  int64_t shape[TV_MAX_RANK];
  for (int k = 0; k < x->rank; k++) shape[k] = x->shape[is_fortran ? x->rank - 1 - k : k];
  const int n = tvi_npy_header_write(x->dtype, is_big_endian, is_fortran, x->rank, shape, header);
  const tv_status status = to->write(to, header, n);
  if (status) return status;
  const bool swaps = is_big_endian != tvi_host_is_big_endian() && tv_dtype_size(x->dtype) > 1;
  return write_elements(to, x, swaps);
}

/* To path, descriptor or callback -------------------------------------------------------------- */

/* What every way of writing asks first. */
static tv_status check(const char *who, tv_tensor *x, const tv_npy_save_options *given,
                       tv_npy_save_options *o) {
  *o = (tv_npy_save_options)TV_NPY_SAVE_OPTIONS;
  if (!x) return tvi_null_status(who, "x");
  if (given) {
    if (!tvi_options_fit(who, given->size, sizeof *o)) return TV_EVALUE;
    memcpy(o, given, given->size);
  }
  if ((unsigned)o->order > TV_NPY_ORDER_FORTRAN)
    return tvi_fail_status(TV_EVALUE, "%s: order is %d, which is none", who, (int)o->order);
  if (o->big_endian && x->dtype == TV_BF16)
    return tvi_fail_status(TV_EDTYPE, "%s: bfloat16 is V2 in the file, which has no byte order",
                           who);
  return TV_OK;
}

/* A packed x, of which the caller is told. */
static tv_status write_whole(tvi_sink *to, tv_tensor *packed, bool is_fortran,
                             const tv_npy_save_options *o) {
  const tv_status status = tvi_progress_begin(&to->progress, to->who, o->progress, o->progress_user,
                                              tv_tensor_bytes(packed));
  return status ? status : tvi_npy_write(to, packed, is_fortran, o->big_endian);
}

static tv_status write_open(tvi_sink *to, tv_tensor *x, const tv_npy_save_options *o) {
  bool is_fortran;
  tv_tensor *const packed = tvi_npy_packed(to->who, x, o->order, &is_fortran);
  if (!packed) return tvi_failure();
  const tv_status status = write_whole(to, packed, is_fortran, o);
  tv_release(packed);
  return status;
}

tv_status tv_npy_save(const char *path, tv_tensor *x, const tv_npy_save_options *options) {
  tv_npy_save_options o;
  tvi_who who;
  bool is_fortran;
  if (!path) return tvi_null_status("npy_save", "path");
  tv_status status = check("npy_save", x, options, &o);
  if (status) return status;
  tvi_file_sink to = {{.who = tvi_who_text(&who, "npy_save", path), .write = tvi_file_sink_write},
                      {0}};
  tv_tensor *const packed = tvi_npy_packed(who.text, x, o.order, &is_fortran);
  if (!packed) return tvi_failure();
  status = tvi_file_begin(&to.out, who.text, path, o.durable);
  if (!status) {
    status = write_whole(&to.sink, packed, is_fortran, &o);
    if (!status) {
      status = tvi_file_commit(&to.out);
    } else {
      tvi_file_abandon(&to.out);
    }
  }
  tv_release(packed);
  return status;
}

tv_status tv_npy_write_fd(int fd, const char *name, tv_tensor *x,
                          const tv_npy_save_options *options) {
  tv_npy_save_options o;
  tvi_who who;
  if (!name) return tvi_null_status("npy_write_fd", "name");
  const tv_status status = check("npy_write_fd", x, options, &o);
  if (status) return status;
  if (fd < 0) return tvi_fail_status(TV_EVALUE, "npy_write_fd: fd is %d", fd);
  tvi_who_text(&who, "npy_write_fd", name);
  tvi_file_sink to = {{.who = who.text, .write = tvi_file_sink_write}, {.who = who.text, .fd = fd}};
  return write_open(&to.sink, x, &o);
}

tv_status tv_npy_write_callback(bool (*write)(void *user, const void *bytes, int64_t n), void *user,
                                const char *name, tv_tensor *x,
                                const tv_npy_save_options *options) {
  tv_npy_save_options o;
  tvi_who who;
  if (!write || !name) return tvi_null_status("npy_write_callback", write ? "name" : "write");
  const tv_status status = check("npy_write_callback", x, options, &o);
  if (status) return status;
  tvi_callback_sink to =
      tvi_callback_sink_of(tvi_who_text(&who, "npy_write_callback", name), write, user);
  return write_open(&to.sink, x, &o);
}
