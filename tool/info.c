/* SPDX-License-Identifier: MIT
 * tensorvar info: what headers say. No element is read, but of a stream. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "failure.h"
#include "json.h"
#include "number.h"
#include "run.h"
#include "source.h"

static tv_status layout_of(const source *s, int64_t at, const arguments *a, tv_npy_layout *l) {
  tv_npy_options options = source_options(a);
  if (s->stream < 0) return source_layout(s, at, &options, l);
  options.layout = l;
  tv_scope scope;
  tv_scope_begin(&scope);
  source_read(s, at, &options);
  return tv_scope_end(&scope, NULL);
}

static const char *order_name(const tv_npy_layout *l) { return l->is_fortran ? "Fortran" : "C"; }
static const char *endian_name(const tv_npy_layout *l) {
  return l->is_big_endian ? "big-endian" : "little-endian";
}

/* As JSON ------------------------------------------------------------------------------------ */

static void json_layout(const tv_npy_layout *l) {
  json_key("dtype"), json_text(tv_dtype_name(l->dtype));
  json_key("shape"), json_shape(l->rank, l->shape);
  json_key("order"), json_text(order_name(l));
  json_key("endian"), json_text(l->is_big_endian ? "big" : "little");
  if (l->version) json_key("version"), json_int(l->version);
  json_key("offset"), json_int(l->offset);
  json_key("bytes"), json_int(l->bytes);
  if (l->behind >= 0) json_key("behind"), json_int(l->behind);
  if (l->record_bytes) {
    json_key("record_bytes"), json_int(l->record_bytes);
    json_key("field_offset"), json_int(l->field_offset);
  }
}

static int json_arrays(const source *s, const arguments *a) {
  int status = 0;
  json_key("arrays"), json_open('[');
  for (int64_t i = 0; i < source_count(s); i++) {
    const int64_t at = source_at(s, i);
    tv_npy_layout l = TV_NPY_LAYOUT;
    json_open('{');
    json_key("name"), json_text(source_name(s, at));
    if (layout_of(s, at, a, &l)) {
      json_key("error"), json_text(library_text(s->path));
      status = library_trouble(s->path);
    } else {
      json_layout(&l);
    }
    json_close('}');
  }
  json_close(']');
  return status;
}

static int json_file(const source *s, const arguments *a) {
  int status = 0;
  tv_npy_layout l = TV_NPY_LAYOUT;
  if (s->format == FORMAT_NPY && layout_of(s, 0, a, &l)) return library_trouble(s->path);
  json_open('{');
  json_key("file"), json_text(s->path);
  json_key("format"), json_text(format_name(s->format));
  if (s->format == FORMAT_NPY) {
    json_layout(&l);
  } else {
    status = json_arrays(s, a);
  }
  if (s->safetensors) {
    json_key("metadata"), json_open('{');
    for (int64_t i = 0; i < tv_safetensors_metadata_count(s->safetensors); i++) {
      json_key(tv_safetensors_metadata_key(s->safetensors, i));
      json_text(tv_safetensors_metadata_value(s->safetensors, i));
    }
    json_close('}');
  }
  json_close('}');
  return status;
}

/* As text ------------------------------------------------------------------------------------ */

static int print_npy(const source *s, const arguments *a) {
  char text[SHAPE_SIZE], size[NUMBER_SIZE];
  tv_npy_layout l = TV_NPY_LAYOUT;
  if (layout_of(s, 0, a, &l)) return library_trouble(s->path);
  printf("%s\n  format  npy, version %d\n", safe(s->path), l.version);
  printf("  dtype   %s%s%s\n", tv_dtype_name(l.dtype), tv_dtype_size(l.dtype) > 1 ? ", " : "",
         tv_dtype_size(l.dtype) > 1 ? endian_name(&l) : "");
  printf("  shape   %s, %s order\n", shape_text(l.rank, l.shape, text), order_name(&l));
  if (l.record_bytes) {
    printf("  field   %s, at byte %" PRId64 " of records of %" PRId64 "\n",
           safe(a->options[OPTION_field]), l.field_offset, l.record_bytes);
  }
  printf("  data    %s from byte %" PRId64, bytes_text(l.bytes, size), l.offset);
  if (l.behind > 0) printf(", and %" PRId64 " bytes behind", l.behind);
  putchar('\n');
  return 0;
}

static int width_of_names(const source *s) {
  size_t width = 4;
  for (int64_t i = 0; i < source_count(s); i++) {
    const size_t n = strlen(safe(source_name(s, source_at(s, i))));
    if (n > width) width = n;
  }
  return width > 60 ? 60 : (int)width;
}

static int print_archive(const source *s, const arguments *a) {
  char text[SHAPE_SIZE], size[NUMBER_SIZE];
  const int width = width_of_names(s);
  const int64_t n = source_count(s);
  int status = 0;
  int64_t total = 0;
  printf("%s\n  format  %s, %" PRId64 " array%s\n", safe(s->path), format_name(s->format), n,
         n == 1 ? "" : "s");
  for (int64_t i = 0; i < n; i++) {
    const int64_t at = source_at(s, i);
    tv_npy_layout l = TV_NPY_LAYOUT;
    if (layout_of(s, at, a, &l)) {
      status = library_trouble(s->path);
      continue;
    }
    total += l.bytes;
    printf("  %-*s  %-10s  %s", width, safe(source_name(s, at)), tv_dtype_name(l.dtype),
           shape_text(l.rank, l.shape, text));
    if (l.is_fortran) fputs(", Fortran order", stdout);
    if (l.is_big_endian) fputs(", big-endian", stdout);
    printf(", %s\n", bytes_text(l.bytes, size));
  }
  if (n > 1) printf("  %-*s  %s\n", width, "in all", bytes_text(total, size));
  for (int64_t i = 0; s->safetensors && i < tv_safetensors_metadata_count(s->safetensors); i++) {
    printf("  metadata  %s = %s\n", safe(tv_safetensors_metadata_key(s->safetensors, i)),
           safe(tv_safetensors_metadata_value(s->safetensors, i)));
  }
  return status;
}

int run_info(const arguments *a) {
  int status = 0;
  for (int i = 0; i < a->n_files; i++) {
    source s;
    int one = source_open(&s, a->files[i], a);
    if (!one) {
      one = given(a, OPTION_json)    ? json_file(&s, a)
            : s.format == FORMAT_NPY ? print_npy(&s, a)
                                     : print_archive(&s, a);
      source_close(&s);
    }
    if (one) status = one;
  }
  return status;
}
