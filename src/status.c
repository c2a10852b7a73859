/* SPDX-License-Identifier: MIT
 * The thread's first failure. Its text lies in the thread's own fixed buffer: reporting allocates
 * nothing, so it works when memory has run out. vsnprintf is given no floating number, the one
 * thing of it that a locale changes. */
#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tensorvar/backend.h>

#include "thread.h"

static const struct {
  const char *name, *text;
} statuses[] = {
#define STATUS(name, text) {"TV_" #name, text},
#include "status.def"
#undef STATUS
};
enum { COUNT = sizeof statuses / sizeof *statuses };

const char *tv_status_name(tv_status status) {
  return (unsigned)status < COUNT ? statuses[status].name : "TV_?";
}

const char *tv_status_text(tv_status status) {
  return (unsigned)status < COUNT ? statuses[status].text : "no status";
}

tv_status tv_error(void) { return tvi_self.status; }

const char *tv_error_text(void) { return tvi_self.status ? tvi_self.text : ""; }

void tv_error_clear(void) { tvi_self.status = TV_OK; }

const char *tv_version(void) { return TVI_VERSION; }

static void keep(tv_status status, const char *format, va_list args) {
  tvi_self.latest = status;
  if (tvi_self.status || !status) return;
  tvi_self.status = status;
  tvi_self.failed_at = tvi_self.last_id;
  vsnprintf(tvi_self.text, sizeof tvi_self.text, format, args);
}

#define KEEP(status, format)    \
  do {                          \
    va_list args;               \
    va_start(args, format);     \
    keep(status, format, args); \
    va_end(args);               \
  } while (0)

void *(tvi_fail)(tv_status status, const char *format, ...) {
  KEEP(status, format);
  return NULL;
}

tv_status tvi_fail_status(tv_status status, const char *format, ...) {
  KEEP(status, format);
  return status;
}

tv_status tv_backend_fail(tv_status status, const char *format, ...) {
  KEEP(status, format);
  return status;
}

void *(tvi_null)(const char *who, const char *argument) {
  return tvi_self.status ? NULL : tvi_fail(TV_EVALUE, "%s: %s is NULL", who, argument);
}

tv_status tvi_null_status(const char *who, const char *argument) {
  tvi_null(who, argument);
  return tvi_self.status;
}

tv_status tvi_failure(void) { return tvi_self.latest; }

const char *tvi_shape_text(tvi_text *text, int rank, const int64_t *shape) {
  size_t at = 0;
  text->text[at++] = '[';
  for (int k = 0; k < rank; k++) {
    char one[32];
    const int length = snprintf(one, sizeof one, k ? ", %lld" : "%lld", (long long)shape[k]);
    if (at + (size_t)length + sizeof ", ...]" > TVI_TEXT) {
      memcpy(text->text + at, ", ...", 5);
      at += 5;
      break;
    }
    memcpy(text->text + at, one, (size_t)length);
    at += (size_t)length;
  }
  text->text[at++] = ']';
  text->text[at] = '\0';
  return text->text;
}

const char *tvi_errno_text(int error) {
  /* strerrordesc_np (glibc 2.32) neither allocates nor follows the locale. */
  extern const char *strerrordesc_np(int);
  const char *const text = strerrordesc_np(error);
  return text ? text : "unknown error";
}

bool tvi_options_fit(const char *who, size_t size, size_t known) {
  if (size > 0 && size <= known) return true;
  tvi_fail(TV_EVALUE,
           "%s: options have size %zu, this library knows 1 to %zu: begin with their initialiser",
           who, size, known);
  return false;
}
