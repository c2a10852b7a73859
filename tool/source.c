/* SPDX-License-Identifier: MIT
 * Files to read. What a file is, its first bytes tell: NumPy's magic, that of a zip archive, or the
 * length and brace that a safetensors file begins with; else its suffix. What is no regular file is
 * a stream, and can only be a .npy one. */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failure.h"
#include "likeness.h"
#include "progress.h"

const char *format_name(format f) {
  static const char *const names[] = {"npy", "npz", "safetensors"};
  return names[f];
}

static bool ends_in(const char *path, const char *suffix) {
  const size_t n = strlen(path), m = strlen(suffix);
  return n >= m && !strcmp(path + n - m, suffix);
}

static format format_of(int file, const char *path) {
  unsigned char b[16] = {0};
  const ssize_t n = pread(file, b, sizeof b, 0);
  if (n >= 6 && !memcmp(b, "\x93NUMPY", 6)) return FORMAT_NPY;
  if (n >= 4 && (!memcmp(b, "PK\3\4", 4) || !memcmp(b, "PK\5\6", 4))) return FORMAT_NPZ;
  if (ends_in(path, ".npz")) return FORMAT_NPZ;
  if (ends_in(path, ".npy")) return FORMAT_NPY;
  /* The header's length is below 2^32, so that four bytes of it are 0. */
  const bool is_like_safetensors = n >= 9 && !memcmp(b + 4, "\0\0\0\0", 4) && b[8] == '{';
  return is_like_safetensors || ends_in(path, ".safetensors") ? FORMAT_SAFETENSORS : FORMAT_NPY;
}

/* The name of an array behind a path: from the first colon before which a file's path ends. Text of
 * `given`, whose path is then cut off at it; NULL if all of it is a path. */
static char *split_name(char *given) {
  struct stat about;
  if (!strcmp(given, "-") || !stat(given, &about)) return NULL;
  for (char *colon = strchr(given, ':'); colon; colon = strchr(colon + 1, ':')) {
    *colon = '\0';
    if (!stat(given, &about)) return colon + 1;
    *colon = ':';
  }
  return NULL;
}

static int no_such_name(const source *s, const char *name) {
  const int64_t n = s->npz ? tv_npz_count(s->npz) : tv_safetensors_count(s->safetensors);
  for (int64_t i = 0; i < n; i++) {
    if (is_like(name, source_name(s, i))) {
      return trouble("%s: no array %s; did you mean %s?", safe(s->path), safe(name),
                     safe(source_name(s, i)));
    }
  }
  if (!n) return trouble("%s: no array %s; the file holds none", safe(s->path), safe(name));
  return trouble("%s: no array %s; the file holds %s%s", safe(s->path), safe(name),
                 safe(source_name(s, 0)), n > 1 ? " and others, see tensorvar info" : "");
}

int source_has_no_names(const source *s, const char *name) {
  return trouble("%s: array %s asked for, but a .npy file holds one without a name", safe(s->path),
                 safe(name));
}

/* `for_archives`: a .npy file needs no name. */
static int open_kind(source *s, const char *name, bool for_archives) {
  struct stat about;
  if (!strcmp(s->path, "-")) {
    s->stream = STDIN_FILENO;
  } else {
    const int file = open(s->path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &about)) {
      const int why = errno;
      if (file >= 0) close(file);
      return trouble("%s: %s", safe(s->path), strerror(why));
    }
    if (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode)) {
      s->format = format_of(file, s->path);
      close(file);
    } else {
      s->stream = file;
    }
  }
  if (s->format == FORMAT_NPZ) s->npz = tv_npz_open(s->path, NULL);
  if (s->format == FORMAT_SAFETENSORS) s->safetensors = tv_safetensors_open(s->path);
  if (tv_error()) return library_trouble(s->path);
  if (!name) return 0;
  if (s->format == FORMAT_NPY) return for_archives ? 0 : source_has_no_names(s, name);
  s->chosen = source_find(s, name);
  return s->chosen < 0 ? no_such_name(s, name) : 0;
}

