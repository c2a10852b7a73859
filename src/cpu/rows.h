/* SPDX-License-Identifier: MIT
 * The parts that rows of a softmax and of a layer norm are made of: each goes once over consecutive
 * elements, in vector code. Included by level_v*.c, once per level; rows.c puts them together.
 *
 * f16 and bf16 are computed in f32. Sums are those of reduce.c: runs of TVI_RUN, added pairwise. */

enum { ROW_LEVELS = 48 };

/* The counter of runs, as in reduce.c: level l holds the sum of 2^l runs where bit l is set. */
#define ROW_COUNTER(tag, T)                                                       \
  typedef struct {                                                                \
    int64_t runs;                                                                 \
    T levels[ROW_LEVELS];                                                         \
  } counter_##tag;                                                                \
  static void count_##tag(counter_##tag *c, T x) {                                \
    int level = 0;                                                                \
    for (int64_t runs = c->runs++; runs & 1; runs >>= 1) x += c->levels[level++]; \
    c->levels[level] = x;                                                         \
  }                                                                               \
  static T total_##tag(const counter_##tag *c) {                                  \
    T x = -(T)0;                                                                  \
    int level = 0;                                                                \
    for (int64_t runs = c->runs; runs; runs >>= 1, level++)                       \
      if (runs & 1) x += c->levels[level];                                        \
    return x;                                                                     \
  }
ROW_COUNTER(f32, float)
ROW_COUNTER(f64, double)

/* `do_run` over runs of n elements: the k-th to the k + m-th. */
#define ROW_RUNS(...)                      \
  for (int64_t k = 0, m; k < n; k += m) {  \
    m = n - k < TVI_RUN ? n - k : TVI_RUN; \
    __VA_ARGS__                            \
  }

/* The powers ask for the row that is next: they compute, and leave the memory idle.
 * What is loaded of a run is in the row itself where the types are one. wide: the tag of C. */
#define ROW_FOLDS(tag, S, C, load, wide)                                                         \
  static const C *loaded_##tag(const S *in, int64_t n, C *buffer) {                              \
    if (sizeof(S) == sizeof(C)) return (const C *)(const void *)in;                              \
    INDEPENDENT for (int64_t i = 0; i < n; i++) buffer[i] = load(in[i]);                         \
    return buffer;                                                                               \
  }                                                                                              \
  static double row_largest_##tag(const void *x, int64_t n) {                                    \
    C buffer[TVI_RUN], best = LEAST_OF_##wide, one;                                              \
    ROW_RUNS(fold_max_##wide(loaded_##tag((const S *)x + k, m, buffer), m, &one);                \
             best = tvi_maximum_##wide(best, one);)                                              \
    return (double)best;                                                                         \
  }                                                                                              \
  static double row_total_##tag(const void *x, int64_t n) {                                      \
    C buffer[TVI_RUN], one;                                                                      \
    counter_##wide counter = {0};                                                                \
    ROW_RUNS(fold_sum_##wide(loaded_##tag((const S *)x + k, m, buffer), m, &one);                \
             count_##wide(&counter, one);)                                                       \
    return (double)total_##wide(&counter);                                                       \
  }                                                                                              \
  static void powers_##tag(const S *in, int64_t n, C largest, C *out) {                          \
    INDEPENDENT for (int64_t i = 0; i < n; i++) out[i] = tvi_exp(load(in[i]) - largest);         \
  }                                                                                              \
  static double row_powers_##tag(const void *x, int64_t n, double largest, void *powers) {       \
    C buffer[TVI_RUN], one;                                                                      \
    counter_##wide counter = {0};                                                                \
    ROW_RUNS(C *const e = powers ? (C *)powers + k : buffer;                                     \
             FETCH_LINES((const char *)x + (n + k) * (int64_t)sizeof(S), (size_t)m * sizeof(S))  \
                 powers_##tag((const S *)x + k, m, (C)largest, e);                               \
             fold_sum_##wide(e, m, &one); count_##wide(&counter, one);)                          \
    return (double)total_##wide(&counter);                                                       \
  }                                                                                              \
  static double row_squares_##tag(const void *x, int64_t n, double mean) {                       \
    C buffer[TVI_RUN], one;                                                                      \
    const C center = (C)mean;                                                                    \
    counter_##wide counter = {0};                                                                \
    ROW_RUNS(const S *const in = (const S *)x + k; INDEPENDENT for (int64_t i = 0; i < m; i++) { \
      const C z = load(in[i]) - center;                                                          \
      buffer[i] = z * z;                                                                         \
    } fold_sum_##wide(buffer, m, &one);                                                          \
             count_##wide(&counter, one);)                                                       \
    return (double)total_##wide(&counter);                                                       \
  }

