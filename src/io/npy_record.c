/* SPDX-License-Identifier: MIT */
/* The dtype of records in a .npy header: a structured array, of which one field is read.
 *
 *     records := '[' field (',' field)* [','] ']'          at most 1000 in all, 8 deep
 *     field   := '(' name ',' type [',' shape] [','] ')'
 *     name    := string | '(' string ',' string ')'        title and name
 *     type    := string | records
 *
 * Fields lie one after another without gaps; those named '' are the gaps that were. All of it is
 * checked whichever field is wanted, so that the size of a record is right. A name stands once in
 * its list. Source: numpy.lib.format.descr_to_dtype. */
#include <string.h>

#include "memory.h"
#include "npy_descr.h"
#include "size.h"
#include "status.h"
#include "writer.h"

enum { MOST_DEPTH = 8, MOST_FIELDS = 1000 };

typedef struct name {
  const uint8_t *text;
  int64_t n;
} name;

typedef struct records {
  tvi_npy_text *in;
  bool void2_is_bf16;
  tvi_npy_descr *descr; /* what is told of the field that is wanted */
  bool is_found;
  int found_depth;     /* of the list that it is in */
  const char *why_not; /* it is there, and cannot be read; NULL */
  bool is_void;        /* the type that was taken last */
  name *names;         /* of the lists that are open, the outermost first */
  int n_names, n_fields;
} records;

/* What is left of the path of the field that is wanted, once a name has been matched: "" if this is
 * the field, NULL if it is another. */
static const char *rest_of(const char *path, name is) {
  if (!path || strncmp(path, (const char *)is.text, (size_t)is.n)) return NULL;
  path += is.n;
  return *path == '.' && path[1] ? path + 1 : *path ? NULL : path;
}

static tv_status take_fields(records *r, int depth, const char *path, int64_t offset,
                             int64_t *bytes);

/* The field that is wanted is here. */
static void find(records *r, int depth, tv_dtype dtype, bool is_big_endian, int64_t offset,
                 const char *why) {
  r->why_not = r->is_found ? "two fields answer to that name" : why;
  r->is_found = true;
  r->found_depth = depth;
  *r->descr =
      (tvi_npy_descr){.dtype = dtype, .is_big_endian = is_big_endian, .field_offset = offset};
}

/* A type, and what an element of it takes; told if the path ends here. */
static tv_status take_type(records *r, int depth, const char *path, int64_t offset,
                           int64_t *bytes) {
  tvi_npy_text *const in = r->in;
  const bool is_wanted = path && !*path;
  r->is_void = false;
  if (tvi_npy_take(in, '[')) {
    if (is_wanted)
      find(r, depth, TV_DTYPE_NONE, false, offset,
           "a record itself: add '.' and one of its fields");
    return take_fields(r, depth + 1, is_wanted ? NULL : path, offset, bytes);
  }
  const uint8_t *const begin = in->at, *text = begin;
  int64_t n = 0;
  const tv_status status = tvi_npy_take_string(in, "a dtype in quotes, or records", &text, &n);
  if (status) return status;
  const tvi_npy_code code = tvi_npy_code_read(text, n, r->void2_is_bf16);
  if (code.bytes < 0) {
    char found[TVI_NPY_FOUND];
    return tvi_fail_status(TV_EFORMAT, "%s: header byte %d: descr %s is not supported (%s)",
                           in->who, (int)(begin - in->begin), tvi_npy_found(in, begin, found),
                           code.why);
  }
  *bytes = code.bytes;
  r->is_void = memchr(text, 'V', (size_t)n) != NULL;
  if (is_wanted)
    find(r, depth, code.dtype, code.is_big_endian, offset,
         code.dtype == TV_DTYPE_NONE ? code.why : NULL);
  return TV_OK;
}

/* The name of a field, and its place among those of its list, which begin at `first`. */
static tv_status take_name(records *r, int first, name *out) {
  tvi_npy_text *const in = r->in;
  const uint8_t *text = in->at;
  int64_t n = 0;
  const bool has_title = tvi_npy_take(in, '(');
  tv_status status = tvi_npy_take_string(in, "the name of a field", &text, &n);
  if (!status && has_title) {
    if (!tvi_npy_take(in, ',')) return tvi_npy_refuse(in, in->at, "','");
    status = tvi_npy_take_string(in, "the name of a field", &text, &n);
    if (!status && !tvi_npy_take(in, ')')) return tvi_npy_refuse(in, in->at, "')'");
  }
  if (status) return status;
  *out = (name){text, n};
  for (int i = first; i < r->n_names && n; i++)
    if (r->names[i].n == n && !memcmp(r->names[i].text, text, (size_t)n))
      return tvi_npy_refuse(in, text - 1, "each name once");
  if (++r->n_fields > MOST_FIELDS) return tvi_npy_refuse(in, text - 1, "at most 1000 fields");
  if (n) r->names[r->n_names++] = *out;
  return TV_OK;
}

