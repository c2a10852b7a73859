/* SPDX-License-Identifier: MIT
 * Every level of x86-64 that this computer has gives the bits of the lowest: elementwise loops,
 * conversions, reductions, steps, rows, products and random numbers. Elementary functions alone
 * have two kinds of bits: with an fma and without. */
#include <math.h>

#include "cpu/level.h"
#include "cpu_job.h"

enum { N = 1003, ITEM = 16 };

static const tvi_level *levels[3];
static int n_levels; /* above the lowest */

static void find_levels(void) {
  n_levels = 0;
#ifdef TVI_HAS_LEVELS
  static const tvi_level *const all[] = {&tvi_level_v2, &tvi_level_v3, &tvi_level_v4};
  while (n_levels < 3 &&
         tvi_level_here() != (n_levels ? levels[n_levels - 1] : &tvi_level_portable))
    levels[n_levels] = all[n_levels], n_levels++;
#endif
  if (n_levels == 0) SKIP("this computer has the lowest level only");
}

static void fill(tv_dtype dtype, char *to, bool wild) {
  for (int i = 0; i < N; i++) cpu_fill_one(dtype, to + i * tvi_item(dtype), wild);
}

static void check_same_values(const char *what, int detail, tv_dtype dtype, const char *got,
                              const char *want, int n) {
  for (int i = 0; i < n; i++)
    if (!cpu_same(dtype, got + i * tvi_item(dtype), want + i * tvi_item(dtype)))
      check_fail(CHECK_HERE, "%s, dtype %d, %d, element %d", what, (int)dtype, detail, i);
}

/* Whether an fma changes last places. */
static bool has_two_kinds(int op, int dtype) {
  const bool is_function = tvi_op_info[op].missing == TVI_MISSING_SMALLEST && op != TVI_OP_sqrt;
  return dtype >= TV_F16 && dtype <= TV_F64 &&
         (is_function || (op == TVI_OP_pow && dtype != TV_F64));
}

/* By so many units in the last place of a normal number. */
static void check_close_values(const char *what, int dtype, const char *got, const char *want) {
  static const double units[] = {
      [TV_F16] = 0x1p-10, [TV_BF16] = 0x1p-7, [TV_F32] = 0x1p-23, [TV_F64] = 0x1p-52};
  static double x[N], y[N];
  const int64_t steps[2] = {sizeof(double), tvi_item((tv_dtype)dtype)};
  tvi_loop *const widen = tvi_level_portable.casts[dtype][TV_F64];
  widen(N, (char *const[]){(char *)x, (char *)(uintptr_t)got}, steps);
  widen(N, (char *const[]){(char *)y, (char *)(uintptr_t)want}, steps);
  for (int i = 0; i < N; i++)
    if (x[i] != y[i] && !(isnan(x[i]) && isnan(y[i])) &&
        !(fabs(x[i] - y[i]) <= 4 * units[dtype] * fabs(y[i])))
      check_fail(CHECK_HERE, "%s, dtype %d, element %d: %a, not %a", what, dtype, i, x[i], y[i]);
}

TEST(elementwise_loops_agree) {
  static _Alignas(64) char in[3][N * ITEM], want[N * ITEM], got[N * ITEM];
  find_levels();
  for (int op = 0; op < TVI_OP_COUNT; op++)
    for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++) {
      if (!tvi_level_portable.loops[op][dtype]) continue;
      const tvi_op_row *row = &tvi_op_info[op];
      const tv_dtype result = tvi_op_result(op, dtype);
      char *p[4] = {want};
      int64_t steps[4] = {tvi_item(result)};
      for (int k = 0; k < row->n_inputs; k++) {
        const tv_dtype type = row->kind == TVI_SELECT && k == 0 ? TV_BOOL : (tv_dtype)dtype;
        fill(type, in[k], op != TVI_OP_pow || dtype >= TV_F16);
        p[k + 1] = in[k];
        steps[k + 1] = tvi_item(type);
      }
      tvi_level_portable.loops[op][dtype](N, p, steps);
      for (int l = 0; l < n_levels; l++) {
        p[0] = got;
        levels[l]->loops[op][dtype](N, p, steps);
        if (has_two_kinds(op, dtype) && l == 1) { /* v3 */
          check_close_values(row->name, dtype, got, want);
          memcpy(want, got, sizeof want);
        }
        check_same_values(row->name, l, result, got, want, N);
      }
    }
}

