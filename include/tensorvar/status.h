/* SPDX-License-Identifier: MIT
 * Statuses and the thread's first failure. */
#ifndef TENSORVAR_STATUS_H
#define TENSORVAR_STATUS_H

#include <tensorvar/export.h>
TV_BEGIN_C

/** What a call came to. `tv_status_name` and `tv_status_text` say it in words. */
typedef enum tv_status {
  TV_OK = 0,
  TV_ENOMEM = 1,        /* out of memory, or over a budget */
  TV_EVALUE = 2,        /* an argument has no meaning here, NULL for one */
  TV_ESHAPE = 3,        /* shapes do not fit */
  TV_EDTYPE = 4,        /* dtype not accepted */
  TV_EINDEX = 5,        /* an index or axis is out of range */
  TV_EDEVICE = 6,       /* device not known, or operands on different ones */
  TV_ESCOPE = 7,        /* scope misused, or none open */
  TV_EOVERFLOW = 8,     /* a size exceeds 2^63 - 1 */
  TV_EIO = 9,           /* a file operation failed */
  TV_EFORMAT = 10,      /* a file or text is not what it should be */
  TV_EMUTATED = 11,     /* a value changed since it was read */
  TV_EBUSY = 12,        /* mapped, or otherwise in use */
  TV_ECONSTRAINT = 13,  /* a constraint refused the value */
  TV_EUNSUPPORTED = 14, /* the backend has no such operation */
  TV_ELOST = 15,        /* the device is lost */
  TV_ETAPE = 16,        /* tape misused */
  TV_EANOMALY = 17,     /* not finite, on a tape that looks for it */
  TV_ECANCELED = 18     /* stopped by the caller */
} tv_status;

/** Name of a status, "TV_ESHAPE"; "TV_?" for a number that is none. */
TV_API const char *tv_status_name(tv_status status);

/** One sentence for a status, "shapes do not fit". */
TV_API const char *tv_status_text(tv_status status);

/** The first failure on this thread since it was last cleared; TV_OK if there was none.
 *  Every failing op and status function fills it, unless it is already filled. */
TV_API tv_status tv_error(void);

/** What the first failure said: "matmul: inner sizes differ: [2, 3] by [4, 4]"; "" if there was
 * none. Readable until the failure is cleared. */
TV_API const char *tv_error_text(void);

/** Forget the failure: for one that was handled. Beginning an outermost scope does the same. */
TV_API void tv_error_clear(void);

/** Version of the library that runs, "0.1.0". */
TV_API const char *tv_version(void);

TV_END_C
#endif
