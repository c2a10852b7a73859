/* SPDX-License-Identifier: MIT
 * Failing: the text is made where the facts are, callers pass NULL on in silence. */
#ifndef TVI_STATUS_H
#define TVI_STATUS_H

#include <tensorvar/status.h>

/* Keep the failure, unless the thread has one already; "who: what: both sides". */
void *tvi_fail(tv_status status, const char *format, ...) TV_PRINTF(2, 3);            /* NULL */
tv_status tvi_fail_status(tv_status status, const char *format, ...) TV_PRINTF(2, 3); /* status */
static inline tv_status tvi_no_memory(const char *who, int64_t bytes) {
  tvi_fail_status(TV_ENOMEM, "%s: no memory on cpu for %lld bytes", who, (long long)bytes);
  return TV_ENOMEM;
}
/* Status of the thread's latest failure, kept or not: what a status function came to when a step of
 * it failed. */
tv_status tvi_failure(void);
/* An argument was NULL: because an op before failed, whose failure stays; or by mistake, named
 * here. */
void *tvi_null(const char *who, const char *argument);
tv_status tvi_null_status(const char *who, const char *argument);

#ifdef __clang_analyzer__ /* which sees one file at a time: say here that these give NULL */
#define tvi_fail(...) ((void)tvi_fail(__VA_ARGS__), (void *)0)
#define tvi_null(...) ((void)tvi_null(__VA_ARGS__), (void *)0)
#endif

/* Text of a shape, "[2, 3]", in the caller's array; cut with "..." where it would not fit. */
enum { TVI_TEXT = 256 };
typedef struct {
  char text[TVI_TEXT];
} tvi_text;
const char *tvi_shape_text(tvi_text *text, int rank, const int64_t *shape);

/* What the system says of an errno. */
const char *tvi_errno_text(int error);

/* Options start from their initialiser: a size of 0 or beyond what the library knows is TV_EVALUE.
 */
bool tvi_options_fit(const char *who, size_t size, size_t known);

#endif
