/* SPDX-License-Identifier: MIT */
/* The structs of DLPack 1.1, as https://github.com/dmlc/dlpack declares them, and what import and
 * export share.
 *
 *     64-bit ABI                 bytes   fields at
 *     DLTensor                      48   data 0, device 8, ndim 16, dtype 20, shape 24, strides 32,
 *                                        byte_offset 40
 *     DLManagedTensor               64   dl_tensor 0, manager_ctx 48, deleter 56
 *     DLManagedTensorVersioned      80   version 0, manager_ctx 8, deleter 16, flags 24,
 *                                        dl_tensor 32
 *
 * Strides are in elements; NULL means compact C order. The first element is byte_offset behind
 * data.
 */
#ifndef TVI_DLPACK_H
#define TVI_DLPACK_H
#include <tensorvar/dlpack.h>

typedef struct DLDevice {
  int32_t device_type, device_id;
} DLDevice;

typedef struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
} DLDataType;

typedef struct DLTensor {
  void *data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
} DLTensor;

typedef struct DLManagedTensor {
  DLTensor dl_tensor;
  void *manager_ctx;
  void (*deleter)(struct DLManagedTensor *self);
} DLManagedTensor;

typedef struct DLPackVersion {
  uint32_t major, minor;
} DLPackVersion;

typedef struct DLManagedTensorVersioned {
  DLPackVersion version;
  void *manager_ctx;
  void (*deleter)(struct DLManagedTensorVersioned *self);
  uint64_t flags;
  DLTensor dl_tensor;
} DLManagedTensorVersioned;

enum { TVI_DL_MAJOR = 1, TVI_DL_MINOR = 1 };
enum { TVI_DL_READ_ONLY = 1, TVI_DL_IS_COPIED = 2 };
enum { TVI_DL_INT, TVI_DL_UINT, TVI_DL_FLOAT, TVI_DL_BFLOAT = 4, TVI_DL_COMPLEX, TVI_DL_BOOL };
enum { TVI_DL_CPU = 1, TVI_DL_CUDA = 2, TVI_DL_CUDA_HOST = 3, TVI_DL_CUDA_MANAGED = 13 };

/* A dtype in DLPack's words, and back: TV_DTYPE_NONE for what is none. */
DLDataType tvi_dlpack_type(tv_dtype dtype);
tv_dtype tvi_dlpack_dtype(DLDataType type);

#endif
