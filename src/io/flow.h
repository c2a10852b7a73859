/* SPDX-License-Identifier: MIT
 * Bytes in order, coming from somewhere or going somewhere: a file, memory, a callback, a member of
 * an archive. What arrays are read from and written to.
 *
 * `who` begins every message: the function and the file, "npz_read: x.npz: w". */
#ifndef TVI_FLOW_H
#define TVI_FLOW_H
#include "file.h"
#include "progress.h"

typedef struct tvi_source {
  const char *who;
  int64_t left;          /* bytes from here on, -1 if unknown; counted down by tvi_source_read */
  int fd;                /* the file whose pages hold them as they are, -1 if none does */
  int64_t base;          /* where in that file the byte is that offsets count from */
  int64_t next;          /* where in it the next byte is, for those that read a file with an end */
  const uint8_t *memory; /* the next byte, for those that read from memory */
  bool may_grow;         /* a writer may append to the file meanwhile */
  tvi_progress progress;
  /* Up to n bytes, fewer only where they end; *got of them. */
  tv_status (*read)(struct tvi_source *from, void *out, int64_t n, int64_t *got);
  /* NULL, or pass over n <= left bytes without reading them: any place can be read at any time. */
  tv_status (*skip)(struct tvi_source *from, int64_t n);
  /* NULL, or asked when all elements are read and before anybody sees them. */
  tv_status (*finish)(struct tvi_source *from);
} tvi_source;

/* Up to n bytes, fewer only where they end; *got of them. */
tv_status tvi_source_read(tvi_source *from, void *out, int64_t n, int64_t *got);
/* Pass over up to n bytes, fewer only where they end; *got of them. */
tv_status tvi_source_skip(tvi_source *from, int64_t n, int64_t *got);

/* The same bytes from n <= left further on, to be read beside `from`, which has `skip`. */
tvi_source tvi_source_beside(const tvi_source *from, int64_t n);

/* An open file from its position on. TV_EIO, a directory is one. */
tv_status tvi_file_source(tvi_source *from, const char *who, int fd);
/* The same file, n bytes from a place of it; its position stays. */
tvi_source tvi_place_source(const char *who, int fd, int64_t at, int64_t n);
tvi_source tvi_memory_source(const char *who, const void *bytes, int64_t n);

typedef struct tvi_callback_source {
  tvi_source source;
  int64_t (*read)(void *user, void *out, int64_t n);
  void *user;
} tvi_callback_source;
tvi_callback_source tvi_callback_source_of(const char *who,
                                           int64_t (*read)(void *user, void *out, int64_t n),
                                           void *user);

typedef struct tvi_sink {
  const char *who;
  tv_status (*write)(struct tvi_sink *to, const void *bytes, int64_t n);
  tvi_progress progress;
} tvi_sink;

/* Elements, of which the caller is told. */
tv_status tvi_sink_elements(tvi_sink *to, const void *bytes, int64_t n);

/* A file being replaced. `out` is begun, committed or abandoned by whoever has it. */
typedef struct tvi_file_sink {
  tvi_sink sink;
  tvi_file_out out;
} tvi_file_sink;
tv_status tvi_file_sink_write(tvi_sink *to, const void *bytes, int64_t n);

typedef struct tvi_callback_sink {
  tvi_sink sink;
  bool (*write)(void *user, const void *bytes, int64_t n);
  void *user;
} tvi_callback_sink;
tvi_callback_sink tvi_callback_sink_of(const char *who,
                                       bool (*write)(void *user, const void *bytes, int64_t n),
                                       void *user);

#endif
