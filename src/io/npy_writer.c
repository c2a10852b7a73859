/* SPDX-License-Identifier: MIT */
/* Appending rows to .npy files.
 *
 *     header | rows, `count` of them | what a killed writer may have left
 *
 * An append writes its rows behind those that the header counts, not at the end of the file, then
 * the header anew, in one call: the text of the dict is within one page, and has the same length
 * whatever the count, since it is padded. A reader sees the old count or the new one, and so does
 * whoever comes after a crash; with `durable` the rows are on the disk before the header is
 * written. If the header cannot be written, the old one is written again.
 *
 * A header of other writers is continued in its own length and version, but in our words. */
#include <tensorvar/npy_writer.h>

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "deferred.h"
#include "endian.h"
#include "grow.h"
#include "memory.h"
#include "npy_header.h"
#include "npy_read.h"
#include "npy_write.h"
#include "size.h"
#include "status.h"
#include "tally.h"
#include "tensor.h"

struct tv_npy_writer {
  pthread_mutex_t lock; /* over all that follows but `who` and `pid` */
  tvi_who who;          /* of append */
  pid_t pid;            /* that opened it */
  int fd;
  bool is_durable;
  bool is_torn; /* the header in the file may be another than `layout` says */
  tv_npy_layout layout;
  int axis; /* that grows */
  int64_t row_bytes;
  int head; /* bytes from the start that hold the header's words, old and new */
  char *path;
};

/* The header ---------------------------------------------------------------------------------- */

/* The first w->head bytes for a number of rows. */
static void header_of(const tv_npy_writer *w, int64_t count, char out[TVI_NPY_HEADER_ROOM]) {
  char ours[TVI_NPY_HEADER_ROOM];
  const tv_npy_layout *const layout = &w->layout;
  int64_t shape[TV_MAX_RANK];
  memcpy(shape, layout->shape, sizeof shape);
  shape[w->axis] = count;
  const int prefix = layout->version == 1 ? 10 : 12;
  int n =
      tvi_npy_header_write(layout->dtype, false, layout->is_fortran, layout->rank, shape, ours) - 1;
  while (ours[n - 1] == ' ') n--;
  n -= TVI_NPY_PREFIX;
  const int64_t length = layout->offset - prefix;
  memset(out, ' ', (size_t)w->head);
  memcpy(out, ours, TVI_NPY_PREFIX);
  out[6] = (char)layout->version;
  for (int i = 8; i < prefix; i++) out[i] = (char)(length >> 8 * (i - 8) & 255);
  memcpy(out + prefix, ours + TVI_NPY_PREFIX, (size_t)n);
  if (w->head == layout->offset) out[w->head - 1] = '\n';
}

/* Bytes of a header with the most rows there can be, the line feed at its end included. */
static int room_needed(const tv_npy_layout *layout, int axis) {
  char ours[TVI_NPY_HEADER_ROOM];
  int64_t shape[TV_MAX_RANK];
  memcpy(shape, layout->shape, sizeof shape);
  shape[axis] = INT64_MAX;
  int n =
      tvi_npy_header_write(layout->dtype, false, layout->is_fortran, layout->rank, shape, ours) - 1;
  while (ours[n - 1] == ' ') n--;
  return n + 1 + (layout->version == 1 ? 0 : 2);
}

static tv_status put_header(tv_npy_writer *w, const char *who, int64_t count) {
  char header[TVI_NPY_HEADER_ROOM];
  header_of(w, count, header);
  return tvi_grow_write(who, w->fd, 0, header, w->head);
}

/* Files that are there ------------------------------------------------------------------------- */

static tv_status read_layout(tv_npy_writer *w, const char *who, tv_dtype dtype) {
  tv_npy_options options = TV_NPY_OPTIONS;
  tvi_source from;
  options.void2_is_bf16 = dtype == TV_BF16;
  tv_status status = tvi_file_source(&from, who, w->fd);
  if (!status && from.left < 0) from.left = 0; /* a file without a byte */
  if (!status) status = tvi_npy_read_header(&from, &options, &w->layout);
  w->layout.behind = -1; /* others' bytes are overwritten as the rows grow */
  return status;
}

