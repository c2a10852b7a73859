/* SPDX-License-Identifier: MIT */
/* Named arrays: .npy files (npy_read.c, npy_write.c) as members of a zip archive (zip_read.c,
 * zip_write.c). */
#include <tensorvar/npz.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "names.h"
#include "npy_read.h"
#include "npy_write.h"
#include "scope.h"
#include "status.h"
#include "tally.h"
#include "tensor.h"
#include "zip.h"

struct tv_npz {
  _Atomic int64_t count;
  char *path;
  tvi_zip zip;
};

/* Open --------------------------------------------------------------------------------------- */

static bool options_of(const tv_npz_options *given, tv_npz_options *out) {
  *out = (tv_npz_options)TV_NPZ_OPTIONS;
  if (given) {
    if (!tvi_options_fit("npz_open", given->size, sizeof *out)) return false;
    memcpy(out, given, given->size);
  }
  const bool fits = out->max_members >= 0 && out->max_member_bytes >= 0 && out->max_bytes >= 0;
  return fits || tvi_fail(TV_EVALUE, "npz_open: a limit is below 0");
}

static tv_status check_limits(const char *who, const tvi_zip *zip, const tv_npz_options *o) {
  int64_t left = o->max_bytes;
  for (int64_t i = 0; i < zip->n; i++) {
    char name[64];
    const tvi_zip_member *const m = &zip->members[i];
    if (m->bytes > o->max_member_bytes)
      return tvi_fail_status(TV_EFORMAT, "%s: found member '%s' of %lld bytes, the limit is %lld",
                             who, tvi_escape(name, sizeof name, m->name, strlen(m->name)),
                             (long long)m->bytes, (long long)o->max_member_bytes);
    if (m->bytes > left)
      return tvi_fail_status(TV_EFORMAT, "%s: found more than %lld bytes in all members, the limit",
                             who, (long long)o->max_bytes);
    left -= m->bytes;
  }
  return TV_OK;
}

tv_npz *tv_npz_open(const char *path, const tv_npz_options *options) {
  tv_npz_options o;
  tvi_who who;
  if (!path) return tvi_null("npz_open", "path");
  if (!options_of(options, &o)) return NULL;
  tvi_who_text(&who, "npz_open", path);
  const size_t bytes = strlen(path) + 1;
  tv_npz *const npz = tvi_calloc(1, sizeof *npz);
  char *const copy = tvi_malloc((int64_t)bytes);
  if (!npz || !copy) {
    tvi_free(npz);
    tvi_free(copy);
    return tvi_fail(TV_ENOMEM, "%s: no memory on cpu for %zu bytes", who.text, bytes);
  }
  npz->path = memcpy(copy, path, bytes);
  atomic_init(&npz->count, 1);
  const int fd = tvi_file_open_regular(who.text, path);
  tv_status status = fd < 0 ? TV_EIO : tvi_zip_open(&npz->zip, who.text, fd, o.max_members);
  if (!status) {
    status = check_limits(who.text, &npz->zip, &o);
    if (status) tvi_zip_free(&npz->zip);
  }
  if (!status) {
    tvi_count(TVI_LIVE, 1);
    return npz;
  }
  if (fd >= 0) tvi_file_close(fd);
  tvi_free(npz->path);
  tvi_free(npz);
  return NULL;
}

tv_npz *tv_npz_retain(tv_npz *npz) {
  if (npz) atomic_fetch_add(&npz->count, 1);
  return npz;
}

void tv_npz_release(tv_npz *npz) {
  if (!npz || atomic_fetch_sub(&npz->count, 1) != 1) return;
  tvi_file_close(npz->zip.fd);
  tvi_zip_free(&npz->zip);
  tvi_free(npz->path);
  tvi_free(npz);
  tvi_count(TVI_LIVE, -1);
}

/* Ask ---------------------------------------------------------------------------------------- */

int64_t tv_npz_count(tv_npz *npz) { return npz ? npz->zip.n : 0; }

const char *tv_npz_name(tv_npz *npz, int64_t i) {
  if (!npz) return tvi_null("npz_name", "npz");
  if (i >= 0 && i < npz->zip.n) return npz->zip.members[i].name;
  return tvi_fail(TV_EINDEX, "npz_name: index %lld of %lld members", (long long)i,
                  (long long)npz->zip.n);
}

bool tv_npz_has(tv_npz *npz, const char *name) {
  return npz && name && tvi_zip_find(&npz->zip, name);
}

/* Read --------------------------------------------------------------------------------------- */

/* The member of a name; NULL, having said so. `who` becomes "npz_read: x.npz: w". */
static const tvi_zip_member *find(tvi_named *who, const char *verb, tv_npz *npz, const char *name) {
  if (!npz || !name) return tvi_null(verb, npz ? "name" : "npz");
  const tvi_zip_member *const m = tvi_zip_find(&npz->zip, name);
  tvi_named_text(who, verb, npz->path, name);
  return m ? m : tvi_fail(TV_EVALUE, "%s: there is no such member", who->text);
}

tv_status tv_npz_info(tv_npz *npz, const char *name, const tv_npy_options *options,
                      tv_npy_layout *layout) {
  tv_npy_options o;
  tvi_named who;
  if (!layout) return tvi_null_status("npz_info", "layout");
  if (!tvi_options_fit("npz_info", layout->size, sizeof *layout)) return TV_EVALUE;
  tv_status status = tvi_npy_options_of("npz_info", options, &o);
  if (status) return status;
  const tvi_zip_member *const m = find(&who, "npz_info", npz, name);
  if (!m) return tvi_failure();
  tv_npy_layout found = TV_NPY_LAYOUT;
  tvi_zip_source from;
  status = tvi_zip_member_begin(&from, who.text, &npz->zip, m);
  if (status) return status;
  status = tvi_npy_read_header(&from.source, &o, &found);
  tvi_zip_member_end(&from);
  if (!status) tvi_npy_tell(&found, layout);
  return status;
}

