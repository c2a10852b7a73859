/* SPDX-License-Identifier: MIT
 * What the fuzz targets share. A target is LLVMFuzzerTestOneInput over one kind of input, which it
 * reads in every way there is; HOLDS_TRUE says what must hold whatever the input. libFuzzer runs
 * targets where clang has it (./dev fuzz), replay.c runs them over files anywhere. */
#ifndef TV_FUZZ_FUZZ_H
#define TV_FUZZ_FUZZ_H

#include "outcome.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Not an assert, which a release would leave out. */
#define HOLDS_TRUE(condition) \
  ((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #condition, tv_error_text()))
void fuzz_fail(const char *file, int line, const char *what, const char *text)
    __attribute__((noreturn));

/* A file of these bytes; the path is valid until the next call, which replaces the bytes. */
const char *fuzz_file(const uint8_t *data, size_t n);

/* Around each way of reading: a scope of its own, after which no handle is left. */
typedef struct {
  tv_scope scope;
  int64_t handles;
} fuzz_way;
void fuzz_begin(fuzz_way *way);
outcome fuzz_end(fuzz_way *way, uint32_t digest);

/* That a failure is one of the file's, with a text that names the cause. */
void fuzz_check_refusal(const outcome *out);

#ifdef TV_FUZZ
/* libFuzzer's own, for targets that mutate by themselves. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned seed);
#endif

#endif
