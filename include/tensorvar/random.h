/* SPDX-License-Identifier: MIT
 * Random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
 * 2011).
 *
 * A key gives the same numbers every time, on every device, for any number of threads, and element
 * i does not depend on the shape: to get others, fold the key. The 64-bit seed is the cipher's key,
 * the 64-bit stream words 2 and 3 of its counter, the block number words 0 and 1. Element i takes
 * word i mod 4 of block i / 4; 64-bit draws take two adjacent words of block i / 2, the first as
 * the low half. */
#ifndef TENSORVAR_RANDOM_H
#define TENSORVAR_RANDOM_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

/** A plain value: copy it, keep it, save it. The same key gives the same numbers. */
typedef struct tv_key {
  uint64_t seed, stream;
} tv_key;

/** The key of a seed, stream 0. */
TV_API tv_key tv_key_from_seed(uint64_t seed);

/** Another key, of the same seed: a stream drawn from the cipher by n. Folding by different numbers
 *  gives different streams but for a chance of 2^-64 a pair. */
TV_API tv_key tv_key_fold(tv_key key, uint64_t n);

/** Uniform in [0, 1): f32 (u >> 8) 2^-24, f64 ((a >> 5) 2^26 + (b >> 6)) 2^-53, f16 the top 11 and
 *  bf16 the top 8 bits of a word. The same key gives the same numbers. TV_EDTYPE unless real
 * floating. */
TV_API tv_tensor *tv_random_uniform(tv_key key, tv_dtype dtype, int rank, const int64_t *shape);

/** Normal, mean 0 and deviation 1, by Box and Muller (1958) on pairs of uniform numbers: f32, f16
 * and bf16 from a pair within a block, f64 from a pair of 64-bit draws. The same key gives the same
 *  numbers. TV_EDTYPE unless real floating. */
TV_API tv_tensor *tv_random_normal(tv_key key, tv_dtype dtype, int rank, const int64_t *shape);

/** The numbers 0 to n - 1 (int64) in random order: the stable ascending order of n 64-bit draws.
 *  The same key gives the same order. TV_EVALUE if n is negative. */
TV_API tv_tensor *tv_random_permutation(tv_key key, int64_t n);

TV_END_C
#endif