/* With the one count. */
static tv_tensor *read_member(const char *who, const tvi_zip *zip, const tvi_zip_member *m,
                              const tv_npy_options *o) {
  tv_npy_layout layout = TV_NPY_LAYOUT;
  tvi_zip_source from;
  tv_tensor *x = NULL;
  if (tvi_zip_member_begin(&from, who, zip, m)) return NULL;
  if (!tvi_npy_read_header(&from.source, o, &layout))
    x = tvi_npy_read_elements(&from.source, &layout, o);
  tvi_zip_member_end(&from);
  return x;
}

tv_tensor *tv_npz_read(tv_npz *npz, const char *name, const tv_npy_options *options) {
  tv_npy_options o;
  tvi_named who;
  if (!tvi_npy_may_load("npz_read", options, &o)) return NULL;
  const tvi_zip_member *const m = find(&who, "npz_read", npz, name);
  return m ? tvi_scope_own(read_member(who.text, &npz->zip, m, &o)) : NULL;
}

tv_status tv_npz_read_all(tv_npz *npz, const tv_npy_options *options, tv_tensor **tensors) {
  tv_npy_options o;
  if (!npz || (npz->zip.n && !tensors))
    return tvi_null_status("npz_read_all", npz ? "tensors" : "npz");
  for (int64_t i = 0; i < npz->zip.n; i++) tensors[i] = NULL;
  if (!tvi_npy_may_load_all("npz_read_all", options, &o)) return tvi_failure();
  int64_t total = 0;
  for (int64_t i = 0; i < npz->zip.n; i++) total += npz->zip.members[i].bytes;
  tvi_progress_part part;
  tv_status status = tvi_progress_share(&part, "npz_read_all", &o, total);
  for (int64_t i = 0; i < npz->zip.n && !status; i++) {
    tvi_named who;
    const tvi_zip_member *const m = &npz->zip.members[i];
    tvi_named_text(&who, "npz_read_all", npz->path, m->name);
    tensors[i] = tvi_scope_own(read_member(who.text, &npz->zip, m, &o));
    status = tensors[i] ? tvi_progress_passed(&part, who.text, m->bytes) : tvi_failure();
  }
  for (int64_t i = 0; i < npz->zip.n && status; i++) tensors[i] = NULL;
  return status;
}

tv_status tv_npz_verify(tv_npz *npz) {
  if (!npz) return tvi_null_status("npz_verify", "npz");
  tv_status status = TV_OK;
  for (int64_t i = 0; i < npz->zip.n && !status; i++) {
    tvi_named who;
    tvi_zip_source from;
    const tvi_zip_member *const m = &npz->zip.members[i];
    tvi_named_text(&who, "npz_verify", npz->path, m->name);
    status = tvi_zip_member_begin(&from, who.text, &npz->zip, m);
    if (status) break;
    status = from.source.finish(&from.source);
    tvi_zip_member_end(&from);
  }
  return status;
}

tv_tensor *tv_npz_load(const char *path, const char *name, const tv_npy_options *options) {
  tv_npz *const npz = tv_npz_open(path, NULL);
  tv_tensor *const x = npz ? tv_npz_read(npz, name, options) : NULL;
  tv_npz_release(npz);
  return x;
}

/* Save --------------------------------------------------------------------------------------- */

static tv_status write_members(tvi_zip_out *zip, int64_t n, const char *const *names,
                               tv_tensor *const *tensors) {
  tv_status status = TV_OK;
  for (int64_t i = 0; i < n && !status; i++) {
    bool is_fortran;
    tv_tensor *const packed =
        tvi_npy_packed(zip->sink.who, tensors[i], TV_NPY_ORDER_KEEP, &is_fortran);
    if (!packed) return tvi_failure();
    status = tvi_zip_add(zip, names[i]);
    if (!status) status = tvi_npy_write(&zip->sink, packed, is_fortran, false);
    if (!status) status = tvi_zip_added(zip);
    tv_release(packed);
  }
  return status ? status : tvi_zip_finish(zip);
}

tv_status tv_npz_save(const char *path, int64_t n, const char *const *names,
                      tv_tensor *const *tensors, const tv_npz_save_options *options) {
  tv_npz_save_options o = TV_NPZ_SAVE_OPTIONS;
  tvi_who who;
  if (!path) return tvi_null_status("npz_save", "path");
  if (options) {
    if (!tvi_options_fit("npz_save", options->size, sizeof o)) return TV_EVALUE;
    memcpy(&o, options, options->size);
  }
  if (o.compression < 0 || o.compression > 9)
    return tvi_fail_status(TV_EVALUE, "npz_save: compression is %d, not 0 to 9", o.compression);
  tv_status status = tvi_names_check("npz_save", n, names, tensors);
  if (status) return status;
  tvi_file_out out;
  tvi_who_text(&who, "npz_save", path);
  status = tvi_file_begin(&out, who.text, path, o.durable);
  if (status) return status;
  tvi_zip_out zip;
  tvi_zip_begin(&zip, &out, o.compression);
  int64_t total = 0;
  for (int64_t i = 0; i < n; i++) total += tv_tensor_bytes(tensors[i]);
  status = tvi_progress_begin(&zip.sink.progress, who.text, o.progress, o.progress_user, total);
  if (!status) status = write_members(&zip, n, names, tensors);
  tvi_zip_out_free(&zip);
  if (!status) return tvi_file_commit(&out);
  tvi_file_abandon(&out);
  return status;
}