/* What is behind the type of a field: its shape, or none. */
static tv_status take_tail(tvi_npy_text *in, int *rank, int64_t *shape) {
  *rank = 0;
  if (tvi_npy_take(in, ',')) {
    if (tvi_npy_take(in, ')')) return TV_OK;
    const tv_status status = tvi_npy_take_shape(in, false, rank, shape);
    if (status) return status;
    tvi_npy_take(in, ',');
  }
  return tvi_npy_take(in, ')') ? TV_OK : tvi_npy_refuse(in, in->at, "',' or ')'");
}

static tv_status take_field(records *r, int depth, int first, const char *path, int64_t offset,
                            int64_t *bytes) {
  tvi_npy_text *const in = r->in;
  int64_t shape[TV_MAX_RANK], elements;
  int rank;
  name is = {NULL, 0};
  if (!tvi_npy_take(in, '(')) return tvi_npy_refuse(in, in->at, "'(' of a field");
  tv_status status = take_name(r, first, &is);
  if (status) return status;
  if (!tvi_npy_take(in, ',')) return tvi_npy_refuse(in, in->at, "','");
  const bool was_found = r->is_found;
  const char *const rest = is.n ? rest_of(path, is) : NULL;
  status = take_type(r, depth, rest, offset, bytes);
  if (status) return status;
  if (!is.n && !r->is_void) return tvi_npy_refuse(in, is.text - 1, "the name of a field");
  status = take_tail(in, &rank, shape);
  if (status) return status;
  if (!tvi_product(rank, shape, *bytes, &elements, bytes))
    return tvi_npy_refuse(in, in->at - 1, "a record of at most 2^31-1 bytes");
  if (rank && r->is_found && !was_found) {
    if (r->found_depth > depth) r->why_not = "within an array of records";
    r->descr->field_rank = rank;
    memcpy(r->descr->field_shape, shape, (size_t)rank * sizeof *shape);
  }
  return TV_OK;
}

/* A list behind its '['. */
static tv_status take_fields(records *r, int depth, const char *path, int64_t offset,
                             int64_t *bytes) {
  tvi_npy_text *const in = r->in;
  const int first = r->n_names;
  int64_t sum = 0;
  if (depth == MOST_DEPTH) return tvi_npy_refuse(in, in->at - 1, "records at most 8 deep");
  do {
    int64_t now = 0;
    const tv_status status = take_field(r, depth, first, path, offset + sum, &now);
    if (status) return status;
    if (now > INT32_MAX - sum)
      return tvi_npy_refuse(in, in->at - 1, "a record of at most 2^31-1 bytes");
    sum += now;
    if (!tvi_npy_take(in, ',')) {
      if (tvi_npy_take(in, ']')) break;
      return tvi_npy_refuse(in, in->at, "',' or ']'");
    }
  } while (!tvi_npy_take(in, ']'));
  if (depth) r->n_names = first; /* those of the whole are kept for messages */
  *bytes = sum;
  return TV_OK;
}

/* "'x', 'y'", cut where there are many. */
static const char *list_names(const records *r, char *out, size_t capacity) {
  size_t at = 0;
  for (int i = 0; i < r->n_names && at + 16 < capacity; i++) {
    if (i) out[at++] = ',';
    if (i) out[at++] = ' ';
    out[at++] = '\'';
    tvi_escape(out + at, capacity - at - 4, r->names[i].text, (size_t)r->names[i].n);
    at += strlen(out + at);
    out[at++] = '\'';
  }
  out[at] = '\0';
  return out;
}

static tv_status take_all(records *r, const tv_npy_options *options) {
  char names[200], field[TVI_NPY_FOUND];
  const tvi_npy_text *const in = r->in;
  const int at = (int)(in->at - in->begin) - 1;
  int64_t bytes = 0;
  const tv_status status = take_fields(r, 0, options->field, 0, &bytes);
  if (status) return status;
  list_names(r, names, sizeof names);
  if (!options->field)
    return tvi_fail_status(
        TV_EFORMAT, "%s: header byte %d: found records, expected one dtype; ask for a field: %s",
        in->who, at, names);
  tvi_escape(field, sizeof field, options->field, strlen(options->field));
  if (!r->is_found)
    return tvi_fail_status(TV_EVALUE, "%s: there is no field '%s'; there are %s", in->who, field,
                           names);
  if (r->why_not)
    return tvi_fail_status(TV_EFORMAT, "%s: field '%s' is not supported (%s)", in->who, field,
                           r->why_not);
  r->descr->is_record = true;
  r->descr->record_bytes = bytes;
  return TV_OK;
}

tv_status tvi_npy_take_record(tvi_npy_text *in, const tv_npy_options *options,
                              tvi_npy_descr *descr) {
  const int64_t room = MOST_FIELDS * (int64_t)sizeof(name);
  records r = {.in = in, .void2_is_bf16 = options->void2_is_bf16, .descr = descr};
  r.names = tvi_malloc(room);
  if (!r.names) return tvi_no_memory(in->who, room);
  const tv_status status = take_all(&r, options);
  tvi_free(r.names);
  return status;
}
