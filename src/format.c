/* SPDX-License-Identifier: MIT */
/* Printing tensors and Variables: fetching what is shown of them, and what surrounds it. The text
 * of the elements is print.c's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "deferred.h"
#include "memory.h"
#include "print.h"
#include "scope.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"
#include "thread.h"
#include "variable/variable.h"

/* Copy the corners of x, on its device, to a tensor of the shape shown: an axis that is cut has two
 * parts of equal size, so there are 2^cut blocks. */
static tv_tensor *corners(const char *who, tv_tensor *x, const int64_t *shown) {
  tv_tensor *const y = tvi_tensor_new(who, tvi_tensor_on(x), x->dtype, x->rank, shown);
  if (!y) return NULL;
  if (tvi_settle(x) || tvi_stream_reads(x)) {
    tv_release(y);
    return NULL;
  }
  int64_t block[TV_MAX_RANK];
  bool is_end[TV_MAX_RANK] = {false};
  for (int k = 0; k < x->rank; k++) block[k] = shown[k] < x->shape[k] ? shown[k] / 2 : shown[k];
  for (int axis = 0; axis >= 0;) {
    char *from = x->data, *to = y->data;
    for (int k = 0; k < x->rank; k++) {
      if (!is_end[k]) continue;
      from += (x->shape[k] - block[k]) * x->steps[k];
      to += block[k] * y->steps[k];
    }
    if (tvi_write(who, tvi_tensor_on(x), x->dtype, to, y->steps, x->rank, block, x->dtype, from,
                  x->steps)) {
      tv_release(y);
      return NULL;
    }
    for (axis = x->rank - 1; axis >= 0; axis--) { /* the next block */
      if (block[axis] == shown[axis]) continue;
      is_end[axis] = !is_end[axis];
      if (is_end[axis]) break;
    }
  }
  return y;
}

/* Add the text of x. */
static tv_status put_tensor(const char *who, tvi_writer *text, tv_tensor *x, tv_text_style style) {
  int64_t shown[TV_MAX_RANK];
  tv_status status = TV_OK;
  const int64_t n = tvi_print_shown(x->rank, x->shape, shown);
  tv_tensor *const part = n < x->size ? corners(who, x, shown) : tv_retain(x);
  if (!part) return tvi_failure();
  const int64_t bytes = tv_tensor_bytes(part);
  void *const elements = tvi_malloc(bytes);
  if (elements) {
    status = tv_tensor_copy_out(part, elements, bytes);
    if (!status) tvi_print_array(text, x->dtype, x->rank, x->shape, elements, style);
  } else {
    status = tvi_no_memory(who, bytes);
  }
  tvi_free(elements);
  tv_release(part);
  if (!status && text->has_failed)
    status = tvi_fail_status(TV_ENOMEM, "%s: no memory on cpu for the text", who);
  return status;
}

/* TensorFlow's text. */
static void put_parts(tvi_writer *text, tv_variable *v, tv_tensor *value,
                      const tvi_writer *elements) {
  tvi_writer_put_string(text, "<tv.Variable '");
  tvi_writer_put_string(text, tv_variable_name(v));
  tvi_writer_put_string(text, ":0' shape=");
  int64_t shape[TV_MAX_RANK];
  for (int k = 0; k < value->rank; k++)
    shape[k] = v->is_open && v->is_open[k] ? -1 : value->shape[k];
  tvi_writer_put_tuple(text, value->rank, shape);
  tvi_writer_put_string(text, " dtype=");
  tvi_writer_put_string(text, tv_dtype_name(value->dtype));
  tvi_writer_put_string(text, ", numpy=");
  if (elements->n && memchr(elements->bytes, '\n', (size_t)elements->n))
    tvi_writer_put(text, "\n", 1);
  tvi_writer_put(text, elements->bytes, elements->n);
  tvi_writer_put(text, ">", 1);
}

