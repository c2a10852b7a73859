/* SPDX-License-Identifier: MIT
 * The same elements in another shape. All but a reshape that no steps can show are views: a new
 * head for the same storage.
 *
 * Steps of axes of size 1 mean nothing, and tensors without elements have no first element: data is
 * NULL, and no arithmetic is done on it. */
#include <tensorvar/shape.h>

#include "deferred.h"
#include "elementwise.h"
#include "scope.h"
#include "size.h"
#include "status.h"
#include "tensor.h"
#include "thread.h"
#include "variable/tape.h"

/* Show elements of x, the first `offset` bytes on; steps NULL: C order. */
static tv_tensor *shown(const tvi_rule *rule, tv_tensor *x, int64_t offset, int rank,
                        const int64_t *shape, const int64_t *steps, int n_numbers,
                        const int64_t *numbers) {
  tv_tensor *const base = tvi_tensor_strong(rule->name, x, tvi_self.device);
  if (!base || tvi_settle(base)) {
    tv_release(base);
    return NULL;
  }
  char *const data = base->data ? base->data + offset : NULL;
  tv_tensor *const y = tvi_tensor_view(base->storage, data, base->dtype, rank, shape, steps);
  tv_release(base);
  return tvi_finish(rule, y, 1, &x, n_numbers, numbers);
}

/* Gradient of whatever only adds, drops, joins or splits axes. */
static tv_tensor *shaped_back(const tvi_saved *s, tv_tensor *g) {
  return tv_reshape(g, s->spec->rank, s->spec->shape);
}

/* Reshape ------------------------------------------------------------------------------------ */

static const tvi_rule reshape_rule = {
    .name = "reshape", .is_view = true, .in = {{TVI_USES_NONE, shaped_back}}};

/* The wanted shape with its one -1 worked out. */
static bool reshape_plan(const tv_tensor *x, int rank, const int64_t *wanted, int64_t *shape) {
  tvi_text from, to;
  int open = -1;
  if (rank < 0 || rank > TV_MAX_RANK)
    return tvi_fail(TV_ESHAPE, "reshape: %d axes: 0 to %d are possible", rank, TV_MAX_RANK);
  if (rank && !wanted) return tvi_null("reshape", "shape");
  for (int k = 0; k < rank; k++) {
    if (wanted[k] == -1 && open >= 0)
      return tvi_fail(TV_ESHAPE, "reshape: more than one -1 in shape %s",
                      tvi_shape_text(&to, rank, wanted));
    if (wanted[k] == -1) open = k;
    shape[k] = wanted[k] == -1 ? 1 : wanted[k];
  }
  int64_t elements, bytes;
  if (!tvi_shape_check("reshape", x->dtype, rank, shape, &elements, &bytes)) return false;
  /* With no elements in the other axes, any size would do for the open one: ambiguous. */
  if (open >= 0 && elements && x->size % elements == 0) {
    shape[open] = x->size / elements;
    elements = x->size;
  }
  if (elements == x->size && (elements || open < 0 || shape[open] == 0)) return true;
  return tvi_fail(TV_ESHAPE, "reshape: sizes do not agree: %s to %s",
                  tvi_shape_text(&from, x->rank, x->shape), tvi_shape_text(&to, rank, wanted));
}

/* Steps that show x in another shape of as many elements, at least one. Groups of axes, as short as
 * can be, hold equally many elements on both sides: each group of x must lie as one axis would. */
static bool reshape_steps(const tv_tensor *x, int rank, const int64_t *shape, int64_t *steps) {
  int64_t old_shape[TV_MAX_RANK], old_steps[TV_MAX_RANK];
  int n_old = 0;
  for (int k = 0; k < x->rank; k++)
    if (x->shape[k] != 1) {
      old_shape[n_old] = x->shape[k];
      old_steps[n_old++] = x->steps[k];
    }
  int old = 0, now = 0;
  while (old < n_old && now < rank) {
    const int first_old = old, first = now;
    int64_t old_size = old_shape[old++], size = shape[now++];
    while (old_size != size) /* at most x->size, which both sides reach at their end */
      if (old_size < size && old < n_old)
        old_size *= old_shape[old++];
      else if (now < rank)
        size *= shape[now++];
      else
        return false;
    for (int k = first_old; k < old - 1; k++) {
      int64_t whole;
      if (!tvi_mul(old_shape[k + 1], old_steps[k + 1], &whole) || old_steps[k] != whole)
        return false;
    }
    steps[now - 1] = old_steps[old - 1];
    for (int k = now - 1; k > first; k--) steps[k - 1] = steps[k] * shape[k];
  }
  for (; now < rank; now++) steps[now] = 0; /* of size 1, all of them */
  return true;
}

