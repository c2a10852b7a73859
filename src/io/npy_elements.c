/* SPDX-License-Identifier: MIT */
/* Loading the elements of .npy files by copy: from a source to where they are wanted, in blocks.
 *
 * A block is read, its bools checked, its bytes swapped, its elements converted while they are in
 * the cache, and what comes of it goes to its place: into the tensor's memory, the caller's, or a
 * device's. Elements without gaps that need none of this are read straight to their place. Where
 * there are gaps, a block is a stretch of the file of at most PICK bytes, from which elements are
 * picked; larger gaps are passed over.
 *
 * Of a large part, where any place can be read at any time, several threads do so. They say
 * nothing: what one fails at is read again in order, so that an error is the first one's, and
 * counts of losses, wherever the threads were.
 *
 * A source of unknown size, a FIFO say, is believed as far as it delivers: memory doubles behind
 * the bytes that have come. */
#include <stdatomic.h>
#include <string.h>

#include "cast.h"
#include "cpu/cpu.h"
#include "device.h"
#include "dtype.h"
#include "endian.h"
#include "guard.h"
#include "losses.h"
#include "memory.h"
#include "npy_read.h"
#include "size.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"

enum {
  PICK = 1 << 18,     /* of the file at once where not all of it is wanted, or more is to be done */
  STRAIGHT = 1 << 20, /* of the file at once where it goes to its place */
  FIRST_BYTES = 1 << 19, /* of memory for a source of unknown size */
  SPAN = 1 << 18,        /* of the file that a thread takes at once, or a row if that is more */
  TOGETHER = 1 << 26,    /* of the file that threads read before they meet */
  MOST_LANES = 16        /* threads: memory has no more to give */
};

typedef struct reader {
  tvi_source *from;
  const tv_npy_layout *layout;
  const tvi_npy_part *part;
  tv_dtype dtype; /* of the tensor */
  int64_t item;
  const tv_npy_options *options;
  tv_cast_report lost;
  tv_device device;
  tvi_storage *storage; /* NULL: into the caller's memory */
  char *to;             /* on the device */
  int64_t room;         /* elements that fit there */
  int64_t at;           /* of the source, in bytes from the first element of the file */
  int64_t done;         /* elements */
  bool is_lane; /* one of several: it says nothing, and fails where losses are to be counted */
  /* PICK bytes each; the elements' place where none is needed. */
  char *stretch, *block, *converted;
  bool has_gaps;
  int n_blocks; /* that are needed */
  int n_lanes;
  char *blocks; /* all of them, those of the next lane behind those of one; to be freed */
} reader;

/* Whether elements are at their place when they are read. */
static bool is_straight(const reader *r) {
  return r->dtype == r->part->dtype && r->device == TV_CPU;
}

/* From the source ----------------------------------------------------------------------------- */

static tv_status ended(const reader *r) {
  tvi_text shape;
  return tvi_fail_status(
      TV_EFORMAT,
      "%s: byte %lld: found the end of the file, expected %lld bytes for shape %s of %s",
      r->from->who, (long long)(r->layout->offset + r->at), (long long)r->layout->bytes,
      tvi_shape_text(&shape, r->layout->rank, r->layout->shape), tv_dtype_name(r->layout->dtype));
}

static tv_status go_to(reader *r, int64_t at) {
  int64_t got = 0;
  if (at == r->at) return TV_OK;
  const int64_t want = at - r->at;
  const tv_status status = tvi_source_skip(r->from, want, &got);
  r->at += got;
  return status || got == want ? status : ended(r);
}

static tv_status fetch(reader *r, void *out, int64_t n) {
  int64_t got = 0;
  const tv_status status = tvi_source_read(r->from, out, n, &got);
  r->at += got;
  return status || got == n ? status : ended(r);
}

/* To its place -------------------------------------------------------------------------------- */

