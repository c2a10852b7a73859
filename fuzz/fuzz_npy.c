/* SPDX-License-Identifier: MIT
 * .npy files: from memory, a file, two kinds of maps, and a pipe. */
#include <unistd.h>

#include "fuzz.h"

static outcome by_memory(const uint8_t *data, size_t n, const tv_npy_options *options) {
  uint32_t digest = 0;
  fuzz_way way;
  fuzz_begin(&way);
  outcome_add(&digest, "", tv_npy_read_memory(data, (int64_t)n, options));
  return fuzz_end(&way, digest);
}

static outcome by_path(const char *path, tv_npy_map map) {
  const tv_npy_options o = outcome_mapped(map);
  uint32_t digest = 0;
  fuzz_way way;
  fuzz_begin(&way);
  outcome_add(&digest, "", tv_npy_load(path, &o));
  return fuzz_end(&way, digest);
}

/* Of at most what a pipe holds at once. */
static outcome by_pipe(const uint8_t *data, size_t n) {
  int ends[2];
  uint32_t digest = 0;
  fuzz_way way;
  if (pipe(ends) || write(ends[1], data, n) != (ssize_t)n) abort();
  close(ends[1]);
  fuzz_begin(&way);
  outcome_add(&digest, "", tv_npy_read_fd(ends[0], "pipe", NULL));
  close(ends[0]);
  return fuzz_end(&way, digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  const outcome memory = by_memory(data, n, NULL);
  fuzz_check_refusal(&memory);
  tv_npy_options o = TV_NPY_OPTIONS;
  o.void2_is_bf16 = true;
  const outcome with_bf16 = by_memory(data, n, &o);
  fuzz_check_refusal(&with_bf16);
  HOLDS_TRUE(memory.status || outcome_is_same(&memory, &with_bf16));

  const char *const path = fuzz_file(data, n);
  tv_npy_layout layout = TV_NPY_LAYOUT;
  fuzz_way way;
  fuzz_begin(&way);
  tv_npy_info(path, NULL, &layout);
  const outcome info = fuzz_end(&way, 0);
  fuzz_check_refusal(&info);
  HOLDS_TRUE(memory.status || !info.status); /* a header may be fine and a bool not */
  HOLDS_TRUE(info.status || layout.offset + layout.bytes <= (int64_t)n);
  for (int map = TV_NPY_COPY; map <= TV_NPY_MAP_WRITABLE; map++) {
    const outcome file = by_path(path, (tv_npy_map)map);
    fuzz_check_refusal(&file);
    HOLDS_TRUE(outcome_is_same(&memory, &file));
  }
  if (n > 0 && n < 60000) {
    const outcome stream = by_pipe(data, n);
    fuzz_check_refusal(&stream);
    HOLDS_TRUE(outcome_is_same(&memory, &stream));
  }
  return 0;
}