static tv_status other_rows(const char *who, tv_status status, const tv_npy_layout *found,
                            const tv_npy_layout *wanted) {
  tvi_text has, wants;
  return tvi_fail_status(status, "%s: found %s of %s%s, expected %s of %s%s", who,
                         tvi_shape_text(&has, found->rank, found->shape),
                         tv_dtype_name(found->dtype), found->is_fortran ? " in Fortran order" : "",
                         tvi_shape_text(&wants, wanted->rank, wanted->shape),
                         tv_dtype_name(wanted->dtype),
                         wanted->is_fortran ? " in Fortran order" : "");
}

/* Whether the file's rows are those that are wanted. An order means nothing to numbers in a line.
 */
static tv_status compare(const tv_npy_writer *w, const char *who, const tv_npy_layout *wanted) {
  const tv_npy_layout *const found = &w->layout;
  tv_npy_layout expected = *wanted;
  if (wanted->dtype == TV_DTYPE_NONE) expected.dtype = found->dtype;
  if (wanted->rank == 0) {
    expected.rank = found->rank;
    expected.is_fortran = found->is_fortran;
    memcpy(expected.shape, found->shape, sizeof expected.shape);
  } else {
    /* The count is the file's, where its place is the same. */
    expected.shape[expected.is_fortran ? expected.rank - 1 : 0] =
        found->rank == expected.rank ? found->shape[w->axis] : 0;
  }
  const bool same_order = found->rank == 1 || found->is_fortran == expected.is_fortran;
  bool same_shape = found->rank == expected.rank && same_order;
  for (int k = 0; k < found->rank && same_shape; k++)
    same_shape = found->shape[k] == expected.shape[k];
  if (!same_shape) return other_rows(who, TV_ESHAPE, found, &expected);
  if (found->dtype != expected.dtype) return other_rows(who, TV_EDTYPE, found, &expected);
  return TV_OK;
}

/* Bytes behind the array are what a killed writer left, unless they begin another array. */
static tv_status check_tail(const tv_npy_writer *w, const char *who) {
  char tail[6];
  int64_t got = 0;
  const int64_t end = w->layout.offset + w->layout.bytes;
  const tv_status status = tvi_file_read_at(who, w->fd, end, tail, sizeof tail, &got);
  if (status || got < (int64_t)sizeof tail || memcmp(tail, "\x93NUMPY", sizeof tail)) return status;
  return tvi_fail_status(TV_EFORMAT, "%s: byte %lld: found another array behind the first", who,
                         (long long)end);
}

/* Where the words of the header end, at most; the rest is blank. */
static tv_status find_head(tv_npy_writer *w, const char *who, bool *has_room) {
  char *const text = tvi_malloc(w->layout.offset);
  if (!text) return tvi_no_memory(who, w->layout.offset);
  int64_t n = 0;
  const tv_status status = tvi_file_read_at(who, w->fd, 0, text, w->layout.offset, &n);
  const int needed = room_needed(&w->layout, w->axis);
  if (n && text[n - 1] == '\n') n--;
  while (n && text[n - 1] == ' ') n--;
  tvi_free(text);
  *has_room = needed <= w->layout.offset && n < TVI_NPY_HEADER_ROOM;
  w->head = needed > n + 1 ? needed : (int)n + 1;
  if (w->head > w->layout.offset) w->head = (int)w->layout.offset;
  return status;
}

/* Files that are made -------------------------------------------------------------------------- */

