/* SPDX-License-Identifier: MIT
 * Files to write. As cp does, a file that is there is replaced; as the library does, at once and as
 * a whole. */
#include "target.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"
#include "progress.h"

static bool ends_in(const char *path, const char *suffix) {
  const size_t n = strlen(path), m = strlen(suffix);
  return n >= m && !strcmp(path + n - m, suffix);
}

/* The format of --to, or of the suffix; -1 after a message. */
static int format_wanted(const char *path, const arguments *a) {
  static const char *const words[] = {"npy", "npz", "safetensors", NULL};
  static const char *const suffixes[] = {".npy", ".npz", ".safetensors"};
  if (given(a, OPTION_to)) return option_word(a, OPTION_to, words);
  if (!strcmp(path, "-")) return FORMAT_NPY;
  for (int f = 0; f < 3; f++) {
    if (ends_in(path, suffixes[f])) return f;
  }
  usage("%s: its suffix names no format; --to npy, npz or safetensors does", safe(path));
  return -1;
}

bool target_choose(target *t, const char *path, const arguments *a) {
  static const char *const orders[] = {"keep", "C", "F", NULL};
  static const char *const endians[] = {"little", "big", NULL};
  const int f = format_wanted(path, a);
  const int order = option_word(a, OPTION_order, orders);
  const int endian = option_word(a, OPTION_endian, endians);
  int64_t level;
  if (f < 0 || order < 0 || endian < 0 || !option_int(a, OPTION_compress, 0, 9, 0, &level)) {
    return false;
  }
  *t = (target){.path = path, .format = (format)f, .compression = (int)level};
  t->order = order == 0 ? TV_NPY_ORDER_KEEP : order == 1 ? TV_NPY_ORDER_C : TV_NPY_ORDER_FORTRAN;
  t->is_big_endian = endian == 1;
  if (f != FORMAT_NPY && (t->order == TV_NPY_ORDER_FORTRAN || t->is_big_endian)) {
    usage("%s: --order F and --endian big are for .npy files", safe(path));
    return false;
  }
  if (f != FORMAT_NPZ && t->compression) {
    usage("%s: --compress is for .npz files", safe(path));
    return false;
  }
  if (!strcmp(path, "-") && f != FORMAT_NPY) {
    usage("only .npy goes to the standard output");
    return false;
  }
  if (!strcmp(path, "-") && given(a, OPTION_json)) {
    usage("--json and the array cannot both go to the standard output");
    return false;
  }
  return true;
}

static tv_status save_npy(const target *t, bool is_durable, tv_tensor *x) {
  tv_npy_save_options options = TV_NPY_SAVE_OPTIONS;
  options.durable = is_durable;
  options.order = t->order;
  options.big_endian = t->is_big_endian;
  options.progress = progress_told;
  if (!strcmp(t->path, "-")) {
    return tv_npy_write_fd(STDOUT_FILENO, "standard output", x, &options);
  }
  return tv_npy_save(t->path, x, &options);
}

static tv_status save_npz(const target *t, bool is_durable, int64_t n, const char *const *names,
                          tv_tensor *const *tensors) {
  tv_npz_save_options options = TV_NPZ_SAVE_OPTIONS;
  options.durable = is_durable;
  options.compression = t->compression;
  options.progress = progress_told;
  return tv_npz_save(t->path, n, names, tensors, &options);
}

static tv_status save_safetensors(const target *t, bool is_durable, int64_t n,
                                  const char *const *names, tv_tensor *const *tensors,
                                  const source *from) {
  tv_safetensors *file = from ? from->safetensors : NULL;
  const int64_t n_metadata = file ? tv_safetensors_metadata_count(file) : 0;
  const char **texts = need(2 * (size_t)n_metadata * sizeof *texts);
  for (int64_t i = 0; i < n_metadata; i++) {
    texts[i] = tv_safetensors_metadata_key(file, i);
    texts[n_metadata + i] = tv_safetensors_metadata_value(file, i);
  }
  tv_safetensors_save_options options = TV_SAFETENSORS_SAVE_OPTIONS;
  options.durable = is_durable;
  options.progress = progress_told;
  options.n_metadata = n_metadata;
  options.keys = texts;
  options.values = texts + n_metadata;
  const tv_status status = tv_safetensors_save(t->path, n, names, tensors, &options);
  free(texts);
  return status;
}

int target_save(const target *t, const arguments *a, int64_t n, const char *const *names,
                tv_tensor *const *tensors, const source *from) {
  const bool is_durable = !given(a, OPTION_no_sync);
  const char *as = given(a, OPTION_as) ? a->options[OPTION_as] : "arr_0";
  const char **all = need((size_t)n * sizeof *all);
  for (int64_t i = 0; i < n; i++) {
    all[i] = names[i] && !(n == 1 && given(a, OPTION_as)) ? names[i] : as;
  }
  if (t->format == FORMAT_NPY) save_npy(t, is_durable, tensors[0]);
  if (t->format == FORMAT_NPZ) save_npz(t, is_durable, n, all, tensors);
  if (t->format == FORMAT_SAFETENSORS) save_safetensors(t, is_durable, n, all, tensors, from);
  free(all);
  progress_end();
  return tv_error() ? library_trouble(t->path) : 0;
}