/* Go to the next place of all axes but the last; false when all have been. */
static bool next_place(int n_axes, const int64_t *counts, const int64_t *steps, int64_t *index,
                       int64_t *at) {
  for (int k = n_axes - 2; k >= 0; k--) {
    *at += steps[k];
    if (++index[k] < counts[k]) return true;
    *at -= steps[k] * counts[k];
    index[k] = 0;
  }
  return false;
}

/* Bools in memory, of which the first is so many bytes behind the first element of the file. */
static tv_status check_bools(const char *who, const tv_npy_layout *layout, int64_t first,
                             const uint8_t *data, int n_axes, const int64_t *counts,
                             const int64_t *steps) {
  int64_t index[TV_MAX_RANK] = {0}, at = 0;
  const int64_t n = counts[n_axes - 1], step = steps[n_axes - 1];
  do {
    for (int64_t i = 0; i < n; i++) {
      if (data[at + i * step] <= 1) continue;
      const int64_t place = first + at + i * step;
      return tvi_fail_status(TV_EFORMAT, "%s: byte %lld: found %d as bool %lld, expected 0 or 1",
                             who, (long long)(layout->offset + place), data[at + i * step],
                             (long long)place);
    }
  } while (next_place(n_axes, counts, steps, index, &at));
  return TV_OK;
}

tv_status tvi_npy_check(const char *who, const tv_npy_layout *layout, const tvi_npy_part *part,
                        const void *data) {
  if (part->dtype != TV_BOOL) return TV_OK;
  return check_bools(who, layout, part->first, data, part->n_axes, part->counts, part->steps);
}

/* Have room for n more elements. */
static tv_status grow(reader *r, int64_t n) {
  if (r->room - r->done >= n) return TV_OK;
  int64_t room = r->room < r->part->size / 2 ? 2 * r->room : r->part->size;
  if (room - r->done < n) room = r->done + n;
  tvi_storage *const larger = tvi_storage_new(TV_CPU, room * r->item);
  if (!larger) return TV_ENOMEM;
  memcpy(larger->data, r->to, (size_t)(r->done * r->item));
  tvi_storage_release(r->storage);
  r->storage = larger;
  r->to = larger->data;
  r->room = room;
  return TV_OK;
}

static tvi_cast cast_of(const reader *r) {
  return (tvi_cast){r->part->dtype, r->dtype, r->options->refuse, r->options->report != NULL};
}

static tv_status convert(reader *r, void *from, void *to, int64_t n) {
  const char *const who = r->from->who;
  const tvi_cast cast = cast_of(r);
  if (r->is_lane) {
    bool may_be_lost;
    const tv_status status = tvi_cast_shown(who, &cast, from, to, n, &may_be_lost);
    return may_be_lost ? TV_EVALUE : status;
  }
  const tv_status status = tvi_cast_counted(who, &cast, from, to, n, r->done, &r->lost);
  if (status || !tvi_cast_is_refused(&cast, &r->lost)) return status;
  r->lost.first = tvi_npy_part_place(r->part, r->lost.first);
  return tvi_cast_refuse(who, &cast, &r->lost);
}

/* n elements as they are in the file go to their place; `block` is that place if is_straight. */
static tv_status deliver(reader *r, char *block, int64_t n) {
  tv_status status = TV_OK;
  char *const place = r->to + r->done * r->item;
  if (r->part->is_swapped) tvi_swap_numbers(r->part->dtype, block, n * r->part->item);
  if (r->dtype != r->part->dtype) {
    char *const converted = r->device == TV_CPU ? place : r->converted;
    status = convert(r, block, converted, n);
    block = converted;
  }
  if (!status && r->device != TV_CPU) {
    tvi_device *const on = tvi_device_at(r->device);
    status = on->backend.copy_in(on->self, place, block, n * r->item, tvi_stream_now(r->device));
  }
  r->done += n;
  return status ? status : tvi_progress_add(&r->from->progress, r->from->who, n * r->part->item);
}

