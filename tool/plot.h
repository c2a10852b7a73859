/* SPDX-License-Identifier: MIT
 * What a plot is made of, and the three kinds of it. */
#ifndef TOOL_PLOT_H
#define TOOL_PLOT_H
#include "axis.h"
#include "number.h"
#include "picture.h"
#include "rows.h"

typedef struct plot {
  view v; /* what is drawn */
  part part;
  char title[SHAPE_SIZE + 300];
  bool has_range; /* low and high are asked for; else they are found */
  double low, high;
  int64_t bins;
  /* Made by drawing: */
  picture p;
  box area; /* where elements are */
  int64_t n_nan, n_inf;
  double least, most; /* of finite elements; infinite ones the other way round if there are none */
  int64_t across, down; /* of cells, points or bars that are drawn */
  int64_t *counts;      /* of a histogram, [bins]; allocated */
} plot;

/** Draw into p, which is white. False after a failure, which the library or a signal knows. */
bool draw_heat(plot *f);
bool draw_curve(plot *f);
bool draw_histogram(plot *f);

/** Count x into n_nan, n_inf, least and most. */
void plot_count(plot *f, double x);
/** Set low and high to what was counted, unless they were asked for. */
void plot_range(plot *f);
/** Leave room for title and axes: `right` dots at the right. Sets area, and draws the title. */
void plot_layout(plot *f, int right);
/** Make the picture no larger than its area, now smaller, asks for. Before anything is drawn. */
void plot_crop(plot *f, int right);
/** The width of the widest label that an axis of numbers may have. */
int plot_label_width(const plot *f);
#endif
