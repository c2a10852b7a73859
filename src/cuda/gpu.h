/* SPDX-License-Identifier: MIT
 * One GPU, as the files of the module share it: the slots of the backend get it as `self`. */
#ifndef TVI_CUDA_GPU_H
#define TVI_CUDA_GPU_H

#include <tensorvar/backend.h>

#include "driver.h"

typedef struct tvi_gpu tvi_gpu;

/* Set a failure as the library's functions do, and return the status. */
extern const tv_host *tvi_host;

/* Kernels ------------------------------------------------------------------------------------ */

/* The fat binaries, one per file of kernels/: loaded when a kernel of it is first launched. */
/* clang-format off */
#define TVI_IMAGES(IMAGE)                                                                \
  IMAGE(unary) IMAGE(unary_complex) IMAGE(binary) IMAGE(binary_complex) IMAGE(choice)    \
  IMAGE(convert) IMAGE(reduce) IMAGE(rows) IMAGE(index) IMAGE(sort) IMAGE(random)        \
  IMAGE(optimize) IMAGE(product)
/* clang-format on */
#define TVI_IMAGE_NAME(name) TVI_IMAGE_##name,
typedef enum { TVI_IMAGES(TVI_IMAGE_NAME) TVI_IMAGE_COUNT } tvi_image;

/* A kernel by name: "base", "base_f32", "base_f32_i64", with "_variant" behind if there is one.
 * base and variant are known by their addresses: literals, or names of the op table. */
typedef struct tvi_kernel {
  tvi_image image;
  const char *base, *variant; /* variant: may be NULL */
  tv_dtype a, b;              /* TV_DTYPE_NONE: not in the name */
} tvi_kernel;

typedef struct tvi_grid {
  int64_t blocks;   /* above 0; along x, below 2^31 */
  unsigned y;       /* 0 counts as 1; below 65536 */
  unsigned threads; /* of a block, along x */
  unsigned shared;  /* bytes of dynamic shared memory */
} tvi_grid;

/* Queue a kernel that has one parameter, the struct `job` of at most 32,764 bytes, which is copied.
 * TV_EDEVICE if the device is lost or the driver refuses; TV_EUNSUPPORTED if there is no such
 * kernel. */
tv_status tvi_launch(tvi_gpu *gpu, void *stream, tvi_kernel kernel, tvi_grid grid, const void *job);

/* Multiprocessors, for grids that should fill the GPU once. Results must not depend on it. */
int tvi_gpu_multiprocessors(const tvi_gpu *gpu);

/* Memory -------------------------------------------------------------------------------------- */

/* Scratch memory for kernels of one slot: reserve, queue, release at once; the stream keeps the
 * order. Aligned to 512. TV_ENOMEM. */
tv_status tvi_gpu_reserve(void *gpu, int64_t bytes, void *stream, void **out);
void tvi_gpu_release(void *gpu, void *block, int64_t bytes, void *stream, int n_users,
                     void *const *users);

/* Host to device and back: both are safe for any host memory; the second waits. */
tv_status tvi_gpu_copy_in(void *gpu, void *to, const void *from_host, int64_t bytes, void *stream);
tv_status tvi_gpu_copy_out(void *gpu, void *to_host, const void *from, int64_t bytes, void *stream);

/* The slots ------------------------------------------------------------------------------------ */

tv_status tvi_gpu_elementwise(void *gpu, const tv_elementwise *job, void *stream);
tv_status tvi_gpu_convert(void *gpu, const tv_convert *job, void *stream);
tv_status tvi_gpu_sequence(void *gpu, const tv_sequence *job, void *stream);
tv_status tvi_gpu_reduce(void *gpu, const tv_reduce *job, void *stream);
tv_status tvi_gpu_matmul(void *gpu, const tv_matmul_job *job, void *stream);
/* Integers and bool. */
tv_status tvi_product_integers(tvi_gpu *gpu, const tv_matmul_job *job, void *stream);
tv_status tvi_gpu_gather(void *gpu, const tv_gather *job, void *stream);
tv_status tvi_gpu_scatter_add(void *gpu, const tv_gather *job, void *stream);
tv_status tvi_gpu_scatter(void *gpu, const tv_scatter *job, void *stream);
tv_status tvi_gpu_find_bad_index(void *gpu, const int64_t *indices, int64_t n, int64_t low,
                                 int64_t high, int64_t *position, int64_t *value, void *stream);
tv_status tvi_gpu_random(void *gpu, const tv_random *job, void *stream);
tv_status tvi_gpu_argsort_u64(void *gpu, const uint64_t *keys, int64_t n, int64_t *out,
                              void *stream);
tv_status tvi_gpu_rows(void *gpu, const tv_rows *job, void *stream);
tv_status tvi_gpu_optimize(void *gpu, const tv_optimize *job, void *stream);

#endif