/* Add the text of a Variable. To print is not to compute: no tape sees the read. */
static tv_status put_variable(const char *who, tvi_writer *text, tv_variable *v) {
  tvi_writer elements = TVI_WRITER;
  tv_scope scope;
  tv_status status = tvi_scope_open(&scope);
  if (status) return status;
  tvi_self.paused++;
  tv_tensor *const value = tv_read(v);
  tvi_self.paused--;
  status =
      value ? put_tensor(who, &elements, value, value->rank ? TV_REPR : TV_STR) : tvi_failure();
  if (value && !status) {
    put_parts(text, v, value, &elements);
    if (text->has_failed)
      status = tvi_fail_status(TV_ENOMEM, "%s: no memory on cpu for the text", who);
  }
  tvi_writer_free(&elements);
  tvi_scope_close(&scope);
  return status;
}

/* Copy the text to the caller's, cut to fit, and free it; its length. */
static int64_t give(tvi_writer *text, char *out, int64_t capacity) {
  const int64_t n = text->n, fits = n < capacity ? n : capacity - 1;
  if (capacity > 0) {
    if (fits) memcpy(out, text->bytes, (size_t)fits);
    out[fits] = '\0';
  }
  tvi_writer_free(text);
  return n;
}

/* Whether the caller's arguments can be meant; `what` names the object. */
static bool are_fit(const char *who, const void *object, const char *what, const char *text,
                    int64_t capacity) {
  if (!object) return tvi_null(who, what);
  if (capacity < 0) return tvi_fail(TV_EVALUE, "%s: capacity is %lld", who, (long long)capacity);
  if (!text && capacity) return tvi_null(who, "text");
  return true;
}

/* Write the text and a line feed, and free it. */
static tv_status send(const char *who, FILE *stream, tvi_writer *text) {
  tvi_writer_put(text, "\n", 1);
  tv_status status = TV_OK;
  if (text->has_failed) {
    status = tvi_fail_status(TV_ENOMEM, "%s: no memory on cpu for the text", who);
  } else if (fwrite(text->bytes, 1, (size_t)text->n, stream) != (size_t)text->n) {
    status = tvi_fail_status(TV_EIO, "%s: cannot write: %s", who, tvi_errno_text(errno));
  }
  tvi_writer_free(text);
  return status;
}

int64_t tv_format(tv_tensor *x, tv_text_style style, char *text, int64_t capacity) {
  tvi_writer all = TVI_WRITER;
  if (!are_fit("format", x, "x", text, capacity)) return -1;
  if (style != TV_REPR && style != TV_STR)
    return tvi_fail(TV_EVALUE, "format: style is %d, which is none", (int)style), -1;
  if (!put_tensor("format", &all, x, style)) return give(&all, text, capacity);
  tvi_writer_free(&all);
  return -1;
}

tv_status tv_print(FILE *stream, tv_tensor *x) {
  tvi_writer all = TVI_WRITER;
  if (!stream || !x) return tvi_null_status("print", stream ? "x" : "stream");
  const tv_status status = put_tensor("print", &all, x, TV_REPR);
  if (!status) return send("print", stream, &all);
  tvi_writer_free(&all);
  return status;
}

int64_t tv_variable_format(tv_variable *variable, char *text, int64_t capacity) {
  tvi_writer all = TVI_WRITER;
  if (!are_fit("variable_format", variable, "variable", text, capacity)) return -1;
  if (!put_variable("variable_format", &all, variable)) return give(&all, text, capacity);
  tvi_writer_free(&all);
  return -1;
}

tv_status tv_variable_print(FILE *stream, tv_variable *variable) {
  tvi_writer all = TVI_WRITER;
  if (!stream || !variable)
    return tvi_null_status("variable_print", stream ? "variable" : "stream");
  const tv_status status = put_variable("variable_print", &all, variable);
  if (!status) return send("variable_print", stream, &all);
  tvi_writer_free(&all);
  return status;
}