static tv_status copy_rows(tvi_file_out *out, const char *who, int from, int64_t at, int64_t n) {
  enum { BUFFER = 1 << 18 };
  char *const buffer = tvi_malloc(BUFFER);
  if (!buffer) return tvi_no_memory(who, BUFFER);
  tv_status status = TV_OK;
  for (int64_t done = 0, got = 0; done < n && !status; done += got) {
    const int64_t want = n - done < BUFFER ? n - done : BUFFER;
    status = tvi_file_read_at(who, from, at + done, buffer, want, &got);
    if (!status && got < want)
      status = tvi_fail_status(TV_EIO, "%s: byte %lld: it was cut while it was copied", who,
                               (long long)(at + done + got));
    if (!status) status = tvi_file_write(out, buffer, got);
  }
  tvi_free(buffer);
  return status;
}

/* A file of w->layout with our header, and the rows of the old one, whose descriptor w->fd is, if
 * it has any. It becomes w->fd; -1: there is a file by now, which is none to replace. */
static tv_status make(tv_npy_writer *w, const char *who, const char *path) {
  char header[TVI_NPY_HEADER_ROOM];
  tvi_file_out out;
  tv_npy_layout *const layout = &w->layout;
  const int64_t old_offset = layout->offset;
  const int old = w->fd;
  tv_status status = tvi_grow_begin(&out, who, path, w->is_durable);
  if (status) return status;
  layout->version = 1;
  w->head = tvi_npy_header_write(layout->dtype, false, layout->is_fortran, layout->rank,
                                 layout->shape, header);
  layout->offset = w->head;
  status = tvi_file_write(&out, header, w->head);
  if (!status && layout->bytes) status = copy_rows(&out, who, old, old_offset, layout->bytes);
  if (status) {
    tvi_file_abandon(&out);
    return status;
  }
  status = tvi_file_publish(&out, old >= 0, &w->fd);
  if (status) {
    w->fd = old;
    return status;
  }
  if (old >= 0) tvi_file_close(old); /* its lock was held until the new one had the name */
  return TV_OK;
}

/* Open ----------------------------------------------------------------------------------------- */

/* Continue the file that w->fd is. */
static tv_status go_on(tv_npy_writer *w, const char *who, const tv_npy_layout *wanted,
                       bool may_rewrite) {
  bool has_room = false;
  tv_status status = read_layout(w, who, wanted->dtype);
  if (status) return status;
  if (w->layout.rank == 0)
    return tvi_fail_status(TV_EFORMAT, "%s: found shape [], expected an axis to grow along", who);
  if (w->layout.is_big_endian)
    return tvi_fail_status(TV_EFORMAT, "%s: found big-endian elements, expected little-endian",
                           who);
  w->axis = w->layout.is_fortran ? w->layout.rank - 1 : 0;
  status = compare(w, who, wanted);
  if (!status) status = check_tail(w, who);
  if (!status) status = find_head(w, who, &has_room);
  if (status || has_room) return status;
  if (may_rewrite) return make(w, who, w->path);
  return tvi_fail_status(TV_EFORMAT,
                         "%s: its header has %lld bytes, any number of rows needs %d: ask for a "
                         "rewrite",
                         who, (long long)w->layout.offset, room_needed(&w->layout, w->axis));
}

static tv_status begin(tv_npy_writer *w, const char *who, const tv_npy_layout *wanted,
                       const tv_npy_writer_options *o) {
  enum { TRIES = 100 };
  for (int i = 0; i < TRIES; i++) {
    tv_status status = tvi_grow_open(who, w->path, &w->fd);
    if (status) return status;
    const bool is_there = w->fd >= 0;
    if (is_there && o->start == TV_NPY_CREATE)
      return tvi_fail_status(TV_EIO, "%s: cannot create: there is a file", who);
    if (is_there && o->start == TV_NPY_CONTINUE) return go_on(w, who, wanted, o->rewrite);
    if (wanted->dtype == TV_DTYPE_NONE || wanted->rank == 0)
      return tvi_fail_status(TV_EVALUE, "%s: %s of a new file is not given", who,
                             wanted->dtype == TV_DTYPE_NONE ? "the dtype" : "the shape of a row");
    w->layout = *wanted;
    w->axis = wanted->is_fortran ? wanted->rank - 1 : 0;
    status = make(w, who, w->path);
    if (status || w->fd >= 0) return status;
  }
  return tvi_fail_status(TV_EBUSY, "%s: it is being replaced again and again", who);
}

