/* SPDX-License-Identifier: MIT
 * What a test asks of the fake libcuda.so.1, beside the driver's own calls: found by dlsym, in C.
 *
 * The environment, read by the first cuInit and by fakecuda_reset:
 *   FAKECUDA_DEVICES=n        0: cuInit fails as it does without a GPU. Default 1
 *   FAKECUDA_ORDER=o          forward, reverse or shuffled: threads in a block, blocks in a grid
 *   FAKECUDA_EAGER=1          work runs when it is queued; else only when something waits for it
 *   FAKECUDA_LIMIT=bytes      memory of each device. Default 4 GiB
 *   FAKECUDA_FAIL=k[:code]    the k-th call from then on fails; code: 2 for allocations, else 999
 *   FAKECUDA_CAPABILITY=75    compute capability. Default 90
 *   FAKECUDA_VERSION=11000    of the driver. Default 13000
 *   FAKECUDA_PROCESSORS=n     multiprocessors. Default 3
 *   FAKECUDA_STUB=1           cuInit says that this is the toolkit's stub */
#ifndef FAKECUDA_TEST_H
#define FAKECUDA_TEST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Since the process began, but for what is live. cuGetErrorName is no call: it cannot fail. */
typedef struct fakecuda_counts {
  int64_t calls, launches;
  int64_t copies_in, bytes_in, copies_out, bytes_out; /* queued */
  int64_t allocations, bytes, pinned, pinned_bytes;   /* live */
  int64_t streams, events, contexts, blas_handles;    /* live */
  int64_t divergent_barriers; /* threads that met at another barrier than the others */
} fakecuda_counts;

typedef enum fakecuda_how {
  FAKECUDA_ONCE,    /* call k alone, which does nothing */
  FAKECUDA_FOREVER, /* call k and all that come later */
  FAKECUDA_LOST,    /* call k, and its device is lost: later calls return the code too */
  FAKECUDA_LATE     /* call k succeeds if it queues work; the device is lost when that runs */
} fakecuda_how;

void fakecuda_count(fakecuda_counts *out);
/* Name of the k-th call since the process began, from 1; NULL if it is long ago or to come. */
const char *fakecuda_call_name(int64_t k);
/* The k-th call from now on fails, 1 is the next. code 0: 2 for allocations, else 999. */
void fakecuda_fail(int64_t k, int code, fakecuda_how how);
/* Whether the call that was to fail has come. */
int fakecuda_has_failed(void);
/* No fault any more, and what was lost is there again, with its memory. */
void fakecuda_heal(void);
/* Heal, and read the environment again. */
void fakecuda_reset(void);
/* What went wrong on a device last, in a line; "" if nothing did. */
const char *fakecuda_what(void);

/* For other stand-ins: queue run(data) on a stream. The data, at most 4096 bytes, are copied. */
struct CUstream_st;
int fakecuda_enqueue(struct CUstream_st *stream, void (*run)(void *data), const void *data,
                     size_t bytes);
/* For other stand-ins: count a call by its name. The code that it has to fail with, or 0. */
int fakecuda_enter(const char *name, int is_allocation);
/* For other stand-ins: handles that they have made, or released if negative. */
void fakecuda_handles(int n);

#ifdef __cplusplus
}
#endif
#endif
