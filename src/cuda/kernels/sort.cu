/* SPDX-License-Identifier: MIT
 * argsort_u64: a stable radix sort, least significant digit first, of 8 bits each.
 *
 *   sort_probe, sort_plan  which digits all keys share: these take no pass. The first one always
 *                          takes one, so that there is a pass to write the result.
 *   sort_count             how often each digit occurs in each tile
 *   sort_scan              exclusive sums of these along the tiles, a block to a digit
 *   sort_move              keys and positions to their places, by way of shared memory
 *
 * Keys of one tile are sorted by one block, sort_small.
 *
 * Nothing depends on the order in which threads run: a rank is the number of equal digits in
 * earlier warps, rounds and lanes. P holds positions and counts: uint32 for fewer than 2^32 keys.
 */
#include "fold.h"

constexpr int threads = TVI_SORT_THREADS, warps = threads / 32, digits = TVI_SORT_DIGITS;
constexpr int per_warp = TVI_SORT_TILE / warps;

/* Bits that any thread has; in the first thread only. Assumes: `shared` [warps]. */
TVI_INLINE uint64_t bits_of_block(uint64_t bits, uint64_t *shared) {
  for (unsigned lane = 16; lane; lane /= 2) bits |= tvi_exchange(bits, lane);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = bits;
  __syncthreads();
  if (threadIdx.x == 0)
    for (int warp = 1; warp < warps; warp++) bits |= shared[warp];
  return bits;
}

TV_KERNEL_OF(threads, sort_probe, tvi_sort_job job) {
  TV_SHARED(uint64_t, shared, warps);
  const uint64_t first = job.keys[0];
  uint64_t bits = 0;
  const int64_t step = (int64_t)gridDim.x * threads;
  for (int64_t i = (int64_t)blockIdx.x * threads + threadIdx.x; i < job.n; i += step)
    bits |= job.keys[i] ^ first;
  bits = bits_of_block(bits, shared);
  if (threadIdx.x == 0) job.probes[blockIdx.x] = bits;
}

/* One block. */
TV_KERNEL_OF(threads, sort_plan, tvi_sort_job job) {
  TV_SHARED(uint64_t, shared, warps);
  uint64_t bits = 0xff;
  for (int i = threadIdx.x; i < job.probe_blocks; i += threads) bits |= job.probes[i];
  bits = bits_of_block(bits, shared);
  if (threadIdx.x != 0) return;
  int source = -1, last = 0;
  for (int pass = 0; pass < TVI_SORT_PASSES; pass++) {
    job.plan->is_active[pass] = (bits >> 8 * pass & 0xff) != 0;
    job.plan->is_last[pass] = 0;
    job.plan->source[pass] = source;
    if (!job.plan->is_active[pass]) continue;
    source = source == 0;
    last = pass;
  }
  job.plan->is_last[last] = 1;
}

TVI_INLINE unsigned digit_of(const tvi_sort_job &job, uint64_t key) {
  return (unsigned)(key >> 8 * job.pass) & 0xff;
}
TVI_INLINE const uint64_t *keys_of(const tvi_sort_job &job) {
  const int source = job.plan->source[job.pass];
  return source < 0 ? job.keys : source == 0 ? job.sorted[0] : job.sorted[1];
}

template <class P>
TVI_INLINE void count(const tvi_sort_job &job) {
  TV_SHARED(unsigned, counts, digits);
  if (!job.plan->is_active[job.pass]) return;
  const uint64_t *const keys = keys_of(job);
  const int64_t first = (int64_t)blockIdx.x * TVI_SORT_TILE;
  counts[threadIdx.x] = 0;
  __syncthreads();
  TVI_UNROLLED_BY(4)
  for (int i = 0; i < TVI_SORT_ROUNDS; i++) {
    const int64_t at = first + i * threads + threadIdx.x;
    if (at < job.n) atomicAdd(&counts[digit_of(job, keys[at])], 1u);
  }
  __syncthreads();
  ((P *)job.counts)[threadIdx.x * job.tiles + blockIdx.x] = counts[threadIdx.x];
}

/* The sum over all threads before this one; *total is that of the block. Assumes: 8 warps, and a
 * barrier between two uses of `shared`, [8]. */
template <class P>
TVI_INLINE P sum_before(P x, P *shared, P *total) {
  const unsigned lane = threadIdx.x % 32;
  P sum = x;
  for (unsigned step = 1; step < 32; step *= 2) {
    const P other = (P)__shfl_up_sync(tvi_all_lanes, sum, step);
    if (lane >= step) sum += other;
  }
  if (lane == 31) shared[threadIdx.x / 32] = sum;
  __syncthreads();
  P before = 0, all = 0;
  for (unsigned warp = 0; warp < warps; warp++) {
    if (warp < threadIdx.x / 32) before += shared[warp];
    all += shared[warp];
  }
  *total = all;
  return before + sum - x;
}