/* What the caller wants, as the layout of a file without rows. */
static tv_status want(const char *who, tv_dtype dtype, int row_rank, const int64_t *row_shape,
                      const tv_npy_writer_options *o, tv_npy_layout *wanted) {
  int64_t elements, bytes;
  *wanted = (tv_npy_layout)TV_NPY_LAYOUT;
  wanted->version = 1;
  wanted->dtype = dtype;
  if (dtype != TV_DTYPE_NONE && !tvi_is_dtype(dtype))
    return tvi_fail_status(TV_EDTYPE, "%s: %d is no dtype", who, (int)dtype);
  if (row_rank == -1 && !row_shape) return TV_OK;
  if (row_rank < 0 || row_rank >= TV_MAX_RANK)
    return tvi_fail_status(TV_ESHAPE, "%s: rows of %d axes: 0 to %d are possible", who, row_rank,
                           TV_MAX_RANK - 1);
  if (row_rank && !row_shape) return tvi_null_status(who, "row_shape");
  if (!tvi_shape_check(who, dtype == TV_DTYPE_NONE ? TV_BOOL : dtype, row_rank, row_shape,
                       &elements, &bytes))
    return tvi_failure();
  wanted->rank = row_rank + 1;
  /* As NumPy, which writes what lies in both orders in C order. */
  wanted->is_fortran = o->fortran && row_rank;
  if (row_rank)
    memcpy(wanted->shape + !wanted->is_fortran, row_shape, (size_t)row_rank * sizeof *row_shape);
  wanted->shape[wanted->is_fortran ? row_rank : 0] = 0;
  return TV_OK;
}

static void destroy(tv_npy_writer *w) {
  pthread_mutex_destroy(&w->lock);
  tvi_free(w->path);
  tvi_free(w);
}

tv_npy_writer *tv_npy_writer_open(const char *path, tv_dtype dtype, int row_rank,
                                  const int64_t *row_shape, const tv_npy_writer_options *options) {
  tv_npy_writer_options o = TV_NPY_WRITER_OPTIONS;
  tv_npy_layout wanted;
  tvi_who who;
  if (!path) return tvi_null("npy_writer_open", "path");
  if (options) {
    if (!tvi_options_fit("npy_writer_open", options->size, sizeof o)) return NULL;
    memcpy(&o, options, options->size);
  }
  tvi_who_text(&who, "npy_writer_open", path);
  if ((unsigned)o.start > TV_NPY_REPLACE)
    return tvi_fail(TV_EVALUE, "npy_writer_open: start is %d, which is none", (int)o.start);
  if (want(who.text, dtype, row_rank, row_shape, &o, &wanted)) return NULL;
  const size_t bytes = strlen(path) + 1;
  tv_npy_writer *const w = tvi_calloc(1, sizeof *w);
  char *const copy = tvi_malloc((int64_t)bytes);
  if (!w || !copy || pthread_mutex_init(&w->lock, NULL)) {
    tvi_free(w);
    tvi_free(copy);
    return tvi_fail(TV_ENOMEM, "%s: no memory on cpu for %zu bytes", who.text, sizeof *w + bytes);
  }
  w->path = memcpy(copy, path, bytes);
  w->fd = -1;
  w->pid = getpid();
  w->is_durable = o.durable;
  w->layout = (tv_npy_layout)TV_NPY_LAYOUT;
  tvi_who_text(&w->who, "npy_writer_append", path);
  if (begin(w, who.text, &wanted, &o)) {
    if (w->fd >= 0) tvi_file_close(w->fd);
    destroy(w);
    return NULL;
  }
  int64_t row[TV_MAX_RANK], elements;
  memcpy(row, w->layout.shape, sizeof row);
  row[w->axis] = 1;
  if (!tvi_product(w->layout.rank, row, tv_dtype_size(w->layout.dtype), &elements, &w->row_bytes))
    w->row_bytes = 0; /* not reached: the shape was checked */
  tvi_count(TVI_LIVE, 1);
  return w;
}

