/* SPDX-License-Identifier: MIT
 * Keys and draws. The cipher is in philox.h; what is made of its words is the backend's, laid out
 * as random.h says.
 *
 * A folded key's stream is block n of the key, encrypted once more: so it is none of the words that
 * the key itself draws. */
#include <tensorvar/random.h>

#include "device.h"
#include "philox.h"
#include "scope.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"
#include "thread.h"

tv_key tv_key_from_seed(uint64_t seed) { return (tv_key){.seed = seed, .stream = 0}; }

tv_key tv_key_fold(tv_key key, uint64_t n) {
  const tvi_philox_block block = tvi_philox_at(key.seed, key.stream, n);
  const tvi_philox_block again =
      tvi_philox(block.word[0], block.word[1], block.word[2], block.word[3], (uint32_t)key.seed,
                 (uint32_t)(key.seed >> 32));
  return (tv_key){.seed = key.seed, .stream = tvi_draw_u64(again.word[0], again.word[1])};
}

/* A new tensor of draws; the caller has the one count. */
static tv_tensor *drawn(const char *who, tv_distribution distribution, tv_key key, tv_dtype dtype,
                        int rank, const int64_t *shape) {
  tv_tensor *const y = tvi_tensor_new(who, tvi_self.device, dtype, rank, shape);
  if (!y || y->size == 0) return y;
  const tv_random job = {.distribution = distribution,
                         .dtype = dtype,
                         .key = key,
                         .first = 0,
                         .n = y->size,
                         .out = y->data};
  tvi_device *const on = tvi_device_at(tvi_self.device);
  if (TVI_CALL(on, random, who, dtype, &job, tvi_stream_now(tvi_self.device))) {
    tv_release(y);
    return NULL;
  }
  return y;
}

static tv_tensor *floats(const char *who, tv_distribution distribution, tv_key key, tv_dtype dtype,
                         int rank, const int64_t *shape) {
  if (!tvi_scope_is_open(who)) return NULL;
  if (!tvi_is_real_floating(dtype))
    return tvi_fail(TV_EDTYPE, "%s: draws real floating dtypes, not %s", who, tv_dtype_name(dtype));
  return tvi_scope_own(drawn(who, distribution, key, dtype, rank, shape));
}

tv_tensor *tv_random_uniform(tv_key key, tv_dtype dtype, int rank, const int64_t *shape) {
  return floats("random_uniform", TV_RANDOM_UNIFORM, key, dtype, rank, shape);
}

tv_tensor *tv_random_normal(tv_key key, tv_dtype dtype, int rank, const int64_t *shape) {
  return floats("random_normal", TV_RANDOM_NORMAL, key, dtype, rank, shape);
}

tv_tensor *tv_random_permutation(tv_key key, int64_t n) {
  const char *const who = "random_permutation";
  if (!tvi_scope_is_open(who)) return NULL;
  if (n < 0) return tvi_fail(TV_EVALUE, "%s: n is %lld", who, (long long)n);
  tv_tensor *const keys = drawn(who, TV_RANDOM_BITS, key, TV_U64, 1, &n);
  tv_tensor *y = keys ? tvi_tensor_new(who, tvi_self.device, TV_I64, 1, &n) : NULL;
  if (y && n) {
    tvi_device *const on = tvi_device_at(tvi_self.device);
    if (TVI_CALL(on, argsort_u64, who, TV_U64, (const uint64_t *)(const void *)keys->data, n,
                 (int64_t *)(void *)y->data, tvi_stream_now(tvi_self.device))) {
      tv_release(y);
      y = NULL;
    }
  }
  tv_release(keys);
  return tvi_scope_own(y);
}
