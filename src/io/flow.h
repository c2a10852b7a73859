/* SPDX-License-Identifier: MIT
 * Bytes in order, coming from somewhere or going somewhere: a file, memory, a member of an archive.
 * What arrays are read from and written to.
 *
 * `who` begins every message: the function and the file, "npz_read: x.npz: w". */
#ifndef TVI_FLOW_H
#define TVI_FLOW_H
#include <stdint.h>
#include <tensorvar/npy.h>

#include "file.h"

typedef struct tvi_source {
  const char *who;
  int64_t left;          /* bytes from here on, -1 if unknown; counted down by tvi_source_read */
  int fd;                /* the file whose pages hold them as they are, -1 if none does */
  int64_t at;            /* where in that file the first of them is */
  const uint8_t *memory; /* the next byte, for those that read from memory */
  /* Up to n bytes, fewer only where they end; *got of them. */
  tv_status (*read)(struct tvi_source *from, void *out, int64_t n, int64_t *got);
  /* NULL, or asked when all elements are read and before anybody sees them. */
  tv_status (*finish)(struct tvi_source *from);
} tvi_source;

static inline tv_status tvi_source_read(tvi_source *from, void *out, int64_t n, int64_t *got) {
  *got = 0;
  const tv_status status = from->read(from, out, n, got);
  if (from->left >= 0) from->left -= *got;
  return status;
}

typedef struct tvi_sink {
  const char *who;
  tv_status (*write)(struct tvi_sink *to, const void *bytes, int64_t n);
} tvi_sink;

/* A file being replaced. `out` is begun, committed or abandoned by whoever has it. */
typedef struct tvi_file_sink {
  tvi_sink sink;
  tvi_file_out out;
} tvi_file_sink;
static inline tv_status tvi_file_sink_write(tvi_sink *to, const void *bytes, int64_t n) {
  return tvi_file_write(&((tvi_file_sink *)to)->out, bytes, n);
}

/* Arrays, npy_read.c --------------------------------------------------------------------------- */

/* Options as given or the defaults. TV_EVALUE. */
tv_status tvi_npy_options_of(const char *who, const tv_npy_options *given, tv_npy_options *out);
/* What every load asks before it touches a file: options that fit, a device that is known. */
bool tvi_npy_may_load(const char *who, const tv_npy_options *given, tv_npy_options *options);
/* Fill as much of the caller's struct as it has. */
void tvi_npy_tell(const tv_npy_layout *layout, tv_npy_layout *out);

/* All that comes before the elements of a .npy; the source is then at the first of them. */
tv_status tvi_npy_read_header(tvi_source *from, bool void2_is_bf16, tv_npy_layout *layout);
/* The elements, by copy or map, on the device that the options name, and what the options want to
 * be told. layout->offset counts from from->at. The caller has the one count. */
tv_tensor *tvi_npy_read_elements(tvi_source *from, const tv_npy_layout *layout,
                                 const tv_npy_options *options);

/* Arrays, npy_write.c -------------------------------------------------------------------------- */

/* x so that it can be written: as it is in host memory, compact on another device. Retained. */
tv_tensor *tvi_npy_packed(const char *who, tv_tensor *x);
/* A .npy: header and elements of a packed x. */
tv_status tvi_npy_write(tvi_sink *to, tv_tensor *x);
/* The elements of a packed x alone, little-endian in C order. */
tv_status tvi_npy_write_elements(tvi_sink *to, tv_tensor *x);

#endif
