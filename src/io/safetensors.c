/* SPDX-License-Identifier: MIT */
/* safetensors files: named arrays behind a header of JSON, which safetensors_header.c reads. */
#include <tensorvar/safetensors.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "names.h"
#include "npy_read.h"
#include "npy_write.h"
#include "safetensors_header.h"
#include "scope.h"
#include "size.h"
#include "status.h"
#include "tally.h"
#include "tensor.h"
#include "writer.h"

enum { PREFIX = 8, ALIGNMENT = 64 };

struct tv_safetensors {
  _Atomic int64_t count;
  char *path;
  int fd;
  int64_t data_at; /* the first byte behind the header */
  tvi_safetensors_header header;
};

/* Open --------------------------------------------------------------------------------------- */

/* The length of the header, checked against the file's. */
static tv_status read_length(const char *who, int fd, int64_t size, int64_t *length) {
  uint8_t prefix[PREFIX];
  int64_t got = 0;
  if (size < 0)
    return tvi_fail_status(
        TV_EFORMAT, "%s: found no regular file, or an empty one, expected a safetensors file", who);
  const tv_status status = tvi_file_read_at(who, fd, 0, prefix, PREFIX, &got);
  if (status) return status;
  if (got < PREFIX)
    return tvi_fail_status(TV_EFORMAT,
                           "%s: byte %d: found the end of the file, expected 8 bytes of length",
                           who, (int)got);
  uint64_t n = 0;
  for (int i = PREFIX - 1; i >= 0; i--) n = n << 8 | prefix[i];
  if (n > TVI_SAFETENSORS_MOST || (int64_t)n > size - PREFIX) {
    char found[48];
    return tvi_fail_status(
        TV_EFORMAT, "%s: byte 0: found %s, expected the length of a header: at most %lld bytes",
        who, tvi_escape(found, sizeof found, prefix, PREFIX),
        (long long)(size - PREFIX < TVI_SAFETENSORS_MOST ? size - PREFIX : TVI_SAFETENSORS_MOST));
  }
  *length = (int64_t)n;
  return TV_OK;
}

static tv_status read_header(tv_safetensors *file, const char *who) {
  int64_t size = 0, n = 0, got = 0;
  tv_status status = tvi_file_left(who, file->fd, &size, NULL);
  if (!status) status = read_length(who, file->fd, size, &n);
  if (status) return status;
  char *const text = tvi_malloc(n);
  if (!text) return tvi_no_memory(who, n);
  status = tvi_file_read_at(who, file->fd, PREFIX, text, n, &got);
  if (!status && got < n)
    status = tvi_fail_status(TV_EFORMAT, "%s: byte %lld: found the end of the file", who,
                             (long long)(PREFIX + got));
  file->data_at = PREFIX + n;
  if (!status) return tvi_safetensors_parse(&file->header, who, text, n, size - file->data_at);
  tvi_free(text);
  return status;
}

tv_safetensors *tv_safetensors_open(const char *path) {
  tvi_who who;
  if (!path) return tvi_null("safetensors_open", "path");
  tvi_who_text(&who, "safetensors_open", path);
  const size_t bytes = strlen(path) + 1;
  tv_safetensors *const file = tvi_calloc(1, sizeof *file);
  char *const copy = tvi_malloc((int64_t)bytes);
  if (!file || !copy) {
    tvi_free(file);
    tvi_free(copy);
    return tvi_fail(TV_ENOMEM, "%s: no memory on cpu for %zu bytes", who.text, bytes);
  }
  file->path = memcpy(copy, path, bytes);
  atomic_init(&file->count, 1);
  file->fd = tvi_file_open_regular(who.text, path);
  if (file->fd >= 0 && !read_header(file, who.text)) {
    tvi_count(TVI_LIVE, 1);
    return file;
  }
  if (file->fd >= 0) tvi_file_close(file->fd);
  tvi_safetensors_free(&file->header);
  tvi_free(file->path);
  tvi_free(file);
  return NULL;
}