int source_open(source *s, const char *given_path, const arguments *a) {
  *s = (source){.chosen = -1, .stream = -1};
  s->path = need(strlen(given_path) + 1);
  memcpy(s->path, given_path, strlen(given_path) + 1);
  const char *own = split_name(s->path);
  const bool for_archives = !own && a->command == COMMAND_diff; /* which compares the two kinds */
  const int status = open_kind(s, own ? own : a->options[OPTION_name], for_archives);
  if (status) source_close(s);
  return status;
}

void source_close(source *s) {
  tv_npz_release(s->npz);
  tv_safetensors_release(s->safetensors);
  if (s->stream > STDIN_FILENO) close(s->stream);
  free(s->path);
  *s = (source){.chosen = -1, .stream = -1};
}

int64_t source_count(const source *s) {
  if (s->chosen >= 0 || s->format == FORMAT_NPY) return 1;
  return s->npz ? tv_npz_count(s->npz) : tv_safetensors_count(s->safetensors);
}

int64_t source_at(const source *s, int64_t i) { return s->chosen >= 0 ? s->chosen : i; }

const char *source_name(const source *s, int64_t at) {
  if (s->npz) return tv_npz_name(s->npz, at);
  return s->safetensors ? tv_safetensors_name(s->safetensors, at) : NULL;
}

int64_t source_find(const source *s, const char *name) {
  const bool has = s->npz ? tv_npz_has(s->npz, name)
                          : s->safetensors && tv_safetensors_has(s->safetensors, name);
  if (!has) return -1;
  int64_t at = 0;
  while (strcmp(source_name(s, at), name) != 0) at++;
  return at;
}

tv_npy_options source_options(const arguments *a) {
  tv_npy_options options = TV_NPY_OPTIONS;
  options.void2_is_bf16 = given(a, OPTION_bf16);
  options.field = a->options[OPTION_field];
  options.progress = progress_told;
  return options;
}

tv_status source_layout(const source *s, int64_t at, const tv_npy_options *options,
                        tv_npy_layout *layout) {
  if (s->npz) return tv_npz_info(s->npz, source_name(s, at), options, layout);
  if (s->safetensors) return tv_safetensors_info(s->safetensors, source_name(s, at), layout);
  return tv_npy_info(s->path, options, layout);
}

tv_tensor *source_read(const source *s, int64_t at, const tv_npy_options *options) {
  if (s->stream >= 0) {
    tv_npy_options copying = *options;
    copying.map = TV_NPY_COPY;
    return tv_npy_read_fd(s->stream, s->path, &copying);
  }
  if (s->npz) return tv_npz_read(s->npz, source_name(s, at), options);
  if (s->safetensors) return tv_safetensors_read(s->safetensors, source_name(s, at), options);
  return tv_npy_load(s->path, options);
}

tv_tensor *source_take(const source *s, int64_t at, const arguments *a) {
  tv_npy_options options = source_options(a);
  options.map = TV_NPY_MAP;
  options.slice = a->options[OPTION_slice];
  return source_read(s, at, &options);
}

static bool is_final(int status) { return status == EXIT_USAGE || stop_signal(); }

int each_array(const arguments *a, int (*work)(const source *s, int64_t at, const arguments *a)) {
  int status = 0;
  for (int i = 0; i < a->n_files && !is_final(status); i++) {
    source s;
    int one = source_open(&s, a->files[i], a);
    if (one) {
      status = one;
      continue;
    }
    for (int64_t k = 0; k < source_count(&s) && !is_final(status); k++) {
      tv_scope scope;
      tv_scope_begin(&scope);
      one = work(&s, source_at(&s, k), a);
      tv_scope_end(&scope, NULL);
      if (one) status = one;
    }
    source_close(&s);
  }
  return status;
}

const char *source_label(const source *s, int64_t at) {
  static char *label;
  const char *name = source_name(s, at);
  free(label);
  label = need(strlen(s->path) + (name ? strlen(name) : 0) + 2);
  sprintf(label, name ? "%s:%s" : "%s", s->path, name);
  return label;
}
