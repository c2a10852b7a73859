/* SPDX-License-Identifier: MIT
 * The histogram of all elements that are finite, in bins of equal width, as numpy.histogram counts:
 * a bin holds its lower edge, and the last one both. */
#include <math.h>
#include <stdlib.h>

#include "colours.h"
#include "failure.h"
#include "plot.h"

typedef struct {
  plot *f;
  int64_t row;
} counting;

static void take_range(void *user, const void *elements, int64_t n_rows) {
  const counting *c = user;
  const double *x = elements;
  for (int64_t i = 0; i < n_rows * c->row; i++) plot_count(c->f, x[i]);
}

static void take(void *user, const void *elements, int64_t n_rows) {
  const counting *c = user;
  plot *f = c->f;
  const double *x = elements, width = f->high - f->low;
  const double step = width / (double)f->bins;
  for (int64_t i = 0; i < n_rows * c->row; i++) {
    if (!(x[i] >= f->low && x[i] <= f->high)) continue;
    int64_t bin = (int64_t)((x[i] - f->low) / width * (double)f->bins);
    if (bin >= f->bins) bin = f->bins - 1;
    /* Rounding may have put a number beside its bin; the edges decide. */
    if (x[i] < f->low + (double)bin * step) {
      bin--;
    } else if (bin + 1 < f->bins && x[i] >= f->low + (double)(bin + 1) * step) {
      bin++;
    }
    f->counts[bin]++;
  }
}

static void draw(plot *f) {
  int64_t largest = 1;
  for (int64_t i = 0; i < f->bins; i++) {
    if (f->counts[i] > largest) largest = f->counts[i];
  }
  const int most = f->area.height / (4 * text_height(&f->p)) + 2;
  const axis up = axis_new(0, 1.05 * (double)largest, most, true);
  const axis across = axis_new(f->low, f->high, f->area.width / (70 * f->p.scale) + 2, false);
  for (int i = 0; i < up.n; i++) {
    const int y =
        f->area.y + (int)floor(f->area.height - axis_place(&up, up.at[i], f->area.height));
    picture_fill(&f->p, (box){f->area.x, y, f->area.width, 1}, COLOUR_GRID);
  }
  for (int64_t i = 0; i < f->bins; i++) {
    const int from = f->area.x + (int)((int64_t)f->area.width * i / f->bins);
    const int to = f->area.x + (int)((int64_t)f->area.width * (i + 1) / f->bins);
    int height = (int)lround(axis_place(&up, (double)f->counts[i], f->area.height));
    if (f->counts[i] > 0 && height == 0) height = 1; /* what is there is seen */
    const int gap = to - from > 4 ? 1 : 0;
    const int width = to - from - gap > 0 ? to - from - gap : 1;
    picture_fill(&f->p, (box){from, f->area.y + f->area.height - height, width, height},
                 COLOUR_LINE);
  }
  picture_frame(&f->p, f->area, COLOUR_INK);
  axis_left(&f->p, f->area, &up, false);
  axis_below(&f->p, f->area, &across);
}

bool draw_histogram(plot *f) {
  plot_layout(f, 12 * f->p.scale);
  rows r;
  rows_begin_view(&r, &f->v, f->part, true);
  counting c = {f, r.row};
  if (!rows_each(&r, TV_F64, take_range, &c)) return false;
  plot_range(f);
  if (f->low == f->high) f->low -= .5, f->high += .5;
  f->across = f->bins, f->down = 1;
  f->counts = need((size_t)f->bins * sizeof *f->counts);
  if (!rows_each(&r, TV_F64, take, &c)) return false;
  draw(f);
  return true;
}