tv_tensor *tv_reshape(tv_tensor *x, int rank, const int64_t *shape) {
  int64_t worked_out[TV_MAX_RANK], steps[TV_MAX_RANK];
  if (!x) return tvi_null("reshape", "x");
  if (!tvi_scope_is_open("reshape") || !reshape_plan(x, rank, shape, worked_out)) return NULL;
  if (x->is_contiguous || x->size == 0)
    return shown(&reshape_rule, x, 0, rank, worked_out, NULL, 0, NULL);
  if (reshape_steps(x, rank, worked_out, steps))
    return shown(&reshape_rule, x, 0, rank, worked_out, steps, 0, NULL);
  tv_tensor *const packed = tvi_tensor_compact("reshape", x);
  if (!packed) return NULL;
  tv_tensor *const y =
      tvi_tensor_view(packed->storage, packed->data, packed->dtype, rank, worked_out, NULL);
  tv_release(packed);
  return tvi_finish(&reshape_rule, y, 1, &x, 0, NULL);
}

/* Order of axes ------------------------------------------------------------------------------ */

static tv_tensor *permuted_back(const tvi_saved *s, tv_tensor *g) {
  int64_t inverse[TV_MAX_RANK] = {0};
  for (int k = 0; k < s->spec->rank; k++) inverse[s->numbers[k]] = k;
  return tv_permute_dims(g, s->spec->rank, inverse);
}
static const tvi_rule permute_rule = {
    .name = "permute_dims", .is_view = true, .in = {{TVI_USES_NONE, permuted_back}}};

static bool is_permutation(int rank, int n_axes, const int64_t *axes, int64_t *order) {
  bool is_named[TV_MAX_RANK] = {false};
  if (n_axes != rank) return false;
  for (int k = 0; k < rank; k++) {
    if (axes[k] < -rank || axes[k] >= rank) return false;
    order[k] = axes[k] < 0 ? axes[k] + rank : axes[k];
    if (is_named[order[k]]) return false;
    is_named[order[k]] = true;
  }
  return true;
}

tv_tensor *tv_permute_dims(tv_tensor *x, int n_axes, const int64_t *axes) {
  tvi_text named, of;
  int64_t order[TV_MAX_RANK], shape[TV_MAX_RANK], steps[TV_MAX_RANK];
  if (!x) return tvi_null("permute_dims", "x");
  if (!tvi_scope_is_open("permute_dims")) return NULL;
  if (n_axes > 0 && !axes) return tvi_null("permute_dims", "axes");
  if (!is_permutation(x->rank, n_axes, axes, order))
    return tvi_fail(TV_EVALUE, "permute_dims: axes %s are no permutation of those of shape %s",
                    tvi_shape_text(&named, n_axes, axes), tvi_shape_text(&of, x->rank, x->shape));
  for (int k = 0; k < x->rank; k++) {
    shape[k] = x->shape[order[k]];
    steps[k] = x->steps[order[k]];
  }
  return shown(&permute_rule, x, 0, x->rank, shape, steps, x->rank, order);
}

static tv_tensor *transposed_back(const tvi_saved *s, tv_tensor *g) {
  (void)s;
  return tv_matrix_transpose(g);
}
static const tvi_rule transpose_rule = {
    .name = "matrix_transpose", .is_view = true, .in = {{TVI_USES_NONE, transposed_back}}};

tv_tensor *tv_matrix_transpose(tv_tensor *x) {
  tvi_text text;
  int64_t shape[TV_MAX_RANK], steps[TV_MAX_RANK];
  if (!x) return tvi_null("matrix_transpose", "x");
  if (!tvi_scope_is_open("matrix_transpose")) return NULL;
  const int last = x->rank - 1;
  if (last < 1)
    return tvi_fail(TV_ESHAPE, "matrix_transpose: shape %s has fewer than 2 axes",
                    tvi_shape_text(&text, x->rank, x->shape));
  for (int k = 0; k <= last; k++) {
    const int from = k == last ? last - 1 : k == last - 1 ? last : k;
    shape[k] = x->shape[from];
    steps[k] = x->steps[from];
  }
  return shown(&transpose_rule, x, 0, x->rank, shape, steps, 0, NULL);
}

static tv_tensor *flipped_back(const tvi_saved *s, tv_tensor *g) {
  return tv_flip(g, (int)s->numbers[0], s->numbers + 1);
}
static const tvi_rule flip_rule = {
    .name = "flip", .is_view = true, .in = {{TVI_USES_NONE, flipped_back}}};

