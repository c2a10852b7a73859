/* SPDX-License-Identifier: MIT */
/* The part of an array in a file that is read. */
#include "npy_part.h"

#include "endian.h"
#include "slice.h"
#include "status.h"
#include "tensor.h"

/* Bytes between neighbours in the file. Axes of a field lie within a record, in C order. */
static void steps_in_file(const tv_npy_layout *layout, int64_t *steps) {
  const int records = layout->rank - layout->field_rank;
  int64_t next = tv_dtype_size(layout->dtype);
  for (int k = layout->rank - 1; k >= records; k--) {
    steps[k] = next;
    next *= layout->shape[k] ? layout->shape[k] : 1;
  }
  next = layout->record_bytes ? layout->record_bytes : tv_dtype_size(layout->dtype);
  for (int i = 0; i < records; i++) {
    const int k = layout->is_fortran ? i : records - 1 - i;
    steps[k] = next;
    next *= layout->shape[k] ? layout->shape[k] : 1;
  }
}

/* An axis of the tensor with more than one element, by what it steps in the file. */
typedef struct {
  int axis;
  int64_t count, step;
} walk;

/* The axes, those of large steps first. */
static int sort_axes(const tvi_npy_part *part, walk *walks) {
  int n = 0;
  for (int k = 0; k < part->rank; k++) {
    if (part->shape[k] == 1) continue;
    const int64_t step = part->file_steps[k];
    const walk now = {k, part->shape[k], step < 0 ? -step : step};
    int at = n++;
    for (; at > 0 && walks[at - 1].step < now.step; at--) walks[at] = walks[at - 1];
    walks[at] = now;
  }
  return n;
}

static void order_axes(tvi_npy_part *part) {
  walk walks[TV_MAX_RANK];
  const int n = sort_axes(part, walks);
  int64_t next = 1;
  part->span = part->item;
  part->read_origin = part->file_origin = 0;
  for (int i = n - 1; i >= 0; i--) {
    const int k = walks[i].axis;
    const int64_t last = walks[i].count - 1;
    part->read_steps[k] = part->file_steps[k] < 0 ? -next : next;
    if (part->file_steps[k] < 0) {
      part->read_origin += last * next;
      part->file_origin += last * walks[i].step;
      part->first -= last * walks[i].step;
    }
    next *= walks[i].count;
    part->span += last * walks[i].step;
  }
  for (int i = 0; i < n; i++) {
    const int at = part->n_axes - 1;
    if (at >= 0 && part->steps[at] == walks[i].count * walks[i].step) {
      part->counts[at] *= walks[i].count;
      part->steps[at] = walks[i].step;
    } else {
      part->counts[part->n_axes] = walks[i].count;
      part->steps[part->n_axes++] = walks[i].step;
    }
  }
  if (part->n_axes) return;
  part->n_axes = 1;
  part->counts[0] = 1;
  part->steps[0] = part->item;
}

tv_status tvi_npy_part_of(const char *who, const tv_npy_layout *layout,
                          const tv_npy_options *options, tvi_npy_part *part) {
  tvi_cut cut;
  int64_t steps[TV_MAX_RANK];
  const char *const text = options->slice ? options->slice : options->n_index ? NULL : "...";
  steps_in_file(layout, steps);
  if (!tvi_slice_cut(who, layout->rank, layout->shape, steps, text, options->n_index,
                     options->index, &cut))
    return tvi_failure();
  *part = (tvi_npy_part){.dtype = layout->dtype,
                         .item = tv_dtype_size(layout->dtype),
                         .first = layout->field_offset + cut.offset,
                         .rank = cut.rank,
                         .size = 1};
  part->is_swapped = part->item > 1 && layout->is_big_endian != tvi_host_is_big_endian();
  for (int k = 0; k < cut.rank; k++) {
    part->shape[k] = cut.shape[k];
    part->file_steps[k] = cut.steps[k];
    part->size = cut.shape[k] && part->size ? part->size * cut.shape[k] : 0;
  }
  if (part->size) {
    order_axes(part);
  } else {
    part->first = 0;
  }
  return TV_OK;
}

bool tvi_npy_part_is_c_order(const tvi_npy_part *part) {
  int64_t next = 1;
  for (int k = part->rank - 1; part->size && k >= 0; k--) {
    if (part->shape[k] == 1) continue;
    if (part->read_steps[k] != next) return false;
    next *= part->shape[k];
  }
  return true;
}

int64_t tvi_npy_part_place(const tvi_npy_part *part, int64_t i) {
  int64_t place = 0, next = 1;
  for (int k = part->rank - 1; k >= 0; k--) {
    const int64_t count = part->shape[k], step = part->read_steps[k];
    if (count == 1) continue;
    const int64_t at = i / (step < 0 ? -step : step) % count;
    place += (step < 0 ? count - 1 - at : at) * next;
    next *= count;
  }
  return place;
}