/* Append --------------------------------------------------------------------------------------- */

typedef struct rows_sink {
  tvi_sink sink;
  int fd;
  int64_t at;
} rows_sink;

static tv_status write_rows(tvi_sink *to, const void *bytes, int64_t n) {
  rows_sink *const rows = (rows_sink *)to;
  const tv_status status = tvi_grow_write(to->who, rows->fd, rows->at, bytes, n);
  if (!status) rows->at += n;
  return status;
}

/* How many rows a shape is; -1, having said so, if it is none. */
static int64_t rows_of(const tv_npy_writer *w, tv_tensor *x) {
  const tv_npy_layout *const layout = &w->layout;
  bool fits = x->rank == layout->rank || x->rank == layout->rank - 1;
  for (int k = 0, at = 0; k < layout->rank && fits; k++) {
    const bool is_count = k == w->axis;
    if (is_count && x->rank < layout->rank) continue; /* one row */
    fits = is_count || x->shape[at] == layout->shape[k];
    at++;
  }
  if (fits) return x->rank == layout->rank ? x->shape[w->axis] : 1;
  tvi_text found, row;
  const int64_t *const rest = layout->shape + (w->axis == 0);
  tvi_fail(TV_ESHAPE, "%s: found shape %s, expected a row %s, or rows along axis %d", w->who.text,
           tvi_shape_text(&found, x->rank, x->shape), tvi_shape_text(&row, layout->rank - 1, rest),
           w->axis);
  return -1;
}

/* x as its bytes come in the file. Retained. */
static tv_tensor *in_file_order(const tv_npy_writer *w, tv_tensor *x) {
  const tv_npy_order order = w->layout.is_fortran ? TV_NPY_ORDER_FORTRAN : TV_NPY_ORDER_C;
  bool is_fortran;
  if (tvi_settle(x)) return NULL; /* here, and not under the lock */
  return tvi_npy_packed(w->who.text, x, order, &is_fortran);
}

/* n rows, by their bytes or by a tensor; with the lock. */
static tv_status append(tv_npy_writer *w, int64_t n, tv_tensor *packed, const uint8_t *element) {
  const char *const who = w->who.text;
  tv_npy_layout *const layout = &w->layout;
  const int64_t count = layout->shape[w->axis];
  int64_t total = 0, bytes = 0, end;
  if (!tvi_add(count, n, &total) || !tvi_mul(total, w->row_bytes, &bytes) ||
      !tvi_add(bytes, layout->offset, &end))
    return tvi_fail_status(TV_EOVERFLOW, "%s: %lld rows and %lld have more than 2^63 - 1 bytes",
                           who, (long long)count, (long long)n);
  rows_sink rows = {{.who = who, .write = write_rows}, w->fd, layout->offset + layout->bytes};
  tv_status status = element ? write_rows(&rows.sink, element, w->row_bytes)
                             : tvi_npy_write_elements(&rows.sink, packed);
  if (!status && w->is_durable) status = tvi_grow_sync(who, w->fd);
  if (status) return status;
  status = put_header(w, who, total);
  if (!status && w->is_durable) status = tvi_grow_sync(who, w->fd);
  if (status) { /* the first failure is the one that is told */
    w->is_torn = put_header(w, who, count) != TV_OK;
    return status;
  }
  w->is_torn = false;
  layout->shape[w->axis] = total;
  layout->bytes = bytes;
  return TV_OK;
}