tv_tensor *tv_flip(tv_tensor *x, int n_axes, const int64_t *axes) {
  bool is_named[TV_MAX_RANK];
  int64_t steps[TV_MAX_RANK], numbers[1 + TV_MAX_RANK] = {0}, offset = 0;
  if (!x) return tvi_null("flip", "x");
  if (!tvi_scope_is_open("flip") || !tvi_axes("flip", x->rank, n_axes, axes, is_named)) return NULL;
  for (int k = 0; k < x->rank; k++) {
    const bool moves = is_named[k] && x->shape[k] > 1;
    steps[k] = moves ? -x->steps[k] : x->steps[k];
    if (moves && x->size) offset += (x->shape[k] - 1) * x->steps[k]; /* inside the storage */
    if (is_named[k]) numbers[++numbers[0]] = k;
  }
  return shown(&flip_rule, x, offset, x->rank, x->shape, steps, (int)numbers[0] + 1, numbers);
}

/* Axes of size 1, and broadcasting ------------------------------------------------------------ */

static const tvi_rule expand_rule = {
    .name = "expand_dims", .is_view = true, .in = {{TVI_USES_NONE, shaped_back}}};

tv_tensor *tv_expand_dims(tv_tensor *x, int64_t axis) {
  int64_t shape[TV_MAX_RANK], steps[TV_MAX_RANK];
  if (!x) return tvi_null("expand_dims", "x");
  if (!tvi_scope_is_open("expand_dims")) return NULL;
  if (x->rank == TV_MAX_RANK)
    return tvi_fail(TV_ESHAPE, "expand_dims: %d axes: 0 to %d are possible", x->rank + 1,
                    TV_MAX_RANK);
  const int at = tvi_axis("expand_dims", axis, x->rank + 1);
  if (at < 0) return NULL;
  for (int k = 0; k <= x->rank; k++) {
    shape[k] = k == at ? 1 : x->shape[k - (k > at)];
    steps[k] = k == at ? 0 : x->steps[k - (k > at)];
  }
  return shown(&expand_rule, x, 0, x->rank + 1, shape, steps, 0, NULL);
}

static const tvi_rule squeeze_rule = {
    .name = "squeeze", .is_view = true, .in = {{TVI_USES_NONE, shaped_back}}};

tv_tensor *tv_squeeze(tv_tensor *x, int n_axes, const int64_t *axes) {
  tvi_text text;
  bool is_named[TV_MAX_RANK];
  int64_t shape[TV_MAX_RANK], steps[TV_MAX_RANK];
  int rank = 0;
  if (!x) return tvi_null("squeeze", "x");
  if (!tvi_scope_is_open("squeeze") || !tvi_axes("squeeze", x->rank, n_axes, axes, is_named))
    return NULL;
  for (int k = 0; k < x->rank; k++) {
    if (is_named[k] && x->shape[k] != 1)
      return tvi_fail(TV_ESHAPE, "squeeze: axis %d of shape %s has size %lld, not 1", k,
                      tvi_shape_text(&text, x->rank, x->shape), (long long)x->shape[k]);
    if (is_named[k]) continue;
    shape[rank] = x->shape[k];
    steps[rank++] = x->steps[k];
  }
  return shown(&squeeze_rule, x, 0, rank, shape, steps, 0, NULL);
}

/* The tape sums over broadcast axes by itself. */
static tv_tensor *summed_back(const tvi_saved *s, tv_tensor *g) {
  (void)s;
  return g;
}
static const tvi_rule broadcast_rule = {
    .name = "broadcast_to", .is_view = true, .in = {{TVI_USES_NONE, summed_back}}};

tv_tensor *tv_broadcast_to(tv_tensor *x, int rank, const int64_t *shape) {
  tvi_text from, to;
  int64_t steps[TV_MAX_RANK], elements, bytes;
  if (!x) return tvi_null("broadcast_to", "x");
  if (!tvi_scope_is_open("broadcast_to") ||
      !tvi_shape_check("broadcast_to", x->dtype, rank, shape, &elements, &bytes))
    return NULL;
  const int added = rank - x->rank;
  bool fits = added >= 0;
  for (int k = 0; k < x->rank && fits; k++)
    fits = x->shape[k] == shape[added + k] || x->shape[k] == 1;
  if (!fits)
    return tvi_fail(TV_ESHAPE, "broadcast_to: shape does not broadcast: %s to %s",
                    tvi_shape_text(&from, x->rank, x->shape), tvi_shape_text(&to, rank, shape));
  tvi_broadcast_steps(x, rank, steps);
  return shown(&broadcast_rule, x, 0, rank, shape, steps, 0, NULL);
}