template <class P>
TVI_INLINE void scan(const tvi_sort_job &job) {
  constexpr int each = 8; /* tiles a thread takes at a time */
  TV_SHARED(P, shared, warps);
  if (!job.plan->is_active[job.pass]) return;
  P *const counts = (P *)job.counts + blockIdx.x * job.tiles;
  P before = 0;
  for (int64_t first = 0; first < job.tiles; first += threads * each) {
    const int64_t at = first + (int64_t)threadIdx.x * each;
    P x[each], sum = 0, total;
    TVI_UNROLLED
    for (int i = 0; i < each; i++) x[i] = at + i < job.tiles ? counts[at + i] : (P)0;
    TVI_UNROLLED
    for (int i = 0; i < each; i++) sum += x[i];
    sum = before + sum_before(sum, shared, &total);
    TVI_UNROLLED
    for (int i = 0; i < each; i++) {
      if (at + i < job.tiles) counts[at + i] = sum;
      sum += x[i];
    }
    before += total;
    __syncthreads();
  }
  if (threadIdx.x == 0) ((P *)job.totals)[blockIdx.x] = before;
}

/* Lanes whose digit is this one's, among those of `valid`. */
TVI_INLINE unsigned peers_of(unsigned digit, unsigned valid) {
  unsigned peers = valid;
  for (int bit = 0; bit < 8; bit++) {
    const unsigned votes = __ballot_sync(tvi_all_lanes, digit >> bit & 1);
    peers &= digit >> bit & 1 ? votes : ~votes;
  }
  return peers;
}

/* Element i of a thread: those of a warp follow one another, 32 at a time. */
TVI_INLINE int place_of(int i) {
  return (int)(threadIdx.x / 32) * per_warp + i * 32 + (int)(threadIdx.x % 32);
}

/* The places that n keys of a tile take in it, sorted by a digit. *start is where those of digit
 * threadIdx.x begin. `ranks` [warps, digits] and `starts` [warps] are shared, and free again behind
 * the next barrier. */
TVI_INLINE void rank_tile(const tvi_sort_job &job, const uint64_t *key, int n, unsigned *ranks,
                          unsigned *starts, unsigned *rank, unsigned *start) {
  const unsigned lane = threadIdx.x % 32, below = (1u << lane) - 1, d = threadIdx.x;
  unsigned *const counts = ranks + threadIdx.x / 32 * digits;
  for (int i = 0; i < warps; i++) ranks[i * digits + d] = 0;
  __syncthreads();
  TVI_UNROLLED
  for (int i = 0; i < TVI_SORT_ROUNDS; i++) {
    const int at = place_of(i);
    if (at - (int)lane >= n) continue; /* for the whole warp */
    const unsigned digit = digit_of(job, key[i]);
    const unsigned peers = peers_of(digit, __ballot_sync(tvi_all_lanes, at < n));
    if (at < n) rank[i] = counts[digit] + __popc(peers & below);
    __syncwarp();
    if (at < n && (peers & below) == 0) counts[digit] += __popc(peers);
    __syncwarp();
  }
  __syncthreads();
  unsigned in_tile = 0, all;
  for (int i = 0; i < warps; i++) {
    const unsigned count = ranks[i * digits + d];
    ranks[i * digits + d] = in_tile;
    in_tile += count;
  }
  *start = sum_before(in_tile, starts, &all);
  for (int i = 0; i < warps; i++) ranks[i * digits + d] += *start;
  __syncthreads();
  TVI_UNROLLED
  for (int i = 0; i < TVI_SORT_ROUNDS; i++)
    if (place_of(i) < n) rank[i] += counts[digit_of(job, key[i])];
}

