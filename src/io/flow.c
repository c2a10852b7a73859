/* SPDX-License-Identifier: MIT */
/* Where bytes come from and where they go: files, memory, callbacks. */
#include "flow.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "status.h"

/* Sources ------------------------------------------------------------------------------------- */

tv_status tvi_source_read(tvi_source *from, void *out, int64_t n, int64_t *got) {
  *got = 0;
  const tv_status status = from->read(from, out, n, got);
  if (from->left >= 0) from->left -= *got;
  return status;
}

tv_status tvi_source_skip(tvi_source *from, int64_t n, int64_t *got) {
  *got = 0;
  if (from->skip) {
    *got = n < from->left ? n : from->left;
    from->left -= *got;
    return from->skip(from, *got);
  }
  for (uint8_t passed[8192]; *got < n;) {
    const int64_t want = n - *got < (int64_t)sizeof passed ? n - *got : (int64_t)sizeof passed;
    int64_t now = 0;
    const tv_status status = tvi_source_read(from, passed, want, &now);
    *got += now;
    if (status || now < want) return status;
  }
  return TV_OK;
}

static tv_status read_file(tvi_source *from, void *out, int64_t n, int64_t *got) {
  const tv_status status = tvi_file_read(from->who, from->fd, out, n, got);
  from->next += *got;
  return status;
}

static tv_status skip_file(tvi_source *from, int64_t n) {
  from->next += n;
  return tvi_sys.lseek(from->fd, n, SEEK_CUR) < 0
             ? tvi_file_fail(from->who, "go to a position", errno)
             : TV_OK;
}

tv_status tvi_file_source(tvi_source *from, const char *who, int fd) {
  *from = (tvi_source){.who = who, .fd = fd, .read = read_file};
  const tv_status status = tvi_file_left(who, fd, &from->left, &from->base);
  if (status || from->left < 0) return status;
  from->skip = skip_file;
  from->may_grow = true;
  from->next = from->base;
  return TV_OK;
}

static tv_status read_place(tvi_source *from, void *out, int64_t n, int64_t *got) {
  if (n > from->left) n = from->left;
  const tv_status status = tvi_file_read_at(from->who, from->fd, from->next, out, n, got);
  from->next += *got;
  return status;
}

static tv_status skip_place(tvi_source *from, int64_t n) {
  from->next += n;
  return TV_OK;
}

tvi_source tvi_place_source(const char *who, int fd, int64_t at, int64_t n) {
  return (tvi_source){
      .who = who, .left = n, .fd = fd, .next = at, .read = read_place, .skip = skip_place};
}

static tv_status read_memory(tvi_source *from, void *out, int64_t n, int64_t *got) {
  *got = n < from->left ? n : from->left;
  memcpy(out, from->memory, (size_t)*got);
  from->memory += *got;
  return TV_OK;
}

static tv_status skip_memory(tvi_source *from, int64_t n) {
  from->memory += n;
  return TV_OK;
}

tvi_source tvi_memory_source(const char *who, const void *bytes, int64_t n) {
  return (tvi_source){
      .who = who, .left = n, .fd = -1, .memory = bytes, .read = read_memory, .skip = skip_memory};
}

tvi_source tvi_source_beside(const tvi_source *from, int64_t n) {
  return from->memory ? tvi_memory_source(from->who, from->memory + n, from->left - n)
                      : tvi_place_source(from->who, from->fd, from->next + n, from->left - n);
}

static tv_status read_callback(tvi_source *source, void *out, int64_t n, int64_t *got) {
  const tvi_callback_source *const from = (tvi_callback_source *)source;
  while (*got < n) {
    const int64_t now = from->read(from->user, (char *)out + *got, n - *got);
    if (now == 0) break;
    if (now < 0 || now > n - *got)
      return tvi_fail_status(TV_EIO, "%s: cannot read: the callback gave %lld of %lld bytes",
                             source->who, (long long)now, (long long)(n - *got));
    *got += now;
  }
  return TV_OK;
}

tvi_callback_source tvi_callback_source_of(const char *who,
                                           int64_t (*read)(void *user, void *out, int64_t n),
                                           void *user) {
  return (tvi_callback_source){
      {.who = who, .left = -1, .fd = -1, .read = read_callback}, read, user};
}

/* Sinks --------------------------------------------------------------------------------------- */

tv_status tvi_sink_elements(tvi_sink *to, const void *bytes, int64_t n) {
  tv_status status = TV_OK;
  for (int64_t done = 0, now; done < n && !status; done += now) {
    const bool is_long = to->progress.tell && n - done > TVI_PROGRESS_STEP;
    now = is_long ? TVI_PROGRESS_STEP : n - done;
    status = to->write(to, (const char *)bytes + done, now);
    if (!status) status = tvi_progress_add(&to->progress, to->who, now);
  }
  return status;
}

tv_status tvi_file_sink_write(tvi_sink *to, const void *bytes, int64_t n) {
  return tvi_file_write(&((tvi_file_sink *)to)->out, bytes, n);
}

static tv_status write_callback(tvi_sink *sink, const void *bytes, int64_t n) {
  const tvi_callback_sink *const to = (tvi_callback_sink *)sink;
  if (to->write(to->user, bytes, n)) return TV_OK;
  return tvi_fail_status(TV_EIO, "%s: cannot write: the callback did not take %lld bytes",
                         sink->who, (long long)n);
}

tvi_callback_sink tvi_callback_sink_of(const char *who,
                                       bool (*write)(void *user, const void *bytes, int64_t n),
                                       void *user) {
  return (tvi_callback_sink){{.who = who, .write = write_callback}, write, user};
}
