/* SPDX-License-Identifier: MIT
 * Which elements of a file are read: runs, gaps and directions, worked out by hand. */
#include "io/npy_part.h"

#include "check.h"

static tvi_npy_part part;

static tv_npy_layout layout_of(tv_dtype dtype, int rank, const int64_t *shape) {
  tv_npy_layout layout = TV_NPY_LAYOUT;
  layout.dtype = dtype;
  layout.rank = rank;
  for (int k = 0; k < rank; k++) layout.shape[k] = shape[k];
  return layout;
}

static tv_status cut(const tv_npy_layout *layout, const char *slice) {
  tv_npy_options o = TV_NPY_OPTIONS;
  o.slice = slice;
  return tvi_npy_part_of("x", layout, &o, &part);
}

/* The axes of the file are these counts and steps. */
#define AXES(...) axes_are((const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}))
static void axes_are(const int64_t *want, size_t bytes) {
  const int n = (int)(bytes / sizeof *want / 2);
  EQUAL(part.n_axes, n);
  for (int i = 0; i < n; i++) EQUAL(part.counts[i], want[2 * i]);
  for (int i = 0; i < n; i++) EQUAL(part.steps[i], want[2 * i + 1]);
}

TEST(a_whole_array_is_one_run) {
  const tv_npy_layout layout = layout_of(TV_F32, TV_SHAPE(2, 3, 4));
  OK(cut(&layout, NULL));
  AXES(24, 4);
  CHECK(tvi_npy_part_is_dense(&part));
  CHECK(tvi_npy_part_is_c_order(&part));
  EQUAL(part.size, 24);
  EQUAL(part.first, 0);
  EQUAL(part.span, 96);
}

TEST(a_range_of_rows_is_one_run) {
  const tv_npy_layout layout = layout_of(TV_F64, TV_SHAPE(10, 3));
  OK(cut(&layout, "4:6"));
  AXES(6, 8);
  EQUAL(part.first, 4 * 24);
  EQUAL(part.span, 48);
  EQUAL(part.rank, 2);
  EQUAL(part.shape[0], 2);
}

TEST(gaps_keep_axes_apart) {
  const tv_npy_layout layout = layout_of(TV_F32, TV_SHAPE(5, 6, 7));
  OK(cut(&layout, "1::2, 2:4"));
  AXES(2, 2 * 168, 14, 4);
  EQUAL(part.first, 168 + 56);
  CHECK(!tvi_npy_part_is_dense(&part));
  OK(cut(&layout, "..., 3"));
  AXES(30, 28);
  OK(cut(&layout, "0, None, 0, 0"));
  AXES(1, 4);
  SAME_TEXT(part.rank == 1 && part.shape[0] == 1 ? "one" : "other", "one");
}

TEST(what_goes_backwards_is_read_forwards) {
  const tv_npy_layout layout = layout_of(TV_I16, TV_SHAPE(3, 4));
  OK(cut(&layout, "::-1, 3:0:-2"));
  AXES(6, 4);
  EQUAL(part.first, 2);
  EQUAL(part.span, 22);
  EQUAL(part.read_steps[0], -2);
  EQUAL(part.read_steps[1], -1);
  EQUAL(part.read_origin, 5);
  EQUAL(part.file_steps[0], -8);
  EQUAL(part.file_origin, 20);
  CHECK(!tvi_npy_part_is_c_order(&part));
  for (int64_t i = 0; i < 6; i++) EQUAL(tvi_npy_part_place(&part, i), 5 - i);
}

TEST(fortran_order_is_walked_by_its_own_axes) {
  tv_npy_layout layout = layout_of(TV_F32, TV_SHAPE(2, 3));
  layout.is_fortran = true;
  OK(cut(&layout, NULL));
  AXES(6, 4);
  EQUAL(part.read_steps[0], 1);
  EQUAL(part.read_steps[1], 2);
  const int64_t places[] = {0, 3, 1, 4, 2, 5};
  for (int64_t i = 0; i < 6; i++) EQUAL(tvi_npy_part_place(&part, i), places[i]);
  OK(cut(&layout, "1"));
  AXES(3, 8);
  EQUAL(part.first, 4);
}

TEST(fields_step_by_records) {
  tv_npy_layout layout = layout_of(TV_F32, TV_SHAPE(5, 2));
  layout.record_bytes = 20;
  layout.field_offset = 3;
  layout.field_rank = 1;
  OK(cut(&layout, NULL));
  AXES(5, 20, 2, 4);
  EQUAL(part.first, 3);
  EQUAL(part.span, 88);
  OK(cut(&layout, "-1:, 1"));
  AXES(1, 4);
  EQUAL(part.first, 80 + 7);
}

TEST(axes_of_one_have_no_place) {
  const tv_npy_layout layout = layout_of(TV_F32, TV_SHAPE(1, 3, 1));
  OK(cut(&layout, "..., ::-1, 0"));
  for (int64_t i = 0; i < 3; i++) EQUAL(tvi_npy_part_place(&part, i), 2 - i);
}

TEST(no_elements_are_no_bytes) {
  tv_npy_layout fields = layout_of(TV_F32, TV_SHAPE(5, 0));
  fields.record_bytes = 4;
  fields.field_rank = 1;
  OK(cut(&fields, NULL));
  EQUAL(part.size, 0);
  const tv_npy_layout layout = layout_of(TV_F32, TV_SHAPE(5, 2));
  OK(cut(&layout, "5:, 1"));
  EQUAL(part.size, 0);
  EQUAL(part.first, 0);
  EQUAL(part.rank, 1);
  const tv_npy_layout huge = layout_of(TV_F32, TV_SHAPE(0, INT64_C(1) << 60));
  OK(cut(&huge, NULL));
  EQUAL(part.size, 0);
  CHECK(tvi_npy_part_is_c_order(&part));
}

TEST(what_is_no_index_is_refused) {
  const tv_npy_layout layout = layout_of(TV_F32, TV_SHAPE(5, 2));
  FAILS_STATUS(TV_EINDEX, "x: index 5 is out of range of axis 0 with size 5", cut(&layout, "5"));
  FAILS_STATUS(TV_EVALUE, "x: no index at character 1 of \"x\"", cut(&layout, "x"));
  FAILS_STATUS(TV_EINDEX, "x: 3 indices for shape [5, 2]", cut(&layout, "0, 0, 0"));
}

TEST_MAIN("npy_part", CASE(a_whole_array_is_one_run), CASE(a_range_of_rows_is_one_run),
          CASE(gaps_keep_axes_apart), CASE(what_goes_backwards_is_read_forwards),
          CASE(fortran_order_is_walked_by_its_own_axes), CASE(fields_step_by_records),
          CASE(axes_of_one_have_no_place), CASE(no_elements_are_no_bytes),
          CASE(what_is_no_index_is_refused))