static tv_status check_process(const tv_npy_writer *w, const char *who) {
  if (w->pid == getpid()) return TV_OK;
  return tvi_fail_status(TV_EBUSY, "%s: it is process %ld that has it open, this is %ld", who,
                         (long)w->pid, (long)getpid());
}

tv_status tv_npy_writer_append(tv_npy_writer *w, tv_tensor *x) {
  uint8_t element[16];
  if (!w || !x) return tvi_null_status("npy_writer_append", w ? "rows" : "writer");
  tv_status status = check_process(w, w->who.text);
  if (status) return status;
  /* The axes but the growing one, and the dtype, never change: they need no lock. */
  const int64_t n = rows_of(w, x);
  if (n < 0) return TV_ESHAPE;
  tv_tensor *packed = NULL;
  if (x->weak.kind) {
    if (!tvi_weak_element(w->who.text, &x->weak, w->layout.dtype, false, element))
      return tvi_failure();
    if (tvi_host_is_big_endian()) tvi_swap_numbers(w->layout.dtype, element, w->row_bytes);
  } else if (x->dtype != w->layout.dtype) {
    return tvi_fail_status(TV_EDTYPE, "%s: rows are %s, the file's %s", w->who.text,
                           tv_dtype_name(x->dtype), tv_dtype_name(w->layout.dtype));
  } else {
    packed = in_file_order(w, x);
    if (!packed) return tvi_failure();
  }
  if (n) {
    pthread_mutex_lock(&w->lock);
    status = append(w, n, packed, packed ? NULL : element);
    pthread_mutex_unlock(&w->lock);
  }
  tv_release(packed);
  return status;
}

/* Ask, sync, close ----------------------------------------------------------------------------- */

int64_t tv_npy_writer_count(tv_npy_writer *w) {
  if (!w) return 0;
  pthread_mutex_lock(&w->lock);
  const int64_t count = w->layout.shape[w->axis];
  pthread_mutex_unlock(&w->lock);
  return count;
}

tv_status tv_npy_writer_layout(tv_npy_writer *w, tv_npy_layout *layout) {
  if (!w || !layout) return tvi_null_status("npy_writer_layout", w ? "layout" : "writer");
  if (!tvi_options_fit("npy_writer_layout", layout->size, sizeof *layout)) return TV_EVALUE;
  pthread_mutex_lock(&w->lock);
  tvi_npy_tell(&w->layout, layout);
  pthread_mutex_unlock(&w->lock);
  return TV_OK;
}

/* The header that an append could not put back, and then the disk. */
static tv_status finish(tv_npy_writer *w, const char *who, bool syncs) {
  tv_status status = TV_OK;
  if (w->is_torn) status = put_header(w, who, w->layout.shape[w->axis]);
  if (status) return status;
  w->is_torn = false;
  return syncs ? tvi_grow_sync(who, w->fd) : TV_OK;
}

tv_status tv_npy_writer_sync(tv_npy_writer *w) {
  tvi_who who;
  if (!w) return tvi_null_status("npy_writer_sync", "writer");
  tvi_who_text(&who, "npy_writer_sync", w->path);
  tv_status status = check_process(w, who.text);
  if (status) return status;
  pthread_mutex_lock(&w->lock);
  status = finish(w, who.text, true);
  pthread_mutex_unlock(&w->lock);
  return status;
}

tv_status tv_npy_writer_close(tv_npy_writer *w) {
  tvi_who who;
  if (!w) return TV_OK;
  tvi_who_text(&who, "npy_writer_close", w->path);
  tv_status status = w->pid == getpid() ? finish(w, who.text, w->is_durable) : TV_OK;
  const tv_status closed = tvi_grow_close(who.text, w->fd);
  destroy(w);
  tvi_count(TVI_LIVE, -1);
  return status ? status : closed;
}
