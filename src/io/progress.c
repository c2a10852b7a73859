/* SPDX-License-Identifier: MIT */
/* Progress of long reads and writes: told at 0, in steps, and when all is done. */
#include "progress.h"

#include "status.h"

static tv_status stopped(const char *who, int64_t done, int64_t total) {
  return tvi_fail_status(TV_ECANCELED, "%s: stopped by the caller after %lld of %lld bytes", who,
                         (long long)done, (long long)total);
}

static tv_status tell(tvi_progress *of, const char *who) {
  of->told = of->done;
  return of->tell(of->user, of->done, of->total) ? TV_OK : stopped(who, of->done, of->total);
}

tv_status tvi_progress_begin(tvi_progress *of, const char *who, tv_progress function, void *user,
                             int64_t total) {
  *of = (tvi_progress){function, user, 0, total, 0};
  return function ? tell(of, who) : TV_OK;
}

tv_status tvi_progress_add(tvi_progress *of, const char *who, int64_t n) {
  of->done += n;
  if (!of->tell || of->done == of->told) return TV_OK;
  const bool is_due = of->done - of->told >= TVI_PROGRESS_STEP || of->done == of->total;
  return is_due ? tell(of, who) : TV_OK;
}

static bool tell_part(void *user, int64_t done, int64_t total) {
  tvi_progress_part *const part = user;
  (void)total;
  if (part->before + done == part->told) return true;
  part->told = part->before + done;
  return part->tell(part->user, part->told, part->total);
}

tv_status tvi_progress_share(tvi_progress_part *part, const char *who, tv_npy_options *options,
                             int64_t total) {
  *part = (tvi_progress_part){options->progress, options->progress_user, 0, -1, total};
  if (options->progress) options->progress = tell_part;
  options->progress_user = part;
  return tvi_progress_passed(part, who, 0);
}

tv_status tvi_progress_passed(tvi_progress_part *part, const char *who, int64_t n) {
  part->before += n;
  if (!part->tell || tell_part(part, 0, 0)) return TV_OK;
  return stopped(who, part->told, part->total);
}
