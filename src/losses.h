/* SPDX-License-Identifier: MIT
 * What a conversion loses, counted and refused. */
#ifndef TVI_LOSSES_H
#define TVI_LOSSES_H

#include <tensorvar/tensor.h>

typedef struct tvi_cast {
  tv_dtype from, to;
  unsigned refuse; /* sum of TV_REFUSE_... */
  bool is_counted; /* every loss is to be known, and not only those refused */
} tvi_cast;

/* Convert n compact elements in host memory, and add what they lose to `lost`; where nobody counts,
 * only what is refused. `first` is the position of the first of them. TV_ENOMEM. */
tv_status tvi_cast_counted(const char *who, const tvi_cast *cast, void *from, void *to, int64_t n,
                           int64_t first, tv_cast_report *lost);

/* Whether losses that are refused show in what comes out, so that tvi_cast_shown does. */
bool tvi_cast_shows(const tvi_cast *cast);
/* The same without a count, on any thread: whether something that is refused may be lost. */
tv_status tvi_cast_shown(const char *who, const tvi_cast *cast, void *from, void *to, int64_t n,
                         bool *may_be_lost);

bool tvi_cast_is_refused(const tvi_cast *cast, const tv_cast_report *lost);
/* TV_EVALUE, with what was counted: all, or the first of what is refused. */
tv_status tvi_cast_refuse(const char *who, const tvi_cast *cast, const tv_cast_report *lost);
/* Fill as much of the caller's struct as it has. */
void tvi_cast_tell(const tv_cast_report *lost, tv_cast_report *out);

#endif
