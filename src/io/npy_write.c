/* SPDX-License-Identifier: MIT */
/* Saving .npy files: header, then elements, into a file that file.c replaces as a whole.
 *
 * Elements that lie in C or Fortran order are written from where they are. Any other layout goes
 * through a buffer of BUFFER bytes in C order, never through a second full array; so do the bytes
 * of another device, and on big-endian hosts all of them, for the file is little-endian everywhere.
 */
#include <string.h>

#include "device.h"
#include "endian.h"
#include "file.h"
#include "flow.h"
#include "guard.h"
#include "memory.h"
#include "npy_header.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"

enum { BUFFER = 1 << 18 }; /* a multiple of every element's size */

static tv_status no_memory(const char *who) {
  return tvi_fail_status(TV_ENOMEM, "%s: no memory on cpu for %d bytes", who, (int)BUFFER);
}

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
  char *buffer; /* BUFFER bytes, `used` of them */
  int64_t used;
} collector;

static tv_status flush(collector *c) {
  if (tvi_host_is_big_endian()) tvi_swap_numbers(c->dtype, c->buffer, c->used);
  const tv_status status = c->to->write(c->to, c->buffer, c->used);
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
                                 const int64_t *shape) {
  int64_t index[TV_MAX_RANK] = {0};
  const int last = x->rank - 1;
  collector c = {to, x->dtype, tvi_malloc(BUFFER), 0};
  if (!c.buffer) return no_memory(to->who);
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
static tv_status write_device(tvi_sink *to, tv_tensor *x) {
  tvi_device *const on = tvi_device_at(tvi_tensor_on(x));
  collector c = {to, x->dtype, tvi_malloc(BUFFER), 0};
  if (!c.buffer) return no_memory(to->who);
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

tv_tensor *tvi_npy_packed(const char *who, tv_tensor *x) {
  return is_here(x) ? tv_retain(x) : tvi_tensor_compact(who, x);
}

/* The elements of x, whose steps are in host memory, in C order or in Fortran's. */
static tv_status write_here(tvi_sink *to, tv_tensor *x, const char *data, const int64_t *steps,
                            bool is_fortran) {
  if (!tvi_host_is_big_endian() && (x->is_contiguous || is_fortran))
    return to->write(to, data, tv_tensor_bytes(x));
  /* Fortran order is the C order of the transpose. */
  int64_t shape[TV_MAX_RANK], along[TV_MAX_RANK];
  for (int k = 0; k < x->rank; k++) {
    const int axis = is_fortran ? x->rank - 1 - k : k;
    shape[k] = x->shape[axis];
    along[k] = steps[axis];
  }
  return write_collected(to, x, data, along, shape);
}

/* What was written of borrowed memory is what was borrowed. */
static tv_status looked_at(tv_status status, const tvi_sink *to, tv_tensor *x) {
  if (status || !tvi_guard_of(x->storage)) return status;
  tvi_guard_note(x->storage);
  return tvi_guards_check(to->who);
}

tv_status tvi_npy_write(tvi_sink *to, tv_tensor *x) {
  char header[TVI_NPY_HEADER_ROOM];
  int64_t steps[TV_MAX_RANK];
  const char *const data = is_here(x) && x->size ? tv_tensor_data_strided(x, steps) : NULL;
  if (is_here(x) && x->size && !data) return tvi_failure();
  const bool is_fortran = data && !x->is_contiguous && is_fortran_order(x, steps);
  const int n = tvi_npy_header_write(x->dtype, is_fortran, x->rank, x->shape, header);
  const tv_status status = to->write(to, header, n);
  if (status || !x->size) return status;
  if (!is_here(x)) return write_device(to, x);
  return looked_at(write_here(to, x, data, steps, is_fortran), to, x);
}

tv_status tvi_npy_write_elements(tvi_sink *to, tv_tensor *x) {
  int64_t steps[TV_MAX_RANK];
  if (!x->size) return TV_OK;
  if (!is_here(x)) return write_device(to, x);
  const char *const data = tv_tensor_data_strided(x, steps);
  return data ? looked_at(write_here(to, x, data, steps, false), to, x) : tvi_failure();
}

tv_status tv_npy_save(const char *path, tv_tensor *x, const tv_npy_save_options *options) {
  tv_npy_save_options o = TV_NPY_SAVE_OPTIONS;
  tvi_who who;
  if (!path || !x) return tvi_null_status("npy_save", path ? "x" : "path");
  if (options) {
    if (!tvi_options_fit("npy_save", options->size, sizeof o)) return TV_EVALUE;
    memcpy(&o, options, options->size);
  }
  tvi_file_sink to = {{tvi_who_text(&who, "npy_save", path), tvi_file_sink_write}, {0}};
  tv_tensor *const packed = tvi_npy_packed(who.text, x);
  if (!packed) return tvi_failure();
  tv_status status = tvi_file_begin(&to.out, who.text, path, o.durable);
  if (!status) {
    status = tvi_npy_write(&to.sink, packed);
    if (!status) {
      status = tvi_file_commit(&to.out);
    } else {
      tvi_file_abandon(&to.out);
    }
  }
  tv_release(packed);
  return status;
}