tv_safetensors *tv_safetensors_retain(tv_safetensors *file) {
  if (file) atomic_fetch_add(&file->count, 1);
  return file;
}

void tv_safetensors_release(tv_safetensors *file) {
  if (!file || atomic_fetch_sub(&file->count, 1) != 1) return;
  tvi_file_close(file->fd);
  tvi_safetensors_free(&file->header);
  tvi_free(file->path);
  tvi_free(file);
  tvi_count(TVI_LIVE, -1);
}

/* Ask ---------------------------------------------------------------------------------------- */

int64_t tv_safetensors_count(tv_safetensors *file) { return file ? file->header.n : 0; }

static bool has_index(const char *who, tv_safetensors *file, int64_t i, int64_t n) {
  if (!file) return tvi_null(who, "file");
  return (i >= 0 && i < n) ||
         tvi_fail(TV_EINDEX, "%s: index %lld of %lld", who, (long long)i, (long long)n);
}

const char *tv_safetensors_name(tv_safetensors *file, int64_t i) {
  const bool is_one = has_index("safetensors_name", file, i, tv_safetensors_count(file));
  return is_one ? file->header.entries[i].name : NULL;
}

bool tv_safetensors_has(tv_safetensors *file, const char *name) {
  return file && name && tvi_safetensors_find(&file->header, name);
}

int64_t tv_safetensors_metadata_count(tv_safetensors *file) {
  return file ? file->header.n_metadata : 0;
}

const char *tv_safetensors_metadata_key(tv_safetensors *file, int64_t i) {
  const int64_t n = tv_safetensors_metadata_count(file);
  return has_index("safetensors_metadata_key", file, i, n) ? file->header.metadata[i].key : NULL;
}

const char *tv_safetensors_metadata_value(tv_safetensors *file, int64_t i) {
  const int64_t n = tv_safetensors_metadata_count(file);
  return has_index("safetensors_metadata_value", file, i, n) ? file->header.metadata[i].value
                                                             : NULL;
}

const char *tv_safetensors_metadata(tv_safetensors *file, const char *key) {
  if (!file || !key) return tvi_null("safetensors_metadata", file ? "key" : "file");
  for (int64_t i = 0; i < file->header.n_metadata; i++)
    if (!strcmp(file->header.metadata[i].key, key)) return file->header.metadata[i].value;
  return NULL;
}

static void layout_of(const tv_safetensors *file, const tvi_safetensors_entry *e,
                      tv_npy_layout *layout) {
  *layout = (tv_npy_layout)TV_NPY_LAYOUT;
  layout->dtype = e->dtype;
  layout->rank = e->rank;
  for (int k = 0; k < e->rank; k++) layout->shape[k] = file->header.sizes[e->shape_at + k];
  layout->offset = file->data_at + e->begin;
  layout->bytes = e->end - e->begin;
  layout->behind = 0;
}

static const tvi_safetensors_entry *find(tvi_named *who, const char *verb, tv_safetensors *file,
                                         const char *name) {
  if (!file || !name) return tvi_null(verb, file ? "name" : "file");
  const tvi_safetensors_entry *const e = tvi_safetensors_find(&file->header, name);
  tvi_named_text(who, verb, file->path, name);
  return e ? e : tvi_fail(TV_EVALUE, "%s: there is no such tensor", who->text);
}

tv_status tv_safetensors_info(tv_safetensors *file, const char *name, tv_npy_layout *layout) {
  tvi_named who;
  tv_npy_layout found;
  if (!layout) return tvi_null_status("safetensors_info", "layout");
  if (!tvi_options_fit("safetensors_info", layout->size, sizeof *layout)) return TV_EVALUE;
  const tvi_safetensors_entry *const e = find(&who, "safetensors_info", file, name);
  if (!e) return tvi_failure();
  layout_of(file, e, &found);
  tvi_npy_tell(&found, layout);
  return TV_OK;
}

/* Read --------------------------------------------------------------------------------------- */

