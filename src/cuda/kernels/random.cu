/* SPDX-License-Identifier: MIT
 * Random numbers: a thread takes a block of the cipher, four elements of up to 32 bits or two of
 * 64. philox.h and normal.h are the definition. */
#include "fold.h"
#include "normal.h"

/* What becomes of a block: `count` elements of type T. */
struct bits_u32_ {
  typedef uint32_t T;
  static constexpr int count = 4;
  static TVI_INLINE void make(const uint32_t *w, T *x) {
    for (int i = 0; i < 4; i++) x[i] = w[i];
  }
};
struct bits_u64_ {
  typedef uint64_t T;
  static constexpr int count = 2;
  static TVI_INLINE void make(const uint32_t *w, T *x) {
    for (int i = 0; i < 2; i++) x[i] = tvi_draw_u64(w[2 * i], w[2 * i + 1]);
  }
};
#define UNIFORM(tag, Stored, store)                                      \
  struct uniform_##tag##_ {                                              \
    typedef Stored T;                                                    \
    static constexpr int count = 4;                                      \
    static TVI_INLINE void make(const uint32_t *w, T *x) {               \
      for (int i = 0; i < 4; i++) x[i] = store(tvi_uniform_##tag(w[i])); \
    }                                                                    \
  };
UNIFORM(f32, float, )
UNIFORM(f16, uint16_t, tvi_f16_store)
UNIFORM(bf16, uint16_t, tvi_bf16_store)
struct uniform_f64_ {
  typedef double T;
  static constexpr int count = 2;
  static TVI_INLINE void make(const uint32_t *w, T *x) {
    for (int i = 0; i < 2; i++) x[i] = tvi_uniform_f64(w[2 * i], w[2 * i + 1]);
  }
};
#define NORMAL(tag, Stored, store)                         \
  struct normal_##tag##_ {                                 \
    typedef Stored T;                                      \
    static constexpr int count = 4;                        \
    static TVI_INLINE void make(const uint32_t *w, T *x) { \
      for (int i = 0; i < 4; i += 2) {                     \
        float first, second;                               \
        tvi_normal_f32(w[i], w[i + 1], &first, &second);   \
        x[i] = store(first);                               \
        x[i + 1] = store(second);                          \
      }                                                    \
    }                                                      \
  };
NORMAL(f32, float, )
NORMAL(f16, uint16_t, tvi_f16_store)
NORMAL(bf16, uint16_t, tvi_bf16_store)
struct normal_f64_ {
  typedef double T;
  static constexpr int count = 2;
  static TVI_INLINE void make(const uint32_t *w, T *x) {
    tvi_normal_f64(w[0], w[1], w[2], w[3], &x[0], &x[1]);
  }
};

template <class T, int count>
struct alignas(count * sizeof(T)) Vector {
  T x[count];
};

template <class Draw>
TVI_INLINE void draw(const tvi_random_job &job) {
  typedef typename Draw::T T;
  constexpr int count = Draw::count;
  typedef Vector<T, count> V;
  const int64_t block = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  const int64_t first = block * count - job.skip; /* of the elements that are wanted */
  if (first >= job.n) return;
  const tvi_philox_block words =
      tvi_philox_at(job.seed, job.stream, job.first_block + (uint64_t)block);
  V v;
  Draw::make(words.word, v.x);
  T *const out = (T *)job.out + first;
  if (first >= 0 && first + count <= job.n && (uintptr_t)out % sizeof(V) == 0) {
    *(V *)out = v;
    return;
  }
  TVI_UNROLLED
  for (int i = 0; i < count; i++)
    if (first + i >= 0 && first + i < job.n) out[i] = v.x[i];
}

/* clang-format off */
#define KERNEL(name) TV_KERNEL_NO_SYNC(name, tvi_random_job job) { draw<name##_>(job); }
KERNEL(bits_u32)
KERNEL(bits_u64)
KERNEL(uniform_f16)
KERNEL(uniform_bf16)
KERNEL(uniform_f32)
KERNEL(uniform_f64)
KERNEL(normal_f16)
KERNEL(normal_bf16)
KERNEL(normal_f32)
KERNEL(normal_f64)
/* clang-format on */