/* What follows when largest and sum are known. */
#define ROW_FINISHES(tag, S, C, load, store)                                                     \
  static void row_softmax_##tag(const tvi_row *row, int64_t n, void *to) {                       \
    C buffer[TVI_RUN];                                                                           \
    const C sum = (C)row->sum;                                                                   \
    ROW_RUNS(const C *e = (const C *)row->powers + k; S *const out = (S *)to + k;                \
             if (!row->powers) powers_##tag((const S *)row->x + k, m, (C)row->largest, buffer),  \
             e = buffer;                                                                         \
             INDEPENDENT for (int64_t i = 0; i < m; i++) out[i] = store(e[i] / sum);)            \
  }                                                                                              \
  static void row_log_softmax_##tag(const tvi_row *row, int64_t n, void *to) {                   \
    const C largest = (C)row->largest, log_sum = tvi_log((C)row->sum);                           \
    const S *const in = row->x;                                                                  \
    S *const out = to;                                                                           \
    INDEPENDENT for (int64_t i = 0; i < n; i++) out[i] = store(load(in[i]) - largest - log_sum); \
  }                                                                                              \
  /* `to` is the loss. */                                                                        \
  static void row_entropy_##tag(const tvi_row *row, int64_t n, void *to) {                       \
    (void)n;                                                                                     \
    const C z = load(((const S *)row->x)[row->label]) - (C)row->largest;                         \
    *(S *)to = store(tvi_log((C)row->sum) - z);                                                  \
  }                                                                                              \
  static void row_gradient_##tag(const tvi_row *row, int64_t n, void *to) {                      \
    C buffer[TVI_RUN];                                                                           \
    const C sum = (C)row->sum, g = load(*(const S *)row->g);                                     \
    ROW_RUNS(const C *e = (const C *)row->powers + k; S *const out = (S *)to + k;                \
             if (!row->powers) powers_##tag((const S *)row->x + k, m, (C)row->largest, buffer),  \
             e = buffer;                                                                         \
             const int64_t at = row->label - k; C own = 0; if (at >= 0 && at < m) own = e[at];   \
             INDEPENDENT for (int64_t i = 0; i < m; i++) out[i] = store(g * (e[i] / sum));       \
             if (at >= 0 && at < m) out[at] = store(g * (own / sum - 1));)                       \
  }                                                                                              \
  static void row_normal_##tag(const tvi_row *row, int64_t n, void *to) {                        \
    const C mean = (C)row->mean, root = (C)row->root;                                            \
    const S *const in = row->x, *const gamma = row->gamma, *const beta = row->beta;              \
    S *const out = to;                                                                           \
    if (gamma && beta)                                                                           \
      INDEPENDENT for (int64_t i = 0; i < n; i++) out[i] =                                       \
          store((load(in[i]) - mean) / root * load(gamma[i]) + load(beta[i]));                   \
    else if (gamma)                                                                              \
      INDEPENDENT for (int64_t i = 0; i < n; i++) out[i] =                                       \
          store((load(in[i]) - mean) / root * load(gamma[i]));                                   \
    else if (beta)                                                                               \
      INDEPENDENT for (int64_t i = 0; i < n; i++) out[i] =                                       \
          store((load(in[i]) - mean) / root + load(beta[i]));                                    \
    else                                                                                         \
      INDEPENDENT for (int64_t i = 0; i < n; i++) out[i] = store((load(in[i]) - mean) / root);   \
  }

#define ROW_PARTS(tag, TAG, S, C, load, store, R, P, wide) \
  ROW_FOLDS(tag, S, C, load, wide) ROW_FINISHES(tag, S, C, load, store)
#define ROW_SINGLE(tag, TAG, S, C, load, store, R, P, ...) \
  ROW_PARTS(tag, TAG, S, C, load, store, R, P, tag)
HALF(ROW_PARTS, f32)
SINGLE(ROW_SINGLE, )

#define ROWER(tag, TAG, ...)                                                                      \
  [TV_##TAG] = {row_largest_##tag,                                                                \
                row_powers_##tag,                                                                 \
                row_total_##tag,                                                                  \
                row_squares_##tag,                                                                \
                {row_softmax_##tag, row_log_softmax_##tag, row_entropy_##tag, row_gradient_##tag, \
                 row_normal_##tag}},
static const tvi_rower rowers[TV_DTYPE_COUNT] = {FLOAT(ROWER, )};