/* A field is asked for, which no tensor here has: TV_EVALUE. */
static bool has_field(const char *who, const tv_npy_options *o) {
  if (!o->field) return false;
  tvi_fail_status(TV_EVALUE, "%s: a field is asked for, but this is no structured array", who);
  return true;
}

/* With the one count. */
static tv_tensor *read_entry(const char *who, tv_safetensors *file, const tvi_safetensors_entry *e,
                             const tv_npy_options *o) {
  tv_npy_layout layout;
  layout_of(file, e, &layout);
  tvi_source from = tvi_place_source(who, file->fd, layout.offset, layout.bytes);
  return tvi_npy_read_elements(&from, &layout, o);
}

tv_tensor *tv_safetensors_read(tv_safetensors *file, const char *name,
                               const tv_npy_options *options) {
  tv_npy_options o;
  tvi_named who;
  if (!tvi_npy_may_load("safetensors_read", options, &o)) return NULL;
  const tvi_safetensors_entry *const e = find(&who, "safetensors_read", file, name);
  if (e && has_field(who.text, &o)) return NULL;
  return e ? tvi_scope_own(read_entry(who.text, file, e, &o)) : NULL;
}

tv_status tv_safetensors_read_all(tv_safetensors *file, const tv_npy_options *options,
                                  tv_tensor **tensors) {
  static const char verb[] = "safetensors_read_all";
  tv_npy_options o;
  const int64_t n = tv_safetensors_count(file);
  if (!file || (n && !tensors)) return tvi_null_status(verb, file ? "tensors" : "file");
  for (int64_t i = 0; i < n; i++) tensors[i] = NULL;
  if (!tvi_npy_may_load_all(verb, options, &o) || has_field(verb, &o)) return tvi_failure();
  int64_t total = 0;
  for (int64_t i = 0; i < n; i++)
    total += file->header.entries[i].end - file->header.entries[i].begin;
  tvi_progress_part part;
  tvi_named who;
  tv_status status = tvi_progress_share(&part, verb, &o, total);
  for (int64_t i = 0; i < n && !status; i++) {
    const tvi_safetensors_entry *const e = &file->header.entries[i];
    tensors[i] =
        tvi_scope_own(read_entry(tvi_named_text(&who, verb, file->path, e->name), file, e, &o));
    status = tensors[i] ? tvi_progress_passed(&part, who.text, e->end - e->begin) : tvi_failure();
  }
  for (int64_t i = 0; i < n && status; i++) tensors[i] = NULL;
  return status;
}

tv_tensor *tv_safetensors_load(const char *path, const char *name, const tv_npy_options *options) {
  tv_safetensors *const file = tv_safetensors_open(path);
  tv_tensor *const x = file ? tv_safetensors_read(file, name, options) : NULL;
  tv_safetensors_release(file);
  return x;
}

/* Save --------------------------------------------------------------------------------------- */

/* A tensor to be written, in the order of the file. */
typedef struct {
  const char *name;
  tv_tensor *tensor;
} item;

static int compare_items(const void *left, const void *right) {
  const item *const a = left, *const b = right;
  const int order = tvi_safetensors_rank(b->tensor->dtype) - tvi_safetensors_rank(a->tensor->dtype);
  if (order) return order;
  return strcmp(a->name, b->name);
}

