/* SPDX-License-Identifier: MIT
 * safetensors files: each tensor by copy and by map, all together, and the metadata.
 *
 * The length of the header stands in front of it, so that most mutants would be refused for that
 * alone: they are mended. */
#include "fuzz.h"

static outcome read_tensor(tv_safetensors *file, const char *name, tv_npy_map map) {
  const tv_npy_options o = outcome_mapped(map);
  uint32_t digest = 0;
  fuzz_way way;
  fuzz_begin(&way);
  outcome_add(&digest, name, tv_safetensors_read(file, name, &o));
  const outcome out = fuzz_end(&way, digest);
  fuzz_check_refusal(&out);
  return out;
}

static void try_file(tv_safetensors *file, int64_t size) {
  enum { MOST = 64 };
  const int64_t count = tv_safetensors_count(file);
  int64_t n_read = 0, end = 0;
  for (int64_t i = 0; i < count; i++) {
    const char *const name = tv_safetensors_name(file, i);
    HOLDS_TRUE(tv_safetensors_has(file, name));
    tv_npy_layout layout = TV_NPY_LAYOUT;
    HOLDS_TRUE(tv_safetensors_info(file, name, &layout) == TV_OK);
    HOLDS_TRUE(i == 0 || layout.offset == end); /* without hole or overlap */
    end = layout.offset + layout.bytes;
    const outcome copied = read_tensor(file, name, TV_NPY_COPY);
    const outcome mapped = read_tensor(file, name, TV_NPY_MAP_WRITABLE);
    HOLDS_TRUE(outcome_is_same(&copied, &mapped));
    HOLDS_TRUE(!copied.status || layout.dtype == TV_BOOL); /* else any bytes will do */
    n_read += !copied.status;
  }
  HOLDS_TRUE(!count || end == size);
  for (int64_t i = 0; i < tv_safetensors_metadata_count(file); i++) {
    const char *const key = tv_safetensors_metadata_key(file, i);
    const char *const value = tv_safetensors_metadata_value(file, i);
    HOLDS_TRUE(key && value && tv_safetensors_metadata(file, key) == value);
  }
  if (count > MOST) return;
  tv_tensor *all[MOST];
  fuzz_way way;
  fuzz_begin(&way);
  HOLDS_TRUE((tv_safetensors_read_all(file, NULL, all) == TV_OK) == (n_read == count));
  fuzz_end(&way, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  const char *const path = fuzz_file(data, n);
  fuzz_way way;
  fuzz_begin(&way);
  tv_safetensors *const file = tv_safetensors_open(path);
  const outcome opened = outcome_end(0);
  fuzz_check_refusal(&opened);
  HOLDS_TRUE((file == NULL) == (opened.status != TV_OK));
  if (file) try_file(file, (int64_t)n);
  tv_safetensors_release(file);
  fuzz_end(&way, 0);
  return 0;
}

#ifdef TV_FUZZ

/* The header ends at the last brace, if there is one. */
static void mend(uint8_t *data, size_t n) {
  size_t end = n;
  while (end > 8 && data[end - 1] != '}') end--;
  if (end <= 8) return;
  for (size_t i = 0; i < 8; i++) data[i] = (uint8_t)((uint64_t)(end - 8) >> 8 * i);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned seed) {
  n = LLVMFuzzerMutate(data, n, most);
  if (seed % 4) mend(data, n);
  return n;
}

#endif
