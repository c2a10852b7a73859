/* SPDX-License-Identifier: MIT
 * The kernels of OpenBLAS (docs/adr/0012).
 *
 * A build for many processors takes its kernels by the model's number when it is opened, and the
 * slowest for numbers that it does not know. What a kernel needs is instructions, not a number: so
 * they are looked for here, and if OpenBLAS took a lesser class of kernels it is asked again, by
 * its own function, with another answer from getenv to OPENBLAS_CORETYPE. That answer is given to
 * this one library alone: its slot for getenv is pointed to a function here while it asks. */
#define _GNU_SOURCE /* dlinfo */
#include "openblas_core.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* What -march=haswell and -march=skylake-avx512 let a compiler use, by leaf of cpuid. */
enum {
  LEAF_1_ECX = 1 << 12 | 1 << 22 | 1 << 23 | 1 << 27 | 1 << 28 | 1 << 29,
  /* fma, movbe, popcnt, osxsave, avx, f16c */
  LEAF_7_EBX_AVX2 = 1 << 3 | 1 << 5 | 1 << 8,                /* bmi1, avx2, bmi2 */
  LEAF_7_EBX_AVX512 = 1 << 16 | 1 << 17 | 1 << 28 | 1 << 30, /* f, dq, cd, bw; vl is bit 31 */
  EXTENDED_ECX = 1 << 5,                                     /* lzcnt */
  STATE_AVX = 6,                                             /* of XCR0: xmm, ymm */
  STATE_AVX512 = 0xe6                                        /* and masks, zmm */
};

tvi_vectors tvi_vectors_here(void) {
  unsigned a, b, c, d, low, high;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & LEAF_1_ECX) != LEAF_1_ECX) return TVI_VECTORS_ANY;
  if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !(c & EXTENDED_ECX)) return TVI_VECTORS_ANY;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & LEAF_7_EBX_AVX2) != LEAF_7_EBX_AVX2)
    return TVI_VECTORS_ANY;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & STATE_AVX) != STATE_AVX) return TVI_VECTORS_ANY;
  const bool has_avx512 = (b & LEAF_7_EBX_AVX512) == LEAF_7_EBX_AVX512 && b >> 31 != 0;
  return has_avx512 && (low & STATE_AVX512) == STATE_AVX512 ? TVI_VECTORS_AVX512 : TVI_VECTORS_AVX2;
}
#else
tvi_vectors tvi_vectors_here(void) { return TVI_VECTORS_ANY; }
#endif