static void put_string(tvi_writer *to, const char *text) {
  static const char digits[] = "0123456789abcdef";
  tvi_writer_put(to, "\"", 1);
  for (; *text; text++) {
    const unsigned char c = (unsigned char)*text;
    const char control[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
    if (c == '"' || c == '\\') tvi_writer_put(to, "\\", 1);
    if (c < ' ')
      tvi_writer_put(to, control, 6);
    else
      tvi_writer_put(to, text, 1);
  }
  tvi_writer_put(to, "\"", 1);
}

static void put_metadata(tvi_writer *to, const tv_safetensors_save_options *o) {
  tvi_writer_put_string(to, "\"__metadata__\":{");
  for (int64_t i = 0; i < o->n_metadata; i++) {
    if (i) tvi_writer_put(to, ",", 1);
    put_string(to, o->keys[i]);
    tvi_writer_put(to, ":", 1);
    put_string(to, o->values[i]);
  }
  tvi_writer_put(to, "}", 1);
}

static tv_status put_item(const char *who, tvi_writer *to, const item *it, int64_t *offset) {
  const tv_tensor *const x = it->tensor;
  const int64_t begin = *offset;
  if (!tvi_add(begin, tv_tensor_bytes(it->tensor), offset))
    return tvi_fail_status(TV_EOVERFLOW, "%s: more than 2^63-1 bytes", who);
  put_string(to, it->name);
  tvi_writer_put_string(to, ":{\"dtype\":\"");
  tvi_writer_put_string(to, tvi_safetensors_dtype(x->dtype));
  tvi_writer_put_string(to, "\",\"shape\":[");
  for (int k = 0; k < x->rank; k++) {
    if (k) tvi_writer_put(to, ",", 1);
    tvi_writer_put_int(to, x->shape[k]);
  }
  tvi_writer_put_string(to, "],\"data_offsets\":[");
  tvi_writer_put_int(to, begin);
  tvi_writer_put(to, ",", 1);
  tvi_writer_put_int(to, *offset);
  tvi_writer_put_string(to, "]}");
  return TV_OK;
}

/* Length and header, blanks at its end, so that the data begin at a multiple of 64. */
static tv_status put_header(const char *who, tvi_writer *to, int64_t n, const item *items,
                            const tv_safetensors_save_options *o) {
  int64_t offset = 0;
  tv_status status = TV_OK;
  tvi_writer_put_repeated(to, '\0', PREFIX);
  tvi_writer_put(to, "{", 1);
  if (o->n_metadata) put_metadata(to, o);
  for (int64_t i = 0; i < n && !status; i++) {
    if (i || o->n_metadata) tvi_writer_put(to, ",", 1);
    status = put_item(who, to, &items[i], &offset);
  }
  if (status) return status;
  tvi_writer_put(to, "}", 1);
  tvi_writer_put_repeated(to, ' ', (ALIGNMENT - to->n % ALIGNMENT) % ALIGNMENT);
  if (to->has_failed) return tvi_fail_status(TV_ENOMEM, "%s: no memory on cpu for the header", who);
  const int64_t length = to->n - PREFIX;
  if (length > TVI_SAFETENSORS_MOST)
    return tvi_fail_status(TV_EVALUE,
                           "%s: the header would have %lld bytes, at most %d are allowed", who,
                           (long long)length, TVI_SAFETENSORS_MOST);
  for (int i = 0; i < PREFIX; i++) to->bytes[i] = (char)(length >> 8 * i);
  return TV_OK;
}

static int compare_keys(const void *left, const void *right) {
  return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static bool is_utf8(const char *text) {
  int64_t left = (int64_t)strlen(text), n = 0;
  for (; left > 0; left -= n, text += n)
    if (!(n = tvi_utf8((const uint8_t *)text, left))) return false;
  return true;
}

static tv_status check_metadata(const char *who, const tv_safetensors_save_options *o) {
  const int64_t n = o->n_metadata;
  if (n < 0 || (n && (!o->keys || !o->values)))
    return tvi_fail_status(TV_EVALUE, "%s: n_metadata is %lld, keys or values are NULL or none",
                           who, (long long)n);
  if (n == 0) return TV_OK;
  for (int64_t i = 0; i < n; i++) {
    if (!o->keys[i] || !o->values[i])
      return tvi_null_status(who, o->keys[i] ? "a value of the metadata" : "a key of the metadata");
    if (!is_utf8(o->keys[i]) || !is_utf8(o->values[i]))
      return tvi_fail_status(TV_EVALUE, "%s: metadata %lld is not UTF-8", who, (long long)i);
  }
  const char **const sorted = tvi_calloc(n, sizeof *sorted);
  if (!sorted) return tvi_no_memory(who, n * (int64_t)sizeof *sorted);
  memcpy(sorted, o->keys, (size_t)n * sizeof *sorted);
  qsort(sorted, (size_t)n, sizeof *sorted, compare_keys);
  tv_status status = TV_OK;
  for (int64_t i = 1; i < n && !status; i++) {
    char text[64];
    if (!strcmp(sorted[i - 1], sorted[i]))
      status = tvi_fail_status(TV_EVALUE, "%s: the key '%s' is given twice", who,
                               tvi_escape(text, sizeof text, sorted[i], strlen(sorted[i])));
  }
  tvi_free(sorted);
  return status;
}

static tv_status check_tensors(const char *who, int64_t n, const char *const *names,
                               tv_tensor *const *tensors) {
  const tv_status status = tvi_names_check(who, n, names, tensors);
  for (int64_t i = 0; i < n && !status; i++) {
    char text[64];
    if (!strcmp(names[i], "__metadata__"))
      return tvi_fail_status(TV_EVALUE, "%s: no tensor can be named '__metadata__'", who);
    if (!tvi_safetensors_dtype(tensors[i]->dtype))
      return tvi_fail_status(TV_EDTYPE, "%s: '%s' is %s, which the format does not have", who,
                             tvi_escape(text, sizeof text, names[i], strlen(names[i])),
                             tv_dtype_name(tensors[i]->dtype));
  }
  return status;
}

static tv_status write_items(tvi_sink *to, int64_t n, const item *items) {
  tv_status status = TV_OK;
  for (int64_t i = 0; i < n && !status; i++) {
    bool is_fortran;
    tv_tensor *const packed = tvi_npy_packed(to->who, items[i].tensor, TV_NPY_ORDER_C, &is_fortran);
    if (!packed) return tvi_failure();
    status = tvi_npy_write_elements(to, packed);
    tv_release(packed);
  }
  return status;
}

static tv_status save_items(const char *path, int64_t n, const item *items,
                            const tv_safetensors_save_options *o) {
  tvi_who who;
  tvi_writer header = TVI_WRITER;
  int64_t total = 0;
  for (int64_t i = 0; i < n; i++) total += tv_tensor_bytes(items[i].tensor);
  tvi_file_sink to = {
      {.who = tvi_who_text(&who, "safetensors_save", path), .write = tvi_file_sink_write}, {0}};
  tv_status status = put_header(who.text, &header, n, items, o);
  if (!status) status = tvi_file_begin(&to.out, who.text, path, o->durable);
  if (!status) {
    status = tvi_progress_begin(&to.sink.progress, who.text, o->progress, o->progress_user, total);
    if (!status) status = to.sink.write(&to.sink, header.bytes, header.n);
    if (!status) status = write_items(&to.sink, n, items);
    if (!status) {
      status = tvi_file_commit(&to.out);
    } else {
      tvi_file_abandon(&to.out);
    }
  }
  tvi_writer_free(&header);
  return status;
}

tv_status tv_safetensors_save(const char *path, int64_t n, const char *const *names,
                              tv_tensor *const *tensors,
                              const tv_safetensors_save_options *options) {
  static const char who[] = "safetensors_save";
  tv_safetensors_save_options o = TV_SAFETENSORS_SAVE_OPTIONS;
  if (!path) return tvi_null_status(who, "path");
  if (options) {
    if (!tvi_options_fit(who, options->size, sizeof o)) return TV_EVALUE;
    memcpy(&o, options, options->size);
  }
  tv_status status = check_metadata(who, &o);
  if (!status) status = check_tensors(who, n, names, tensors);
  if (status) return status;
  item *const items = tvi_calloc(n, sizeof *items);
  if (!items) return tvi_no_memory(who, n * (int64_t)sizeof *items);
  for (int64_t i = 0; i < n; i++) items[i] = (item){names[i], tensors[i]};
  if (n) qsort(items, (size_t)n, sizeof *items, compare_items);
  status = save_items(path, n, items, &o);
  tvi_free(items);
  return status;
}
