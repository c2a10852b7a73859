/* SPDX-License-Identifier: MIT
 * .npz files: each member by copy and by map, all together, and their checksums.
 *
 * Plain mutation hardly ever gets past a checksum, nor past a directory that must end where the end
 * record begins. So most mutants are mended here and there: places, counts and checksums of stored
 * members. */
#include "fuzz.h"

/* One member, by copy or map. */
static outcome read_member(tv_npz *npz, const char *name, tv_npy_map map) {
  const tv_npy_options o = outcome_mapped(map);
  uint32_t digest = 0;
  fuzz_way way;
  fuzz_begin(&way);
  outcome_add(&digest, name, tv_npz_read(npz, name, &o));
  const outcome out = fuzz_end(&way, digest);
  fuzz_check_refusal(&out);
  return out;
}

/* Whether a member can be read. */
static bool try_member(tv_npz *npz, const char *name) {
  HOLDS_TRUE(tv_npz_has(npz, name));
  const outcome copied = read_member(npz, name, TV_NPY_COPY);
  const outcome mapped = read_member(npz, name, TV_NPY_MAP_WRITABLE);
  /* A map compares no checksum, and is the same otherwise. */
  if (copied.status)
    HOLDS_TRUE(mapped.status || strstr(copied.text, "CRC-32"));
  else
    HOLDS_TRUE(outcome_is_same(&copied, &mapped));
  tv_npy_layout layout = TV_NPY_LAYOUT;
  fuzz_way way;
  fuzz_begin(&way);
  tv_npz_info(npz, name, NULL, &layout);
  const outcome info = fuzz_end(&way, 0);
  fuzz_check_refusal(&info);
  HOLDS_TRUE(copied.status || !info.status);
  return !copied.status;
}

static void try_archive(tv_npz *npz) {
  enum { MOST = 64 };
  const int64_t count = tv_npz_count(npz);
  int64_t n_read = 0;
  for (int64_t i = 0; i < count; i++) n_read += try_member(npz, tv_npz_name(npz, i));
  fuzz_way way;
  fuzz_begin(&way);
  tv_npz_verify(npz);
  const outcome verified = fuzz_end(&way, 0);
  fuzz_check_refusal(&verified);
  HOLDS_TRUE(n_read < count || !verified.status); /* what has been read has its checksum */
  if (count > MOST) return;
  tv_tensor *all[MOST];
  fuzz_begin(&way);
  HOLDS_TRUE((tv_npz_read_all(npz, NULL, all) == TV_OK) == (n_read == count));
  fuzz_end(&way, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  const char *const path = fuzz_file(data, n);
  fuzz_way way;
  fuzz_begin(&way);
  tv_npz *const npz = tv_npz_open(path, NULL);
  const outcome opened = outcome_end(0);
  fuzz_check_refusal(&opened);
  HOLDS_TRUE((npz == NULL) == (opened.status != TV_OK));
  if (npz) try_archive(npz);
  tv_npz_release(npz);
  fuzz_end(&way, 0);
  return 0;
}

#ifdef TV_FUZZ

enum { LOCAL = 30, ENTRY = 46, END = 22, MOST_MEMBERS = 64 };

static uint32_t get(const uint8_t *at, int bytes) {
  uint32_t x = 0;
  for (int i = bytes - 1; i >= 0; i--) x = x << 8 | at[i];
  return x;
}
static void put(uint8_t *at, size_t x, int bytes) {
  for (int i = 0; i < bytes; i++) at[i] = (uint8_t)(x >> 8 * i);
}

/* Places of the signature PK\a\b with so many bytes behind it; how many. */
static size_t find(const uint8_t *data, size_t n, int third, size_t bytes, size_t *places) {
  size_t found = 0;
  for (size_t at = 0; n >= bytes && at <= n - bytes && found < MOST_MEMBERS; at++) {
    const uint8_t *const p = data + at;
    if (p[0] == 'P' && p[1] == 'K' && p[2] == third && p[3] == third + 1) places[found++] = at;
  }
  return found;
}

/* Each kind of mending is left out by a bit of `leave`. */
static void mend(uint8_t *data, size_t n, unsigned leave) {
  size_t locals[MOST_MEMBERS], entries[MOST_MEMBERS], ends[MOST_MEMBERS];
  const size_t n_locals = find(data, n, 3, LOCAL, locals);
  const size_t n_entries = find(data, n, 1, ENTRY, entries);
  const size_t n_ends = find(data, n, 5, END, ends);
  for (size_t i = 0; i < n_entries && i < n_locals; i++) {
    uint8_t *const entry = data + entries[i];
    const uint8_t *const local = data + locals[i];
    const size_t begin = locals[i] + LOCAL + get(local + 26, 2) + get(local + 28, 2);
    const size_t bytes = get(entry + 20, 4);
    if (!(leave & 1)) put(entry + 42, locals[i], 4);
    if (!(leave & 2) && !get(entry + 10, 2) && begin <= n && bytes <= n - begin)
      put(entry + 16, tvi_crc32(0, data + begin, (int64_t)bytes), 4);
  }
  if (!n_ends) return;
  uint8_t *const end = data + ends[n_ends - 1];
  const size_t first = n_entries ? entries[0] : ends[n_ends - 1];
  if (!(leave & 4)) put(end + 8, n_entries, 2);
  if (!(leave & 4)) put(end + 10, n_entries, 2);
  if (!(leave & 8) && first <= ends[n_ends - 1]) {
    put(end + 12, ends[n_ends - 1] - first, 4);
    put(end + 16, first, 4);
  }
  if (!(leave & 16)) put(end + 20, n - ends[n_ends - 1] - END, 2);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned seed) {
  n = LLVMFuzzerMutate(data, n, most);
  if (seed % 4) mend(data, n, seed >> 8 & seed >> 16); /* each left out one time in four */
  return n;
}

#endif
