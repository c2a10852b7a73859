/* SPDX-License-Identifier: MIT
 * What the control groups of this process allow it. */
#ifndef TVI_CPU_GROUP_H
#define TVI_CPU_GROUP_H

#include <stdint.h>

/* Processors that the quota pays for, rounded up; 0: no quota. `mounted` is where control groups
 * are ("/sys/fs/cgroup"), `own` the list of those of this process ("/proc/self/cgroup"). */
int64_t tvi_group_cpus(const char *mounted, const char *own);

/* Bytes of memory; 0: no limit. */
int64_t tvi_group_memory(const char *mounted, const char *own);

#endif
