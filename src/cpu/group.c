/* SPDX-License-Identifier: MIT
 * Limits of control groups, version 2 and 1.
 *
 * A line of /proc/self/cgroup names a group: "0::/path" of version 2, "4:cpu,cpuacct:/path" of a
 * controller of version 1. Limits of all groups above hold too, so each folder from the path up to
 * the root is asked, and the least counts. In a container the path may be that of the outside;
 * folders that are not there are passed over, and the root is the container's own. */
#include "group.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { PATH_ROOM = 1024 };

/* A whole number from *text on, which moves behind it; -1 if there is none, as in "max". */
static int64_t number(const char **text) {
  int64_t n = -1;
  for (; **text >= '0' && **text <= '9' && n < INT64_MAX / 100; ++*text)
    n = (n < 0 ? 0 : n) * 10 + (**text - '0');
  return n;
}

static bool read_line(const char *folder, const char *file, char *line, int room) {
  char path[PATH_ROOM];
  if (snprintf(path, sizeof path, "%s/%s", folder, file) >= (int)sizeof path) return false;
  FILE *const opened = fopen(path, "re");
  if (!opened) return false;
  const bool is_read = fgets(line, room, opened) != NULL;
  fclose(opened);
  return is_read;
}

static int64_t quotient(int64_t quota, int64_t period) {
  return quota > 0 && period > 0 ? (quota + period - 1) / period : 0;
}

static int64_t cpus_v2(const char *folder) {
  char line[64];
  if (!read_line(folder, "cpu.max", line, sizeof line)) return 0;
  const char *at = line;
  const int64_t quota = number(&at); /* "150000 100000", or "max 100000": no limit */
  at += *at == ' ';
  return quotient(quota, number(&at));
}

static int64_t cpus_v1(const char *folder) {
  char quota[64], period[64];
  if (!read_line(folder, "cpu.cfs_quota_us", quota, sizeof quota) || /* "-1": no limit */
      !read_line(folder, "cpu.cfs_period_us", period, sizeof period))
    return 0;
  const char *q = quota, *p = period;
  return quotient(number(&q), number(&p));
}

static int64_t memory_of(const char *folder, const char *file) {
  char line[64];
  if (!read_line(folder, file, line, sizeof line)) return 0;
  const char *at = line;
  const int64_t bytes = number(&at);
  /* Version 1 says "no limit" by a number near 2^63. */
  return bytes > 0 && bytes < INT64_C(1) << 56 ? bytes : 0;
}

static int64_t memory_v2(const char *folder) { return memory_of(folder, "memory.max"); }
static int64_t memory_v1(const char *folder) { return memory_of(folder, "memory.limit_in_bytes"); }

/* The least limit from root/path up to root; 0: none. */
static int64_t least_above(const char *root, const char *path, int64_t (*limit)(const char *)) {
  char folder[PATH_ROOM];
  const size_t top = strlen(root);
  if (snprintf(folder, sizeof folder, "%s%s", root, path) >= (int)sizeof folder) return 0;
  int64_t least = 0;
  for (;;) {
    const int64_t found = limit(folder);
    if (found && (!least || found < least)) least = found;
    char *const slash = strrchr(folder + top, '/');
    if (!slash) return least;
    *slash = '\0';
  }
}

/* Whether a list such as "cpu,cpuacct" has the word. */
static bool has_word(const char *list, const char *word) {
  const size_t length = strlen(word);
  for (const char *at = list; (at = strstr(at, word)); at += length)
    if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0')) return true;
  return false;
}

static int64_t least_of(const char *mounted, const char *own, const char *controller,
                        int64_t (*v2)(const char *), int64_t (*v1)(const char *)) {
  int64_t least = least_above(mounted, "", v2);
  FILE *const file = fopen(own, "re");
  if (!file) return least;
  char line[PATH_ROOM], root[PATH_ROOM];
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = '\0';
    char *const list = strchr(line, ':') ? strchr(line, ':') + 1 : NULL;
    char *const path = list && strchr(list, ':') ? strchr(list, ':') : NULL;
    if (!path) continue;
    *path = '\0';
    int64_t found = 0;
    if (!*list) {
      found = least_above(mounted, path + 1, v2);
    } else if (has_word(list, controller)) {
      if (snprintf(root, sizeof root, "%s/%s", mounted, controller) < (int)sizeof root)
        found = least_above(root, path + 1, v1);
    }
    if (found && (!least || found < least)) least = found;
  }
  fclose(file);
  return least;
}

int64_t tvi_group_cpus(const char *mounted, const char *own) {
  return least_of(mounted, own, "cpu", cpus_v2, cpus_v1);
}

int64_t tvi_group_memory(const char *mounted, const char *own) {
  return least_of(mounted, own, "memory", memory_v2, memory_v1);
}
