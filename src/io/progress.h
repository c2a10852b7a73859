/* SPDX-License-Identifier: MIT
 * What callers are told of long reads and writes, and how they stop them. */
#ifndef TVI_PROGRESS_H
#define TVI_PROGRESS_H
#include <tensorvar/npy.h>

/* Bytes moved between two calls of the caller's function. */
enum { TVI_PROGRESS_STEP = 4 << 20 };

typedef struct tvi_progress {
  tv_progress tell; /* NULL: nobody asks */
  void *user;
  int64_t done, total;
  int64_t told; /* what was done when it was last told */
} tvi_progress;

/* Say how much there will be. TV_ECANCELED, `who` begins the message. */
tv_status tvi_progress_begin(tvi_progress *of, const char *who, tv_progress tell, void *user,
                             int64_t total);
/* n more bytes are done. TV_ECANCELED. */
tv_status tvi_progress_add(tvi_progress *of, const char *who, int64_t n);

/* Arrays that are read one by one and told of as one. Stays where it is. */
typedef struct tvi_progress_part {
  tv_progress tell;
  void *user;
  int64_t before; /* what those before had */
  int64_t told, total;
} tvi_progress_part;
/* The start, which is told: the options of each now tell `part`, which tells the caller's function
 * what it has not heard yet. TV_ECANCELED. */
tv_status tvi_progress_share(tvi_progress_part *part, const char *who, tv_npy_options *options,
                             int64_t total);
/* One array of n bytes is done, whatever was told of it. TV_ECANCELED. */
tv_status tvi_progress_passed(tvi_progress_part *part, const char *who, int64_t n);

#endif