/* The most elements of a block that goes elsewhere, so that it fits before and after. */
static int64_t block_size(const reader *r) {
  return PICK / (r->part->item > r->item ? r->part->item : r->item);
}

/* Elements without gaps, the first of them `at` bytes behind that of the file. */
static tv_status read_dense(reader *r, int64_t at, int64_t n) {
  const int64_t item = r->part->item, most = is_straight(r) ? STRAIGHT / item : block_size(r),
                next = 1;
  tv_status status = go_to(r, at);
  for (int64_t i = 0, now; i < n && !status; i += now) {
    now = n - i < most ? n - i : most;
    if (r->room > r->done && r->room - r->done < now) now = r->room - r->done;
    status = grow(r, now);
    if (status) return status;
    char *const block = is_straight(r) ? r->to + r->done * item : r->block;
    status = fetch(r, block, now * item);
    if (!status && r->part->dtype == TV_BOOL)
      status = check_bools(r->from->who, r->layout, at + i, (uint8_t *)block, 1, &now, &next);
    if (!status) status = deliver(r, block, now);
  }
  return status;
}

static void pick(char *out, const char *from, int64_t item, int n_axes, const int64_t *counts,
                 const int64_t *steps) {
  int64_t index[TV_MAX_RANK] = {0}, at = 0;
  const int64_t n = counts[n_axes - 1], step = steps[n_axes - 1];
/* Sizes that the compiler knows are copied in one move. */
#define PICK_ITEMS(bytes)                                                                 \
  case bytes:                                                                             \
    for (int64_t i = 0; i < n; i++) memcpy(out + i * bytes, from + at + i * step, bytes); \
    break
  do {
    switch (item) {
      PICK_ITEMS(1);
      PICK_ITEMS(2);
      PICK_ITEMS(4);
      PICK_ITEMS(8);
      PICK_ITEMS(16);
    }
    out += n * item;
  } while (next_place(n_axes, counts, steps, index, &at));
#undef PICK_ITEMS
}

/* Elements with gaps: n of an axis with all that is below it, picked out of a stretch. */
static tv_status read_picked(reader *r, int axis, int64_t at, int64_t n, int64_t below) {
  const tvi_npy_part *const part = r->part;
  const int n_axes = part->n_axes - axis;
  int64_t counts[TV_MAX_RANK], stretch = part->item, size = n;
  for (int k = 0; k < n_axes; k++) {
    counts[k] = k ? part->counts[axis + k] : n;
    stretch += (counts[k] - 1) * part->steps[axis + k];
  }
  size *= below;
  tv_status status = go_to(r, at);
  if (!status) status = fetch(r, r->stretch, stretch);
  if (!status && part->dtype == TV_BOOL)
    status = check_bools(r->from->who, r->layout, at, (uint8_t *)r->stretch, n_axes, counts,
                         part->steps + axis);
  if (!status) status = grow(r, size);
  if (status) return status;
  char *const block = is_straight(r) ? r->to + r->done * part->item : r->block;
  pick(block, r->stretch, part->item, n_axes, counts, part->steps + axis);
  return deliver(r, block, size);
}

/* The axis whose neighbours are read together: the slowest one below which a block holds all. How
 * many of it, and how many elements are below each. */
static int block_axis(const reader *r, int64_t *n, int64_t *below) {
  const tvi_npy_part *const part = r->part;
  const int64_t most = block_size(r);
  int axis = part->n_axes - 1;
  int64_t size = 1, stretch = part->item;
  while (axis > 0) {
    const int64_t wider = stretch + (part->counts[axis] - 1) * part->steps[axis];
    if (wider > PICK || part->counts[axis] > most / size) break;
    stretch = wider;
    size *= part->counts[axis--];
  }
  const int64_t by_bytes = (PICK - stretch) / part->steps[axis] + 1, by_size = most / size;
  *n = by_bytes < by_size ? by_bytes : by_size;
  *below = size;
  return axis;
}

