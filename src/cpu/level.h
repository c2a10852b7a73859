/* SPDX-License-Identifier: MIT
 * The inner loops, compiled once for each level of x86-64: what a level holds.
 *
 * loops.h, casts.h, folds.h, rows.h, steps.h, products.h, draws.h and selects.h are the loops;
 * level_portable.c, level_v2.c, level_v3.c and level_v4.c compile them for the baseline, for
 * SSE4.2, for AVX2 and for AVX-512. Every level gives the same bits, but for elementary functions:
 * the first two have no fma, and other last places than the latter two. Other processors have the
 * first alone. */
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
  /* to[i] = to[i] op rows[0][i] op rows[1][i] ..., rows `step` bytes apart. */
  void (*join_rows)(void *to, const char *rows, int64_t step, int64_t n_rows, int64_t n);
  /* What fold gives of each of several lines, `step` bytes apart; NULL for complex numbers. */
  void (*fold_lines)(const char *in, int64_t step, int64_t n, int64_t lines, void *values);
} tvi_folder;

/* What finds where an extreme is. */
typedef struct tvi_searcher {
  bool (*beats)(const void *value, const void *best);
  /* Position of the first element that equals value, or is NaN as it is. */
  int64_t (*find)(const void *in, int64_t n, const void *value);
  /* The same of short lines, `step` bytes apart. */
  void (*find_lines)(const char *in, int64_t step, int64_t n, int64_t lines, const void *values,
                     int64_t *at);
  /* values[i] is the extreme of column i of rows `step` bytes apart, which begin at element k:
   * where it beats best[i], or k is 0, best[i], at[i] = that, and where it is. */
  void (*update)(const char *rows, int64_t step, int64_t n_rows, int64_t n, int64_t k,
                 const void *values, void *best, int64_t *at);
} tvi_searcher;

/* out [m, n] = a [m, k] b [k, n], steps in bytes; b's and out's columns are contiguous. */
typedef void tvi_product(int64_t m, int64_t n, int64_t k, const char *a, int64_t a_row,
                         int64_t a_column, const char *b, int64_t b_row, char *out,
                         int64_t out_row);

enum { TVI_DRAW_BLOCKS = 64 };
/* The elements of TVI_DRAW_BLOCKS blocks of the cipher, from block `first` on. */
typedef void tvi_draw(const tv_random *job, uint64_t first, void *out);

/* One row, as the parts below see it; what computes f32 holds f32 in a double. */
typedef struct tvi_row {
  const void *x, *g, *gamma, *beta; /* [columns], g [1] */
  int64_t label;
  double largest, sum, mean, root; /* sum of exp(x - largest); root of variance plus epsilon */
  const void *powers;              /* exp(x - largest), of the type that computes; or NULL */
  char *to;                        /* the row's result */
} tvi_row;

/* Parts of rows of a dtype: each takes n consecutive elements. */
typedef struct tvi_rower {
  double (*largest)(const void *x, int64_t n);
  /* The sum of exp(x - largest), which are kept in `powers` unless it is NULL. */
  double (*powers)(const void *x, int64_t n, double largest, void *powers);
  double (*total)(const void *x, int64_t n);
  double (*squares)(const void *x, int64_t n, double mean); /* the sum of (x - mean)^2 */
  void (*finish[TV_ROWS_LAYER_NORM + 1])(const tvi_row *row, int64_t n, void *to);
} tvi_rower;

/* Elements [begin, end) of one tensor of an optimizer's step. */
typedef void tvi_step(const tv_optimize *job, const tv_optimize_tensor *tensor, int64_t begin,
                      int64_t end);

/* n rows of an element by a mask of bytes, of which `count` are not 0. */
typedef void tvi_select(const uint8_t *mask, int64_t n, int64_t count, const void *in, void *out);
enum { TVI_SELECT_ITEMS = 5 }; /* elements of 1, 2, 4, 8, 16 bytes */
typedef struct tvi_selector {
  int64_t (*count)(const uint8_t *mask, int64_t n);
  tvi_select *pack[TVI_SELECT_ITEMS];   /* out [count] = the chosen of in [n] */
  tvi_select *unpack[TVI_SELECT_ITEMS]; /* out [n]: where chosen, in [count] in order; else 0 */
} tvi_selector;

typedef struct tvi_level {
  tvi_loop *const (*loops)[TV_DTYPE_COUNT]; /* [op][dtype]; NULL where a row refuses the dtype */
  tvi_loop *const (*casts)[TV_DTYPE_COUNT]; /* [from][to]; NULL from complex to real */
  const tvi_folder *sums, *maxima, *minima; /* [dtype]; f16, bf16 and complex as far as they go */
  const tvi_searcher *first_max, *first_min;
  tvi_product *const *products; /* [dtype] */
  tvi_draw *draw;
  const tvi_rower *rowers;                  /* [dtype]; real floating ones */
  tvi_step *const (*steps)[TV_DTYPE_COUNT]; /* [kind, + 2 unless plain][dtype]; floating */
  const tvi_selector *selector;
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
