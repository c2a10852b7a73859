/* SPDX-License-Identifier: MIT
 * The heat map of a matrix. Rows go down. Where there are more elements than dots, a dot has the
 * mean of its elements that are numbers, and the colour of NaN if none is; each element belongs to
 * exactly one dot. Cells are square unless that would leave a strip. */
#include <math.h>
#include <stdlib.h>

#include "colours.h"
#include "failure.h"
#include "plot.h"

typedef struct {
  plot *f;
  int64_t rows, columns, at; /* of the matrix; rows taken so far */
  int64_t down, across;      /* cells */
  double *sums;              /* [down, across] */
  int64_t *counts;           /* of the elements in each sum */
} grid;

/* The first of n elements that belong to cell k of m: those with i m / n = k, rounded down. */
static int64_t first_of(int64_t k, int64_t n, int64_t m) {
  return k * (n / m) + (k * (n % m) + m - 1) / m; /* k n / m, rounded up, without k n */
}

static void take(void *user, const void *elements, int64_t n_rows) {
  grid *g = user;
  const double *x = elements; /* [n_rows, columns] */
  for (int64_t i = 0; i < n_rows; i++, g->at++) {
    const int64_t y = g->at * g->down / g->rows; /* below 2^63 for all that fits a disk */
    for (int64_t k = 0; k < g->across; k++) {
      const int64_t end = first_of(k + 1, g->columns, g->across);
      double *sum = g->sums + y * g->across + k;
      for (int64_t j = first_of(k, g->columns, g->across); j < end; j++) {
        const double v = x[i * g->columns + j];
        plot_count(g->f, v);
        if (isnan(v)) continue;
        *sum += v;
        g->counts[y * g->across + k]++;
      }
    }
  }
}

/* The size of the map in dots: cells of whole dots where they fit. */
static void fit(grid *g, box *area) {
  const double wide = (double)area->width / (double)g->columns;
  const double high = (double)area->height / (double)g->rows;
  double size = fmin(wide, high);
  if (size >= 1) size = floor(size);
  const double width = size * (double)g->columns, height = size * (double)g->rows;
  if (width >= area->width / 8. && height >= area->height / 8.) { /* else a strip: not square */
    area->width = (int)lround(width);
    area->height = (int)lround(height);
  }
  g->across = g->columns < area->width ? g->columns : area->width;
  g->down = g->rows < area->height ? g->rows : area->height;
}

static void colour_range(plot *f, const grid *g) {
  if (f->has_range) return;
  f->low = HUGE_VAL, f->high = -HUGE_VAL;
  for (int64_t i = 0; i < g->down * g->across; i++) {
    const double mean = g->sums[i] / (double)g->counts[i];
    if (!isfinite(mean)) continue;
    if (mean < f->low) f->low = mean;
    if (mean > f->high) f->high = mean;
  }
  if (f->low > f->high) f->low = f->high = 0;
}

static double part_of(const plot *f, double x) {
  if (isnan(x)) return x;
  if (f->high > f->low && isfinite(x)) return (x - f->low) / (f->high - f->low);
  return x > f->high ? 1 : x < f->low ? 0 : .5;
}

static void draw_bar(plot *f) {
  picture *p = &f->p;
  const box bar = {f->area.x + f->area.width + 10 * p->scale, f->area.y, 12 * p->scale,
                   f->area.height};
  for (int y = 0; y < bar.height; y++) {
    const double up = 1 - (y + .5) / bar.height;
    picture_fill(p, (box){bar.x, bar.y + y, bar.width, 1}, colour_of(up));
  }
  picture_frame(p, bar, COLOUR_INK);
  const axis a = axis_new(f->low, f->high, bar.height / (3 * text_height(p)) + 2, false);
  axis_right(p, bar, &a);
}

static void draw_cells(plot *f, const grid *g) {
  for (int y = 0; y < f->area.height; y++) {
    const int64_t row = y * g->down / f->area.height;
    for (int x = 0; x < f->area.width; x++) {
      const int64_t k = row * g->across + x * g->across / f->area.width;
      const double mean = g->counts[k] ? g->sums[k] / (double)g->counts[k] : (double)NAN;
      picture_fill(&f->p, (box){f->area.x + x, f->area.y + y, 1, 1}, colour_of(part_of(f, mean)));
    }
  }
}

bool draw_heat(plot *f) {
  const int64_t *shape = f->v.shape;
  grid g = {.f = f, .rows = shape[0], .columns = shape[1]};
  const int right = (10 + 12 + 7 + 6) * f->p.scale + plot_label_width(f);
  plot_layout(f, right);
  fit(&g, &f->area);
  plot_crop(f, right);
  f->across = g.across, f->down = g.down;
  const size_t cells = (size_t)(g.down * g.across);
  g.sums = need(cells * sizeof *g.sums);
  g.counts = need(cells * sizeof *g.counts);
  rows r;
  rows_begin_view(&r, &f->v, f->part, false);
  const bool is_read = rows_each(&r, TV_F64, take, &g);
  if (is_read) {
    colour_range(f, &g);
    draw_cells(f, &g);
    picture_frame(&f->p, f->area, COLOUR_INK);
    /* A tick stands at the middle of its row or column. */
    const int most = f->area.height / (3 * text_height(&f->p)) + 2;
    const axis down = axis_new(-.5, (double)g.rows - .5, most, true);
    const axis across =
        axis_new(-.5, (double)g.columns - .5, f->area.width / (60 * f->p.scale) + 2, true);
    axis_left(&f->p, f->area, &down, true);
    axis_below(&f->p, f->area, &across);
    draw_bar(f);
  }
  free(g.sums);
  free(g.counts);
  return is_read;
}