static tv_status read_all(reader *r) {
  const tvi_npy_part *const part = r->part;
  int64_t index[TV_MAX_RANK] = {0}, most = 1, below = 1, at = 0;
  int axis = block_axis(r, &most, &below);
  /* Single rows without gaps need no picking. */
  const int last = part->n_axes - 1;
  if (axis == last - 1 && most == 1 && part->steps[last] == part->item) axis = last;
  const bool is_dense = axis == last && part->steps[last] == part->item;
  tv_status status = TV_OK;
  do {
    if (is_dense) {
      status = read_dense(r, part->first + at, part->counts[axis]);
    } else {
      for (int64_t i = 0; i < part->counts[axis] && !status; i += most) {
        const int64_t n = part->counts[axis] - i < most ? part->counts[axis] - i : most;
        status = read_picked(r, axis, part->first + at + i * part->steps[axis], n, below);
      }
    }
  } while (!status && next_place(axis + 1, part->counts, part->steps, index, &at));
  return status;
}

/* Rows of the slowest axis: so many of its counts from `first` on. */
static tv_status read_rows(reader *r, int64_t first, int64_t n) {
  const tvi_npy_part *const whole = r->part;
  tvi_npy_part rows = *whole;
  rows.first += first * rows.steps[0];
  rows.counts[0] = n;
  r->part = &rows;
  const tv_status status = read_all(r);
  r->part = whole;
  return status;
}

/* By several threads --------------------------------------------------------------------------- */

static void use_blocks(reader *r, int lane) {
  char *const blocks = r->blocks + (int64_t)lane * r->n_blocks * PICK;
  r->stretch = r->block = r->converted = r->to;
  if (!r->n_blocks) return;
  r->stretch = blocks;
  r->block = blocks + (r->has_gaps ? PICK : 0);
  r->converted = blocks + (r->n_blocks - 1) * (int64_t)PICK;
}

/* The axis of which threads take rows: the slowest whose rows end between two tellings. */
static int row_axis(const tvi_npy_part *part) {
  int axis = 0;
  while (axis < part->n_axes - 1 && part->steps[axis] > TVI_PROGRESS_STEP) axis++;
  return axis;
}

static int64_t rows_of(const tvi_npy_part *part, int axis, int64_t bytes) {
  return bytes > part->steps[axis] ? bytes / part->steps[axis] : 1;
}

/* How many threads read. */
static int lanes_of(const reader *r) {
  const tvi_npy_part *const part = r->part;
  const tvi_cast cast = cast_of(r);
  const bool may = part->size && r->from->skip && r->device == TV_CPU &&
                   (r->dtype == part->dtype || tvi_cast_shows(&cast));
  if (!may) return 1;
  const int axis = row_axis(part), threads = tv_threads(),
            most = threads < MOST_LANES ? threads : MOST_LANES;
  const int64_t spans = part->counts[axis] / rows_of(part, axis, SPAN);
  if (part->counts[axis] * part->steps[axis] < 4 * SPAN || spans < 2) return 1;
  return spans < most ? (int)spans : most;
}

typedef struct together {
  const reader *r;          /* before it */
  int64_t first, end, step; /* rows, and those of a span */
  _Atomic int64_t next;
  atomic_bool has_failed;
} together;

static void read_lane(void *context, int64_t lane) {
  together *const all = context;
  reader r = *all->r;
  const int64_t below = r.part->size / r.part->counts[0];
  const bool was_well = !tv_error();
  r.is_lane = true;
  use_blocks(&r, (int)lane);
  for (int64_t i; !all->has_failed && (i = atomic_fetch_add(&all->next, all->step)) < all->end;) {
    r.at = r.part->first + i * r.part->steps[0];
    r.done = all->r->done + (i - all->first) * below;
    tvi_source source = tvi_source_beside(all->r->from, r.at - all->r->at);
    r.from = &source;
    if (read_rows(&r, i, all->end - i < all->step ? all->end - i : all->step))
      all->has_failed = true;
  }
  if (was_well) tv_error_clear();
}

