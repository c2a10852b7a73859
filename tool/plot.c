/* SPDX-License-Identifier: MIT
 * tensorvar plot: a picture of an array, and in words what it shows. */
#include "plot.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "colours.h"
#include "failure.h"
#include "json.h"
#include "number.h"
#include "png.h"
#include "run.h"
#include "source.h"

/* What the kinds share ------------------------------------------------------------------------- */

void plot_count(plot *f, double x) {
  if (isnan(x)) {
    f->n_nan++;
  } else if (isinf(x)) {
    f->n_inf++;
  } else {
    if (x < f->least) f->least = x;
    if (x > f->most) f->most = x;
  }
}

void plot_range(plot *f) {
  if (f->has_range) return;
  const bool has_numbers = f->least <= f->most;
  f->low = has_numbers ? f->least : 0;
  f->high = has_numbers ? f->most : 0;
}

int plot_label_width(const plot *f) { return text_width(&f->p, "-0.000000"); }

static void plot_title(plot *f) {
  picture *p = &f->p;
  const int letter = text_width(p, "mm") - text_width(p, "m");
  char title[256];
  snprintf(title, sizeof title, "%.*s", p->width / letter < 255 ? p->width / letter - 1 : 255,
           f->title);
  picture_text(p, 6 * p->scale, 6 * p->scale, title, COLOUR_INK);
}

void plot_crop(plot *f, int right) {
  picture *p = &f->p;
  const int s = p->scale, title = text_width(p, f->title) + 12 * s;
  const int width = f->area.x + f->area.width + right;
  const int height = f->area.y + f->area.height + text_height(p) + 15 * s;
  const int wanted = width > title ? width : title;
  picture smaller =
      picture_new(wanted < p->width ? wanted : p->width, height < p->height ? height : p->height);
  smaller.scale = s;
  picture_free(p);
  *p = smaller;
  plot_title(f);
}

void plot_layout(plot *f, int right) {
  picture *p = &f->p;
  const int s = p->scale, high = text_height(p);
  const int left = plot_label_width(f) + 9 * s, top = high + 18 * s, below = high + 15 * s;
  f->area = (box){left, top, p->width - left - right, p->height - top - below};
  plot_title(f);
}

/* The command -------------------------------------------------------------------------------- */

typedef enum { HEAT, CURVE, HISTOGRAM } kind;
static const char *const kind_names[] = {"heat map", "line", "histogram"};

static bool read_range(const arguments *a, plot *f) {
  const char *text = a->options[OPTION_range];
  f->has_range = text;
  if (!text) return true;
  char *end, *last;
  f->low = strtod(text, &end);
  f->high = *end == ',' ? strtod(end + 1, &last) : 0;
  if (end != text && *end == ',' && last != end + 1 && !*last && f->low < f->high &&
      isfinite(f->high - f->low)) {
    return true;
  }
  usage("--range: found %s, expected LOW,HIGH with LOW below HIGH", safe(text));
  return false;
}

static bool read_options(const arguments *a, plot *f, int *width, int *height) {
  int64_t w, h;
  if (!option_int(a, OPTION_width, 200, 8000, 800, &w) ||
      !option_int(a, OPTION_height, 150, 8000, 600, &h) ||
      !option_int(a, OPTION_bins, 1, 1000000, 50, &f->bins) || !read_range(a, f)) {
    return false;
  }
  if (!strcmp(a->files[1], "-") && given(a, OPTION_json)) {
    usage("--json and the picture cannot both go to the standard output");
    return false;
  }
  *width = (int)w, *height = (int)h;
  return true;
}

/* x without axes of one element, and what to draw of it; -1 after a message. */
static int choose_kind(const arguments *a, plot *f, const char *label) {
  char text[SHAPE_SIZE];
  if (given(a, OPTION_histogram)) return HISTOGRAM;
  int64_t axes[TV_MAX_RANK];
  int n = 0;
  const int rank = f->v.rank;
  const int64_t *shape = f->v.shape;
  for (int k = 0; k < rank; k++) {
    if (shape[k] == 1 && rank - n > 1) axes[n++] = k;
  }
  const int left = rank - n;
  if (left != 1 && left != 2) {
    usage(
        "%s: shape %s has no picture of its own; --slice takes one or two axes of it, --histogram "
        "shows all elements",
        safe(label), shape_text(rank, shape, text));
    return -1;
  }
  if (n) {
    f->v.x = tv_squeeze(view_whole(&f->v), n, axes);
    if (!f->v.x) return -1;
    f->v.rank = left;
    memcpy(f->v.shape, tv_tensor_shape(f->v.x), (size_t)left * sizeof *f->v.shape);
  }
  return left == 2 ? HEAT : CURVE;
}

