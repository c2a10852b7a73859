/* SPDX-License-Identifier: MIT
 * DLPack 1.1: tensors lent to other libraries in this process, and theirs lent to us, without
 * copying: NumPy, PyTorch, JAX, CuPy and many more.
 *
 * The structs are those of dlpack/dlpack.h, with which this header may be included in any order; it
 * needs no part of it. Who makes a managed tensor frees it by its deleter, which its consumer calls
 * once. */
#ifndef TENSORVAR_DLPACK_H
#define TENSORVAR_DLPACK_H

#include <tensorvar/stream.h>
TV_BEGIN_C

struct DLManagedTensor;          /* until DLPack 1.0, "dltensor" in Python */
struct DLManagedTensorVersioned; /* since, "dltensor_versioned" */

/** How to import. Begin with TV_DLPACK_IMPORT_OPTIONS. */
typedef struct tv_dlpack_import_options {
  size_t size;
  /** Copy, and let go of the producer's bytes before the call returns. */
  bool copy;
  /** Fail where sharing is not possible, instead of copying. */
  bool require_share;
  /** Of shared host memory: as of tv_memory_options. */
  tv_guard guard;
  const char *name; /* for messages; copied; NULL: "import" */
  /** The stream on which the producer's work on the bytes is queued, or that waits for it. NULL: it
   *  is done. */
  tv_stream *stream;
  /** If not NULL: told, once all went well, whether the elements are the producer's own. */
  bool *is_shared;
} tv_dlpack_import_options;
#define TV_DLPACK_IMPORT_OPTIONS \
  { sizeof(tv_dlpack_import_options), false, false, TV_GUARD_NONE, NULL, NULL, NULL }

/** How to export. Begin with TV_DLPACK_EXPORT_OPTIONS. */
typedef struct tv_dlpack_export_options {
  size_t size;
  /** Lend a copy, which the consumer may write to, instead of the elements themselves. */
  bool copy;
  /** The stream that the consumer's work on the bytes is queued behind. NULL: the call waits until
   *  they are there. */
  tv_stream *stream;
} tv_dlpack_export_options;
#define TV_DLPACK_EXPORT_OPTIONS \
  { sizeof(tv_dlpack_export_options), false, NULL }

/**
 * A tensor of another library's bytes.
 *
 *     tv_tensor *x = tv_tensor_from_dlpack(PyCapsule_GetPointer(c, "dltensor_versioned"), NULL);
 *
 * Shared, it is a borrow: the bytes are never written, ops that read them run at the call, and the
 * deleter runs after the last view, on whichever thread that is, when no work on the bytes is
 * queued any more. Until then the producer is to leave the bytes alone, or to tell
 * (tv_tensor_mark_mutated). A copy that the producer made for us (flag IS_COPIED, and not
 * read-only) is as our own memory, if no guard is asked for.
 *
 * Copied is what is asked for, and what is misaligned for its dtype, which DLPack does not promise;
 * the copy is on the same device. Host memory that CUDA pinned is host memory; a CUDA device is
 * "cuda:" and its id, opened as tv_device_find does it.
 *
 * Ownership  `managed` is ours from the call on, also if it fails: then, or at once if nothing is
 *            shared, its deleter is called before the call returns.
 * Errors    - TV_EVALUE       managed is NULL; data is NULL and there are elements; copy and
 *                             require_share; a guard of device memory
 *           - TV_EFORMAT      ndim, shape or strides that are none
 *           - TV_EUNSUPPORTED another major version than 1; misaligned, and require_share or not in
 *                             host memory; a guard, in a build without xxHash
 *           - TV_EDTYPE       a type or number of lanes that no dtype has
 *           - TV_EDEVICE      a device that is not known or cannot be used; a stream of another
 *           - TV_EOVERFLOW    more than 2^63 - 1 bytes
 *           - TV_ENOMEM
 * Source    DLPack 1.1; array API 2024.12 `from_dlpack`.
 */
TV_API tv_tensor *tv_tensor_from_dlpack(struct DLManagedTensorVersioned *managed,
                                        const tv_dlpack_import_options *options);

/** The same of the struct before version 1.0, which has no flags. */
TV_API tv_tensor *tv_tensor_from_dlpack_legacy(struct DLManagedTensor *managed,
                                               const tv_dlpack_import_options *options);

/**
 * Lend a tensor to another library, in any layout. It is to be read only, and says so (flag
 * READ_ONLY), for others may show its bytes too; a copy is the consumer's alone (flag IS_COPIED).
 *
 * The elements live until the deleter is called, from any thread, with no scope open; what the
 * consumer queued on them is to be done by then, or on `stream`. A weak scalar becomes a tensor on
 * the CPU. A layout whose steps are no whole elements is copied.
 *
 * Returns   a struct of version 1.1, for the consumer to release by its deleter
 * Errors    - TV_EVALUE       x is NULL; options have size 0
 *           - TV_EUNSUPPORTED x is on a device that DLPack has no type for
 *           - TV_EDEVICE      the stream is of another device
 *           - TV_EMUTATED     a guarded borrow changed
 *           - TV_ENOMEM
 * Source    DLPack 1.1; array API 2024.12 `__dlpack__`.
 */
TV_API struct DLManagedTensorVersioned *tv_dlpack_new(tv_tensor *x,
                                                      const tv_dlpack_export_options *options);

/** The same of the struct before version 1.0. It cannot say that the bytes are to be read only: it
 *  always lends a copy. */
TV_API struct DLManagedTensor *tv_dlpack_new_legacy(tv_tensor *x,
                                                    const tv_dlpack_export_options *options);

TV_END_C
#endif