static tv_status read_together(reader *r, int64_t first, int64_t n) {
  together all = {
      .r = r, .first = first, .end = first + n, .step = rows_of(r->part, 0, SPAN), .next = first};
  tvi_parallel(r->n_lanes, read_lane, &all);
  if (all.has_failed) return read_rows(r, first, n);
  n *= r->part->size / r->part->counts[0];
  r->done += n;
  return tvi_progress_add(&r->from->progress, r->from->who, n * r->part->item);
}

static tv_status read_part(reader *r) {
  const tvi_npy_part *const whole = r->part;
  if (r->n_lanes == 1) return read_all(r);
  tvi_npy_part part = *whole; /* all rows at one place of the slower axes */
  const int axis = row_axis(whole);
  int64_t index[TV_MAX_RANK] = {0}, at = 0;
  part.n_axes -= axis;
  for (int k = 0; k < axis; k++) part.size /= whole->counts[k];
  for (int k = 0; k < part.n_axes; k++) {
    part.counts[k] = whole->counts[axis + k];
    part.steps[k] = whole->steps[axis + k];
  }
  const int64_t rows = part.counts[0],
                most = rows_of(&part, 0, r->from->progress.tell ? TVI_PROGRESS_STEP : TOGETHER);
  tv_status status = TV_OK;
  r->part = &part;
  do {
    part.first = whole->first + at;
    for (int64_t i = 0; i < rows && !status; i += most)
      status = read_together(r, i, rows - i < most ? rows - i : most);
  } while (!status && next_place(axis + 1, whole->counts, whole->steps, index, &at));
  r->part = whole;
  return status;
}

/* The whole ----------------------------------------------------------------------------------- */

/* Memory for the elements, and blocks on their way. */
static tv_status prepare(reader *r, void *out) {
  const int64_t size = r->part->size;
  const bool is_known = r->from->left >= 0 || size * r->part->item <= FIRST_BYTES;
  r->room = is_known ? size : FIRST_BYTES / r->part->item;
  if (out) {
    r->to = out;
    r->room = size;
  } else {
    r->storage = tvi_storage_new(r->device, r->room * r->item);
    if (!r->storage) return TV_ENOMEM;
    r->to = r->storage->data;
  }
  r->has_gaps = !tvi_npy_part_is_dense(r->part);
  r->n_lanes = lanes_of(r);
  r->n_blocks = (r->has_gaps ? 1 : 0) + (is_straight(r) ? 0 : 1) + (r->device == TV_CPU ? 0 : 1);
  const int n = r->n_lanes * r->n_blocks * PICK;
  if (n) r->blocks = tvi_malloc(n);
  if (n && !r->blocks) return tvi_no_memory(r->from->who, n);
  use_blocks(r, 0);
  return TV_OK;
}

/* Read what is wanted, and pass over what is not: the source is then behind the array. */
static tv_status fill(reader *r) {
  const tv_npy_options *const o = r->options;
  tv_status status = tvi_progress_begin(&r->from->progress, r->from->who, o->progress,
                                        o->progress_user, r->part->size * r->part->item);
  if (!status && r->part->size) status = read_part(r);
  if (!status) status = go_to(r, r->layout->bytes);
  if (!status && r->from->finish) status = r->from->finish(r->from);
  return status;
}

/* The tensor of what was read. */
static tv_tensor *show(const reader *r) {
  const tvi_npy_part *const part = r->part;
  int64_t steps[TV_MAX_RANK];
  for (int k = 0; k < part->rank; k++) steps[k] = part->read_steps[k] * r->item;
  return tvi_tensor_view(r->storage, part->size ? r->to + part->read_origin * r->item : NULL,
                         r->dtype, part->rank, part->shape, part->size ? steps : NULL);
}