/* Kernels of a class are within some percent of each other, so inside one OpenBLAS knows best. */
static tvi_vectors class_of(const char *core) {
  static const char *const avx512[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
  static const char *const avx2[] = {"Haswell", "Zen"};
  for (size_t i = 0; i < sizeof avx512 / sizeof *avx512; i++)
    if (!strcasecmp(core, avx512[i])) return TVI_VECTORS_AVX512;
  for (size_t i = 0; i < sizeof avx2 / sizeof *avx2; i++)
    if (!strcasecmp(core, avx2[i])) return TVI_VECTORS_AVX2;
  return TVI_VECTORS_ANY;
}

/* Kernels that OpenBLAS had before this was written; of a name not among them we know nothing, and
 * leave it. */
static bool is_old(const char *core) {
  static const char *const old[] = {
      "Unknown",   "Katmai",       "Coppermine",  "Northwood",  "Prescott",    "Banias",
      "Atom",      "Core2",        "Penryn",      "Dunnington", "Nehalem",     "Athlon",
      "Opteron",   "Opteron_SSE3", "Barcelona",   "Nano",       "Sandybridge", "Bobcat",
      "Bulldozer", "Piledriver",   "Steamroller", "Excavator"};
  for (size_t i = 0; i < sizeof old / sizeof *old; i++)
    if (!strcasecmp(core, old[i])) return true;
  return class_of(core) != TVI_VECTORS_ANY;
}

const char *tvi_openblas_core_wanted(const char *core, tvi_vectors vectors) {
  if (!is_old(core) || class_of(core) >= vectors) return NULL;
  return vectors == TVI_VECTORS_AVX512 ? "SkylakeX" : "Haswell";
}

bool tvi_openblas_core_is_direct(const char *core) {
  return class_of(core) == TVI_VECTORS_AVX512; /* since 0.3.17 */
}

const char *tvi_openblas_core(void *handle) {
  void *const symbol = dlsym(handle, "openblas_get_corename");
  char *(*get_corename)(void) = NULL;
  if (!symbol) return "";
  memcpy(&get_corename, &symbol, sizeof symbol);
  return get_corename();
}

/* The answer ----------------------------------------------------------------------------------- */

static char answer[32]; /* while the slot points here; only the opening thread asks */

static char *answering_getenv(const char *name) {
  return strcmp(name, "OPENBLAS_CORETYPE") ? getenv(name) : answer;
}

/* As ELF64_R_SYM and ELF32_R_SYM of elf.h have it. */
enum { SYMBOL_SHIFT = sizeof(void *) == 8 ? 32 : 8 };

/* The place from which the library calls getenv, among its relocations. */
static void **slot_in(const struct link_map *map, const ElfW(Rela) * entries, size_t bytes,
                      const ElfW(Sym) * symbols, const char *strings) {
  for (size_t i = 0; i < bytes / sizeof *entries; i++) {
    const size_t symbol = (size_t)(entries[i].r_info >> SYMBOL_SHIFT);
    if (symbol && !strcmp(strings + symbols[symbol].st_name, "getenv"))
      return (void **)(uintptr_t)(map->l_addr + entries[i].r_offset);
  }
  return NULL;
}

static void **getenv_slot(const struct link_map *map) {
  const ElfW(Sym) *symbols = NULL;
  const char *strings = NULL;
  const ElfW(Rela) *calls = NULL, *data = NULL;
  size_t calls_bytes = 0, data_bytes = 0;
  bool has_addends = false;
  for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
    const void *const at = (const void *)(uintptr_t)d->d_un.d_ptr; /* glibc has relocated it */
    switch (d->d_tag) {
      case DT_SYMTAB:
        symbols = at;
        break;
      case DT_STRTAB:
        strings = at;
        break;
      case DT_JMPREL:
        calls = at;
        break;
      case DT_PLTRELSZ:
        calls_bytes = (size_t)d->d_un.d_val;
        break;
      case DT_RELA:
        data = at;
        break;
      case DT_RELASZ:
        data_bytes = (size_t)d->d_un.d_val;
        break;
      case DT_PLTREL:
        has_addends = d->d_un.d_val == DT_RELA;
        break;
      default:
        break;
    }
  }
  /* A loader that leaves addresses relative to the file is not the one this was written for. */
  if (!symbols || !strings || (uintptr_t)symbols < map->l_addr || (uintptr_t)strings < map->l_addr)
    return NULL;
  void **slot = NULL;
  if (calls && has_addends) slot = slot_in(map, calls, calls_bytes, symbols, strings);
  if (!slot && data) slot = slot_in(map, data, data_bytes, symbols, strings);
  return slot;
}

typedef struct sealed {
  uintptr_t base, slot;
  bool is_found;
} sealed;

/* Whether the slot is among what the loader made read-only. */
static int look_for_seal(struct dl_phdr_info *info, size_t bytes, void *context) {
  (void)bytes;
  sealed *const s = context;
  if (info->dlpi_addr != s->base) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO && s->slot >= start &&
        s->slot < start + info->dlpi_phdr[i].p_memsz)
      s->is_found = true;
  }
  return 1;
}

/* Asks again, with the answer. */
static void take(void *handle, const char *core) {
  struct link_map *map = NULL;
  void *const quit = dlsym(handle, "gotoblas_dynamic_quit");
  void *const init = dlsym(handle, "gotoblas_dynamic_init");
  if (sizeof(ElfW(Addr)) != 8 || !quit || !init || dlinfo(handle, RTLD_DI_LINKMAP, &map)) return;
  void **const slot = getenv_slot(map);
  if (!slot) return;
  void (*forget)(void) = NULL, (*ask)(void) = NULL;
  char *(*const other)(const char *) = answering_getenv;
  memcpy(&forget, &quit, sizeof quit);
  memcpy(&ask, &init, sizeof init);
  strncpy(answer, core, sizeof answer - 1);

  sealed seal = {map->l_addr, (uintptr_t)slot, false};
  dl_iterate_phdr(look_for_seal, &seal);
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  void *const start = (void *)((uintptr_t)slot & ~(page - 1));
  if (seal.is_found && mprotect(start, page, PROT_READ | PROT_WRITE)) return;
  void *const own = *slot;
  memcpy(slot, &other, sizeof other);
  forget();
  ask();
  *slot = own;
  if (seal.is_found) mprotect(start, page, PROT_READ);
}

void tvi_openblas_core_choose(void *handle) {
  const char *const chosen = getenv("OPENBLAS_CORETYPE");
  if (chosen && *chosen) return; /* the user's word, which OpenBLAS has heard */
  const char *const core = tvi_openblas_core_wanted(tvi_openblas_core(handle), tvi_vectors_here());
  if (!core) return;
  /* A build for fewer processors has no such kernels, and would end the process or take others. */
  const bool has_it = dlsym(handle, core[0] == 'S' ? "gotoblas_SKYLAKEX" : "gotoblas_HASWELL");
  if (has_it) take(handle, core);
}