TEST(conversions_agree) {
  static _Alignas(64) char in[N * ITEM], want[N * ITEM], got[N * ITEM];
  find_levels();
  for (int from = 0; from < TV_DTYPE_COUNT; from++)
    for (int to = 0; to < TV_DTYPE_COUNT; to++) {
      if (!tvi_level_portable.casts[from][to]) continue;
      for (int round = 0; round < 2; round++) {
        fill(from, in, true);
        if (round && from != TV_BOOL) /* any bits at all */
          for (int i = 0; i < N * ITEM; i++) in[i] = (char)cpu_random();
        const int64_t steps[2] = {tvi_item(to), tvi_item(from)};
        tvi_level_portable.casts[from][to](N, (char *const[]){want, in}, steps);
        for (int l = 0; l < n_levels; l++) {
          levels[l]->casts[from][to](N, (char *const[]){got, in}, steps);
          check_same_values("cast", from, to, got, want, N);
        }
      }
    }
}

TEST(reductions_agree) {
  static _Alignas(64) char in[N * ITEM], want[N * ITEM], got[N * ITEM];
  find_levels();
  for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++)
    for (int kind = 0; kind < 3; kind++)
      for (int n = 1; n <= TVI_RUN; n += n < 70 ? 1 : 13)
        for (int l = 0; l < n_levels; l++) {
          const tvi_level *const low = &tvi_level_portable, *const high = levels[l];
          const tvi_folder *const a = &(kind == 0   ? low->sums
                                        : kind == 1 ? low->maxima
                                                    : low->minima)[dtype];
          const tvi_folder *const b = &(kind == 0   ? high->sums
                                        : kind == 1 ? high->maxima
                                                    : high->minima)[dtype];
          if (!a->fold) continue;
          fill(dtype, in, n % 2);
          a->fold(in, n, want);
          b->fold(in, n, got);
          check_same_values("fold", n, dtype, got, want, 1);
          if (dtype >= TV_C64) continue;
          memcpy(want, in, sizeof in);
          memcpy(got, in, sizeof in);
          a->join(want, in + 32 * tvi_item(dtype), n);
          b->join(got, in + 32 * tvi_item(dtype), n);
          check_same_values("join", n, dtype, got, want, n);
          const int64_t item = tvi_item(dtype), width = N / 9;
          a->join_rows(want, in, width * item, 9, width);
          b->join_rows(got, in, width * item, 9, width);
          check_same_values("join_rows", n, dtype, got, want, (int)width);
          const int lines = N / n < 70 ? N / n : 70;
          a->fold_lines(in, n * item, n, lines, want);
          b->fold_lines(in, n * item, n, lines, got);
          check_same_values("fold_lines", n, dtype, got, want, lines);
          a->fold(in, n, got);
          check_same_values("a line of fold_lines", n, dtype, got, want, 1);
        }
}

TEST(steps_of_optimizers_agree) {
  static _Alignas(64) char in[4][N * ITEM], want[3][N * ITEM], got[3][N * ITEM];
  find_levels();
  for (int kind = 0; kind < 2; kind++)
    for (int dtype = TV_F16; dtype <= TV_C128; dtype++) {
      const tv_dtype slot = dtype <= TV_BF16 ? TV_F32 : (tv_dtype)dtype;
      const tv_dtype part = slot == TV_C64 ? TV_F32 : slot == TV_C128 ? TV_F64 : slot;
      const tv_dtype of[] = {(tv_dtype)dtype, slot, kind == TV_OPTIMIZE_ADAM ? part : slot};
      for (int k = 0; k < 2; k++) fill(dtype, in[k], k);
      fill(of[1], in[2], false);
      fill(of[2], in[3], false);
      const tv_optimize job = {.kind = kind == 0 ? TV_OPTIMIZE_SGD : TV_OPTIMIZE_ADAM,
                               .learning_rate = .1,
                               .momentum = .9,
                               .nesterov = dtype % 2,
                               .beta1 = .9,
                               .beta2 = .999,
                               .epsilon = 1e-8};
      for (int l = -1; l < n_levels; l++) {
        char(*const out)[N * ITEM] = l < 0 ? want : got;
        const tv_optimize_tensor t = {.dtype = (tv_dtype)dtype,
                                      .n = N,
                                      .value = in[0],
                                      .gradient = in[1],
                                      .slot = {in[2], in[3]},
                                      .value_out = out[0],
                                      .slot_out = {out[1], out[2]},
                                      .unbias1 = .1,
                                      .unbias2 = .001};
        (l < 0 ? &tvi_level_portable : levels[l])->steps[kind][dtype](&job, &t, 0, N);
        for (int k = 0; k < 2 + kind && l >= 0; k++)
          check_same_values("step", l, of[k], got[k], want[k], N);
      }
    }
}

