/* SPDX-License-Identifier: MIT
 * Versions: who wrote last, and the values before, where a Variable keeps some.
 *
 * Old values are kept by reference: a Variable with a history never writes in place, so each commit
 * moves the old value into a ring, where version k lies at place k mod `history`. */
#include <stdio.h>
#include <string.h>

#include "custom.h"
#include "scope.h"
#include "status.h"
#include "tape.h"
#include "thread.h"
#include "write.h"

/* Who wrote -------------------------------------------------------------------------------------
 */

void tv_site_set(const char *file, int line) {
  tvi_thread *const self = tvi_thread_current();
  self->site_file = file;
  self->site_line = line;
}

uint64_t tv_thread_number(void) { return (tvi_self.last_id >> 40) + 1; }

tvi_written tvi_written_by(const char *verb) {
  return (tvi_written){verb, tvi_self.site_file, tvi_self.site_line, tv_thread_number()};
}

tv_status tv_variable_last_write(tv_variable *v, tv_write_info *info) {
  if (!v) return tvi_null_status("variable_last_write", "variable");
  if (!info) return tvi_null_status("variable_last_write", "info");
  if (!tvi_options_fit("variable_last_write", info->size, sizeof *info)) return TV_EVALUE;
  tv_write_info now = {.size = info->size};
  const tv_status status = tvi_variable_lock_to_read("variable_last_write", v);
  if (status) return status;
  now.version = atomic_load_explicit(&v->version, memory_order_relaxed);
  now.verb = v->written.verb;
  now.file = v->written.file;
  now.line = v->written.line;
  now.thread = v->written.thread;
  tvi_variable_unlock_to_read(v);
  memcpy(info, &now, info->size);
  return TV_OK;
}

bool tvi_history_mutated(const char *who, const char *op, tv_variable *v, uint64_t version) {
  tv_write_info now = TV_WRITE_INFO;
  char site[200] = "";
  if (tv_variable_last_write(v, &now)) return false;
  if (now.file) snprintf(site, sizeof site, " at %s:%d", now.file, now.line);
  return tvi_fail(TV_EMUTATED,
                  "%s: %s needs Variable '%s' as read at version %llu, but it is at version %llu: "
                  "written by %s%s, on thread %llu",
                  who, op, tv_variable_name(v), (unsigned long long)version,
                  (unsigned long long)now.version, now.verb, site, (unsigned long long)now.thread);
}

/* What was written ------------------------------------------------------------------------------
 */

tv_tensor *tvi_history_push(tv_variable *v, tv_tensor *old, uint64_t version) {
  tv_tensor **const at = &v->past[version % (uint64_t)v->history];
  tv_tensor *const evicted = *at;
  *at = old;
  if (v->n_past < v->history) v->n_past++;
  return evicted;
}

/* With the lock held: the head of a version, or NULL with TV_EINDEX. */
static tv_tensor *find(const char *who, const tv_variable *v, uint64_t version) {
  const uint64_t now = atomic_load_explicit(&v->version, memory_order_relaxed);
  const uint64_t oldest = now - (uint64_t)v->n_past;
  if (version == now) return v->value;
  if (version >= oldest && version < now) return v->past[version % (uint64_t)v->history];
  if (!v->history)
    return tvi_fail(TV_EINDEX,
                    "%s: Variable '%s' has version %llu alone, not %llu: it keeps no history", who,
                    v->name, (unsigned long long)now, (unsigned long long)version);
  return tvi_fail(TV_EINDEX, "%s: Variable '%s' has versions %llu to %llu, not %llu", who, v->name,
                  (unsigned long long)oldest, (unsigned long long)now, (unsigned long long)version);
}

uint64_t tv_variable_oldest(tv_variable *v) {
  if (!v || tvi_variable_lock_to_read("variable_oldest", v)) return 0;
  const uint64_t oldest =
      atomic_load_explicit(&v->version, memory_order_relaxed) - (uint64_t)v->n_past;
  tvi_variable_unlock_to_read(v);
  return oldest;
}

tv_tensor *tv_variable_at(tv_variable *v, uint64_t version) {
  if (!v) return tvi_null("variable_at", "variable");
  if (!tvi_scope_is_open("variable_at")) return NULL;
  tv_tensor *snapshot = NULL;
  if (tvi_self.reads && tvi_reads_again(v, &snapshot)) return snapshot;
  if (tvi_variable_lock_to_read("variable_at", v)) return NULL;
  tv_tensor *const head = find("variable_at", v, version);
  if (head && head == v->value && v->mapping == TVI_MAPPED_EXCLUSIVELY)
    tvi_fail(TV_EBUSY, "variable_at: Variable '%s' is mapped exclusively", v->name);
  else if (head)
    snapshot = tvi_tensor_alias(head);
  tvi_variable_unlock_to_read(v);
  return tvi_variable_was_read(v, version, tvi_scope_own(snapshot));
}

/* Not constrained again: it was when it was written, and is to be the same bits. */
static bool restore(tvi_writing *w, uint64_t version) {
  if (tvi_variable_writable(w->who, w->v)) return false;
  tv_tensor *const head = find(w->who, w->v, version);
  tv_tensor *const fresh = head ? tvi_tensor_alias(head) : NULL;
  if (!fresh) return false;
  w->old = tvi_variable_commit(w->v, fresh, w->who, NULL);
  return true;
}

tv_status tv_variable_restore(tv_variable *variable, uint64_t version) {
  tvi_writing w;
  const tv_status status = tvi_writing_begin(&w, "variable_restore", variable);
  if (status) return status;
  return tvi_writing_end(&w, restore(&w, version));
}