/* The caller's memory, which has the elements already or gets them from x. */
static tv_tensor *show_out(const reader *r, tv_tensor *x, void *out) {
  const tvi_npy_part *const part = r->part;
  tv_memory_options borrow = TV_MEMORY_OPTIONS;
  int64_t steps[TV_MAX_RANK];
  borrow.borrow = true;
  borrow.name = "out";
  tvi_steps_of(part->rank, part->shape, r->item, steps);
  if (x && tvi_write(r->from->who, TV_CPU, r->dtype, out, steps, part->rank, part->shape, r->dtype,
                     x->data, x->steps))
    return NULL;
  tvi_storage *const storage = tvi_guard_borrow(r->from->who, out, r->dtype, part->rank,
                                                part->shape, steps, part->size * r->item, &borrow);
  if (!storage) return NULL;
  tv_tensor *const y = tvi_tensor_view(storage, out, r->dtype, part->rank, part->shape, NULL);
  tvi_storage_release(storage);
  return y;
}

/* What the options and the part do not agree on. */
static tv_status check_target(const reader *r, tv_device device) {
  const tv_npy_options *const o = r->options;
  const char *const who = r->from->who;
  if (tvi_is_complex(r->part->dtype) && !tvi_is_complex(r->dtype) && r->dtype != TV_BOOL)
    return tvi_fail_status(TV_EDTYPE, "%s: from %s to %s: load it, and take tv_real or tv_imag",
                           who, tv_dtype_name(r->part->dtype), tv_dtype_name(r->dtype));
  int64_t bytes;
  if (!tvi_mul(r->part->size, r->item, &bytes))
    return tvi_fail_status(TV_EOVERFLOW, "%s: %lld elements of %s are more than 2^63 - 1 bytes",
                           who, (long long)r->part->size, tv_dtype_name(r->dtype));
  if (!o->out) return TV_OK;
  if (device != TV_CPU)
    return tvi_fail_status(TV_EDEVICE, "%s: out is on cpu, the device asked for is another", who);
  if (o->capacity < bytes)
    return tvi_fail_status(TV_EVALUE, "%s: out has %lld bytes, expected %lld or more", who,
                           (long long)o->capacity, (long long)bytes);
  if ((uintptr_t)o->out % (uintptr_t)tvi_alignment(r->dtype))
    return tvi_fail_status(TV_EVALUE, "%s: out is misaligned for %s", who, tv_dtype_name(r->dtype));
  return TV_OK;
}

tv_tensor *tvi_npy_copy(tvi_source *from, const tv_npy_layout *layout, const tvi_npy_part *part,
                        const tv_npy_options *options, tv_device device) {
  reader r = {.from = from,
              .layout = layout,
              .part = part,
              .dtype = options->dtype == TV_DTYPE_NONE ? part->dtype : options->dtype,
              .options = options,
              .lost = TV_CAST_REPORT,
              .device = from->left < 0 ? TV_CPU : device};
  r.item = tv_dtype_size(r.dtype);
  if (check_target(&r, device)) return NULL;
  void *const out = part->size ? options->out : NULL;
  const bool is_direct = out && tvi_npy_part_is_c_order(part);
  tv_status status = prepare(&r, is_direct ? out : NULL);
  if (!status) status = fill(&r);
  if (options->report) tvi_cast_tell(&r.lost, options->report);
  tv_tensor *x = status || is_direct ? NULL : show(&r);
  if (!status && out && (x || is_direct)) {
    tv_tensor *const y = show_out(&r, x, out);
    tv_release(x);
    x = y;
  } else if (x && r.device != device) {
    tv_tensor *const there = tvi_tensor_copy(from->who, x, x->dtype, device);
    tv_release(x);
    x = there;
  }
  tvi_free(r.blocks);
  if (r.storage) tvi_storage_release(r.storage);
  return x;
}