TEST(parts_of_rows_agree) {
  static _Alignas(64) char x[N * ITEM], scale[N * ITEM], want[N * ITEM], got[N * ITEM];
  static double powers[N];
  find_levels();
  for (int dtype = TV_F16; dtype <= TV_F64; dtype++) {
    fill(dtype, x, false);
    fill(dtype, scale, false);
    for (int op = TV_ROWS_SOFTMAX; op <= TV_ROWS_LAYER_NORM; op++)
      for (int l = -1; l < n_levels; l++) {
        const tvi_rower *const of = &(l < 0 ? &tvi_level_portable : levels[l])->rowers[dtype];
        tvi_row row = {.x = x, .g = scale, .gamma = scale, .beta = scale, .label = 600};
        row.largest = of->largest(x, N);
        row.sum = of->powers(x, N, row.largest, op % 2 ? powers : NULL);
        row.powers = op % 2 ? powers : NULL;
        row.mean = of->total(x, N) / 1024;
        row.root = of->squares(x, N, row.mean) / 1024;
        const bool is_first = l < 0 || (l == 1 && op != TV_ROWS_LAYER_NORM); /* of its kind: v3 */
        of->finish[op](&row, N, is_first ? want : got);
        if (!is_first)
          check_same_values("row", op, (tv_dtype)dtype, got, want,
                            op == TV_ROWS_CROSS_ENTROPY ? 1 : N);
      }
  }
}

TEST(products_agree) {
  static _Alignas(64) char a[N * ITEM], b[N * ITEM], want[N * ITEM], got[N * ITEM];
  find_levels();
  for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++) {
    if (!tvi_level_portable.products[dtype]) continue;
    const int64_t item = tvi_item(dtype);
    fill(dtype, a, false);
    fill(dtype, b, false);
    tvi_level_portable.products[dtype](23, 37, 19, a, 19 * item, item, b, 37 * item, want,
                                       37 * item);
    for (int l = 0; l < n_levels; l++) {
      levels[l]->products[dtype](23, 37, 19, a, 19 * item, item, b, 37 * item, got, 37 * item);
      check_same_values("product", l, dtype, got, want, 23 * 37);
    }
  }
}

TEST(random_numbers_agree_with_the_definition) {
  static _Alignas(64) char want[TVI_DRAW_BLOCKS * 16], got[TVI_DRAW_BLOCKS * 16];
  find_levels();
  for (int d = TV_RANDOM_BITS; d <= TV_RANDOM_NORMAL; d++)
    for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++) {
      const bool is_bits = dtype == TV_U32 || dtype == TV_U64;
      if (d == TV_RANDOM_BITS ? !is_bits : dtype < TV_F16 || dtype > TV_F64) continue;
      const tv_random job = {
          .distribution = (tv_distribution)d, .dtype = dtype, .key = {~UINT64_C(5), 1}};
      const uint64_t first = UINT64_C(0xfffffff0); /* the block number goes over 32 bits */
      tvi_level_portable.draw(&job, first, want);
      if (dtype == TV_U32)
        for (int i = 0; i < TVI_DRAW_BLOCKS; i++) {
          const tvi_philox_block block = tvi_philox_at(~UINT64_C(5), 1, first + (uint64_t)i);
          CHECK(!memcmp(want + 16 * i, block.word, 16));
        }
      for (int l = 0; l < n_levels; l++) {
        levels[l]->draw(&job, first, got);
        CHECK(!memcmp(got, want, sizeof want));
      }
    }
}

/* Whole cache lines or not, wherever they begin; the bytes beside stay. */
TEST(copies_around_the_caches_copy) {
  static _Alignas(64) char from[512], to[512];
  find_levels();
  for (int i = 0; i < 512; i++) from[i] = (char)(i % 251);
  for (int l = -1; l < n_levels; l++)
    for (int begin = 0; begin < 70; begin += 3)
      for (int bytes = 0; bytes < 300; bytes += 7) {
        memset(to, -1, sizeof to);
        (l < 0 ? &tvi_level_portable : levels[l])->stream(to + begin, from + bytes % 5, bytes);
        for (int i = 0; i < 512; i++) {
          const bool is_inside = i >= begin && i < begin + bytes;
          CHECK(to[i] == (is_inside ? from[i - begin + bytes % 5] : -1));
        }
      }
}

TEST_MAIN("cpu_level", CASE(elementwise_loops_agree), CASE(conversions_agree),
          CASE(reductions_agree), CASE(steps_of_optimizers_agree), CASE(parts_of_rows_agree),
          CASE(products_agree), CASE(random_numbers_agree_with_the_definition),
          CASE(copies_around_the_caches_copy))