static void json_plot(const plot *f, kind k, const char *path) {
  json_open('{');
  json_key("file"), json_text(path);
  json_key("kind"), json_text(kind_names[k]);
  json_key("width"), json_int(f->p.width);
  json_key("height"), json_int(f->p.height);
  json_key("area"), json_open('{');
  json_key("x"), json_int(f->area.x);
  json_key("y"), json_int(f->area.y);
  json_key("width"), json_int(f->area.width);
  json_key("height"), json_int(f->area.height);
  json_close('}');
  json_key("across"), json_int(f->across);
  json_key("down"), json_int(f->down);
  json_key("min"), json_real(f->least <= f->most ? f->least : (double)NAN, false);
  json_key("max"), json_real(f->least <= f->most ? f->most : (double)NAN, false);
  json_key("low"), json_real(f->low, false);
  json_key("high"), json_real(f->high, false);
  json_key("nan"), json_int(f->n_nan);
  json_key("inf"), json_int(f->n_inf);
  if (k == HISTOGRAM) {
    json_key("counts"), json_open('[');
    for (int64_t i = 0; i < f->bins; i++) json_int(f->counts[i]);
    json_close(']');
  }
  json_close('}');
}

/* A number of the array: an integer if its elements are. */
static const char *value_text(const plot *f, double x, char text[NUMBER_SIZE]) {
  const char letter = tv_dtype_kind(f->v.dtype);
  if (letter == 'f' || letter == 'c' || x != floor(x)) return number_text(x, false, text);
  snprintf(text, NUMBER_SIZE, "%.17g", x);
  return text;
}

static void print_plot(const plot *f, kind k, const char *path) {
  char low[NUMBER_SIZE], high[NUMBER_SIZE];
  printf("%s: %s of %s\n", safe(path), kind_names[k], safe(f->title));
  if (f->least <= f->most) {
    printf("  values from %s to %s", value_text(f, f->least, low), value_text(f, f->most, high));
  } else {
    printf("  no finite value");
  }
  if (f->n_nan) printf(", %" PRId64 " NaN in pink", f->n_nan);
  if (f->n_inf) printf(", %" PRId64 " infinite", f->n_inf);
  putchar('\n');
  const bool is_mean = k == HEAT && f->across * f->down < view_size(&f->v);
  if (k == HEAT) {
    printf("  colours from %s to %s%s\n", value_text(f, f->low, low), value_text(f, f->high, high),
           is_mean ? ", each a mean of its elements" : "");
  }
}

static int plot_one(const source *s, int64_t at, const arguments *a, plot *f) {
  char text[SHAPE_SIZE];
  if (!view_open(&f->v, s, at, a)) return library_trouble(s->path);
  const char *label = source_label(s, at);
  const int p = part_wanted(a, f->v.dtype, label);
  if (p < 0) return EXIT_USAGE;
  f->part = (part)p;
  if (view_size(&f->v) == 0) {
    return trouble("%s: no elements to draw: shape %s", safe(label),
                   shape_text(f->v.rank, f->v.shape, text));
  }
  const char *slash = strrchr(label, '/');
  snprintf(f->title, sizeof f->title, "%.255s: %s %s", slash ? slash + 1 : label,
           tv_dtype_name(f->v.dtype), shape_text(f->v.rank, f->v.shape, text));
  const int k = choose_kind(a, f, label);
  if (k < 0) return tv_error() ? library_trouble(s->path) : EXIT_USAGE;
  const bool is_drawn = k == HEAT ? draw_heat(f) : k == CURVE ? draw_curve(f) : draw_histogram(f);
  if (!is_drawn) return library_trouble(s->path);
  const char *path = a->files[1];
  const int status = png_save(path, &f->p);
  if (status) return status;
  if (given(a, OPTION_json)) {
    json_plot(f, (kind)k, path);
  } else if (strcmp(path, "-") != 0) {
    print_plot(f, (kind)k, path);
  }
  return 0;
}

int run_plot(const arguments *a) {
  plot f = {.least = HUGE_VAL, .most = -HUGE_VAL};
  int width, height;
  if (!read_options(a, &f, &width, &height)) return EXIT_USAGE;
  source s;
  int status = source_open(&s, a->files[0], a);
  if (status) return status;
  if (source_count(&s) == 1) {
    f.p = picture_new(width, height);
    status = plot_one(&s, source_at(&s, 0), a, &f);
    picture_free(&f.p);
    free(f.counts);
  } else {
    status = usage("%s holds %" PRId64 " arrays; %s:NAME takes one", safe(s.path), source_count(&s),
                   safe(s.path));
  }
  source_close(&s);
  return status;
}
