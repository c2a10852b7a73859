/* SPDX-License-Identifier: MIT
 * The inner loops, compiled once for each level of x86-64: what a level holds.
 *
 * loops.h, casts.h, folds.h, products.h and draws.h are the loops; level_portable.c, level_v2.c,
 * level_v3.c and level_v4.c compile them for the baseline, for SSE4.2, for AVX2 and for AVX-512.
 * Every level gives the same bits, but for elementary functions: the first two have no fma, and
 * other last places than the latter two. Other processors have the first alone. */
#ifndef TVI_CPU_LEVEL_H
#define TVI_CPU_LEVEL_H

#include "cpu.h"
#include "normal.h"
#include "op.h"

/* n elements; operand k starts at p[k] and advances step[k] bytes. p[0] is the result, p[1] on are
 * the inputs, which overlap it not at all or exactly. */
typedef void tvi_loop(int64_t n, char *const *p, const int64_t *step);

/* Longest run of elements that a fold takes. */
enum { TVI_RUN = 512 };
/* One value of at most TVI_RUN contiguous elements. */
typedef void tvi_fold(const void *in, int64_t n, void *value);

/* A reduction; scalars are elements, or the two parts of one. */
typedef struct tvi_folder {
  int lanes;                                           /* accumulators of a run: 16 or 1 */
  void (*fill)(void *to, int64_t n);                   /* with what changes nothing */
  void (*join)(void *to, const void *with, int64_t n); /* to[i] = to[i] op with[i] */
  tvi_fold *fold;
} tvi_folder;

/* What finds where an extreme is. */
typedef struct tvi_searcher {
  bool (*beats)(const void *value, const void *best);
  /* Position of the first element that equals value, or is NaN as it is. */
  int64_t (*find)(const void *in, int64_t n, const void *value);
  /* best[i], at[i] = row[i], k where row[i] beats best[i]. */
  void (*update)(const void *row, int64_t n, int32_t k, void *best, int32_t *at);
} tvi_searcher;

/* out [m, n] = a [m, k] b [k, n], steps in bytes; b's and out's columns are contiguous. */
typedef void tvi_product(int64_t m, int64_t n, int64_t k, const char *a, int64_t a_row,
                         int64_t a_column, const char *b, int64_t b_row, char *out,
                         int64_t out_row);

enum { TVI_DRAW_BLOCKS = 64 };
/* The elements of TVI_DRAW_BLOCKS blocks of the cipher, from block `first` on. */
typedef void tvi_draw(const tv_random *job, uint64_t first, void *out);

typedef struct tvi_level {
  tvi_loop *const (*loops)[TV_DTYPE_COUNT]; /* [op][dtype]; NULL where a row refuses the dtype */
  tvi_loop *const (*casts)[TV_DTYPE_COUNT]; /* [from][to]; NULL from complex to real */
  const tvi_folder *sums, *maxima, *minima; /* [dtype]; f16, bf16 and complex as far as they go */
  const tvi_searcher *first_max, *first_min;
  tvi_product *const *products; /* [dtype] */
  tvi_draw *draw;
} tvi_level;

extern const tvi_level tvi_level_portable;
#if defined(__x86_64__) && defined(__GNUC__)
#define TVI_HAS_LEVELS 1
extern const tvi_level tvi_level_v2, tvi_level_v3, tvi_level_v4;
#endif

/* The highest level that this computer has and TV_ISA ("portable", "v2", "v3", "v4") does not
 * forbid. */
const tvi_level *tvi_level_here(void);

#endif
