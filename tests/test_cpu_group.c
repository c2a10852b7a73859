/* SPDX-License-Identifier: MIT
 * Limits of control groups, read from made-up trees of both versions. */
#define _GNU_SOURCE /* nftw */
#include "cpu/group.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char root[64], list[128];

/* A file below the root, with the folders above it. */
static void put(const char *path, const char *text) {
  char whole[256];
  snprintf(whole, sizeof whole, "%s/%s", root, path);
  for (char *c = whole + 1; *c; c++)
    if (*c == '/') {
      *c = '\0';
      mkdir(whole, 0700);
      *c = '/';
    }
  FILE *const file = fopen(whole, "w");
  CHECK(file && fputs(text, file) >= 0);
  fclose(file);
}

static void begin(const char *groups) {
  snprintf(root, sizeof root, "/tmp/tv_group_XXXXXX");
  CHECK(mkdtemp(root));
  put("groups", groups);
  snprintf(list, sizeof list, "%s/groups", root);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at) {
  (void)info, (void)type, (void)at;
  return remove(path);
}

static void end(void) { EQUAL(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0); }

TEST(version_2_is_read_up_to_the_root) {
  begin("0::/a/b/c\n");
  put("cpu.max", "max 100000\n");
  put("a/cpu.max", "250000 100000\n");
  put("a/b/cpu.max", "350000 100000\n");
  put("a/b/c/cpu.max", "max 100000\n");
  put("a/memory.max", "max\n");
  put("a/b/c/memory.max", "1073741824\n");
  EQUAL(tvi_group_cpus(root, list), 3);
  EQUAL(tvi_group_memory(root, list), 1 << 30);
  end();
}

TEST(version_1_is_read_per_controller) {
  begin("5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n3:cpuset:/docker/x\n");
  put("cpu/cpu.cfs_quota_us", "-1\n");
  put("cpu/cpu.cfs_period_us", "100000\n");
  put("cpu/docker/x/cpu.cfs_quota_us", "200000\n");
  put("cpu/docker/x/cpu.cfs_period_us", "100000\n");
  put("memory/memory.limit_in_bytes", "9223372036854771712\n"); /* none */
  put("memory/docker/memory.limit_in_bytes", "536870912\n");
  EQUAL(tvi_group_cpus(root, list), 2);
  EQUAL(tvi_group_memory(root, list), 1 << 29);
  end();
}

/* Seen from inside a container, the path of its group is that of the outside. */
TEST(the_root_counts_where_the_path_is_not_there) {
  begin("0::/../outside\n");
  put("cpu.max", "50000 100000\n");
  put("memory.max", "4096\n");
  EQUAL(tvi_group_cpus(root, list), 1);
  EQUAL(tvi_group_memory(root, list), 4096);
  end();
}

TEST(no_groups_are_no_limit) {
  begin("junk\n::\n0:\n");
  EQUAL(tvi_group_cpus(root, list), 0);
  EQUAL(tvi_group_memory(root, list), 0);
  EQUAL(tvi_group_cpus("/nonexistent", "/nonexistent"), 0);
  put("cpu.max", "junk\n");
  put("memory.max", "99999999999999999999999999\n");
  EQUAL(tvi_group_cpus(root, list), 0);
  EQUAL(tvi_group_memory(root, list), 0);
  end();
}

TEST_MAIN("cpu_group", CASE(version_2_is_read_up_to_the_root),
          CASE(version_1_is_read_per_controller), CASE(the_root_counts_where_the_path_is_not_there),
          CASE(no_groups_are_no_limit))