template <class P>
TVI_INLINE void move(const tvi_sort_job &job) {
  TV_SHARED(uint64_t, staged, TVI_SORT_TILE); /* keys, then positions */
  TV_SHARED(unsigned, ranks, warps *digits);
  TV_SHARED(P, bases, digits); /* where a digit's keys go, less their places in the tile */
  TV_SHARED(P, sums, warps);
  TV_SHARED(unsigned, starts, warps);
  if (!job.plan->is_active[job.pass]) return;
  const int source = job.plan->source[job.pass];
  const bool is_last = job.plan->is_last[job.pass];
  const uint64_t *const keys = keys_of(job);
  const P *const from = (const P *)(source == 0 ? job.positions[0] : job.positions[1]);
  uint64_t *const sorted = source == 0 ? job.sorted[1] : job.sorted[0];
  P *const sorted_positions = (P *)(source == 0 ? job.positions[1] : job.positions[0]);
  const int64_t tile = (int64_t)blockIdx.x * TVI_SORT_TILE, rest = job.n - tile;
  const int n = rest < TVI_SORT_TILE ? (int)rest : (int)TVI_SORT_TILE;

  uint64_t key[TVI_SORT_ROUNDS];
  unsigned rank[TVI_SORT_ROUNDS], start;
  TVI_UNROLLED
  for (int i = 0; i < TVI_SORT_ROUNDS; i++) key[i] = place_of(i) < n ? keys[tile + place_of(i)] : 0;
  rank_tile(job, key, n, ranks, starts, rank, &start);
  const unsigned d = threadIdx.x;
  P total;
  const P base = sum_before(((const P *)job.totals)[d], sums, &total);
  bases[d] = base + ((const P *)job.counts)[d * job.tiles + blockIdx.x] - (P)start;
  TVI_UNROLLED
  for (int i = 0; i < TVI_SORT_ROUNDS; i++)
    if (place_of(i) < n) staged[rank[i]] = key[i];
  __syncthreads();
  P to[TVI_SORT_ROUNDS];
  TVI_UNROLLED
  for (int i = 0; i < TVI_SORT_ROUNDS; i++) {
    const int at = i * threads + threadIdx.x;
    if (at >= n) continue;
    const uint64_t x = staged[at];
    to[i] = bases[digit_of(job, x)] + (P)at;
    if (!is_last) sorted[to[i]] = x;
  }
  __syncthreads();
  P *const positions = (P *)staged;
  TVI_UNROLLED
  for (int i = 0; i < TVI_SORT_ROUNDS; i++) {
    const int at = place_of(i);
    if (at < n) positions[rank[i]] = source < 0 ? (P)(tile + at) : from[tile + at];
  }
  __syncthreads();
  TVI_UNROLLED
  for (int i = 0; i < TVI_SORT_ROUNDS; i++) {
    const int at = i * threads + threadIdx.x;
    if (at >= n) continue;
    if (is_last)
      job.out[to[i]] = (int64_t)positions[at];
    else
      sorted_positions[to[i]] = positions[at];
  }
}

/* All passes over one tile, by one block. */
TVI_INLINE void sort_tile(tvi_sort_job &job) {
  TV_SHARED(uint64_t, staged, TVI_SORT_TILE);
  TV_SHARED(unsigned, ranks, warps *digits);
  TV_SHARED(unsigned, starts, warps);
  const int n = (int)job.n;
  uint64_t key[TVI_SORT_ROUNDS], bits = 0;
  unsigned rank[TVI_SORT_ROUNDS], position[TVI_SORT_ROUNDS], start;
  TVI_UNROLLED
  for (int i = 0; i < TVI_SORT_ROUNDS; i++) {
    position[i] = (unsigned)place_of(i);
    key[i] = place_of(i) < n ? job.keys[place_of(i)] : job.keys[0];
    bits |= key[i] ^ job.keys[0];
  }
  for (unsigned lane = 16; lane; lane /= 2) bits |= tvi_exchange(bits, lane);
  if (threadIdx.x % 32 == 0) staged[threadIdx.x / 32] = bits;
  __syncthreads();
  for (int warp = 0; warp < warps; warp++) bits |= staged[warp];
  for (job.pass = 0; job.pass < TVI_SORT_PASSES; job.pass++) {
    if ((bits >> 8 * job.pass & 0xff) == 0) continue;
    rank_tile(job, key, n, ranks, starts, rank, &start); /* behind its barriers staged is free */
    TVI_UNROLLED
    for (int i = 0; i < TVI_SORT_ROUNDS; i++)
      if (place_of(i) < n) staged[rank[i]] = key[i];
    __syncthreads();
    TVI_UNROLLED
    for (int i = 0; i < TVI_SORT_ROUNDS; i++)
      if (place_of(i) < n) key[i] = staged[place_of(i)];
    __syncthreads();
    TVI_UNROLLED
    for (int i = 0; i < TVI_SORT_ROUNDS; i++)
      if (place_of(i) < n) staged[rank[i]] = position[i];
    __syncthreads();
    TVI_UNROLLED
    for (int i = 0; i < TVI_SORT_ROUNDS; i++)
      if (place_of(i) < n) position[i] = (unsigned)staged[place_of(i)];
  }
  TVI_UNROLLED
  for (int i = 0; i < TVI_SORT_ROUNDS; i++)
    if (place_of(i) < n) job.out[place_of(i)] = position[i];
}

TV_KERNEL_OF(threads, sort_small, tvi_sort_job job) { sort_tile(job); }

#define KERNELS(tag, P)                                                        \
  TV_KERNEL_OF(threads, sort_count_##tag, tvi_sort_job job) { count<P>(job); } \
  TV_KERNEL_OF(threads, sort_scan_##tag, tvi_sort_job job) { scan<P>(job); }   \
  TV_KERNEL_OF(threads, sort_move_##tag, tvi_sort_job job) { move<P>(job); }
KERNELS(u32, uint32_t)
KERNELS(u64, uint64_t)
