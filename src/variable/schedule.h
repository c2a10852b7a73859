/* SPDX-License-Identifier: MIT
 * Schedules inside the library. */
#ifndef TVI_SCHEDULE_H
#define TVI_SCHEDULE_H

#include <tensorvar/schedule.h>

/* A copy that holds its boundaries and rates too, to be freed as one block by tvi_free. NULL with
 * TV_EVALUE, TV_ENOMEM. */
tv_schedule *tvi_schedule_copy(const char *who, const tv_schedule *schedule);

/* The rate after so many steps of a schedule that was found to be one. TV_EVALUE: of a callback. */
tv_status tvi_schedule_rate(const char *who, const tv_schedule *schedule, int64_t steps,
                            double *rate);

#endif
