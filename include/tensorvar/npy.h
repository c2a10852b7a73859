/* SPDX-License-Identifier: MIT
 * .npy files: NumPy's format for one array, versions 1, 2 and 3.
 *
 * Reading is strict: a file is refused, with TV_EFORMAT and a text that says where and why, if
 * NumPy refuses it, if two readers could read it differently, or if it holds what no tensor can
 * (text, dates, records, objects). All of a header is checked before memory is taken, and no more
 * is taken than the file holds. Writing is all or nothing. */
#ifndef TENSORVAR_NPY_H
#define TENSORVAR_NPY_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

/** What a header says. Begin with TV_NPY_LAYOUT. */
typedef struct tv_npy_layout {
  size_t size;
  int version; /* 1, 2 or 3 */
  tv_dtype dtype;
  bool is_big_endian; /* of elements wider than a byte */
  bool is_fortran;    /* elements lie with the first axis fastest */
  int rank;
  int64_t shape[TV_MAX_RANK];
  int64_t offset; /* of the first element, in bytes from the start */
  int64_t bytes;  /* of all elements */
} tv_npy_layout;
#define TV_NPY_LAYOUT \
  { sizeof(tv_npy_layout), 0, TV_DTYPE_NONE, false, false, 0, {0}, 0, 0 }

/** Whether a load copies the elements, or uses the file's own pages. */
typedef enum tv_npy_map {
  TV_NPY_COPY,        /* read into memory of the tensor's own */
  TV_NPY_MAP,         /* map, read-only: pages shared with every process that maps the file */
  TV_NPY_MAP_WRITABLE /* map, copy on write: a Variable writes in place, and the file keeps its
                         bytes */
} tv_npy_map;

/**
 * How to load. Begin with TV_NPY_OPTIONS.
 *
 * A map costs no copy and no memory until it is read, and asks something in return: if somebody
 * shortens the file while it is mapped, or its disk fails, reading the lost pages raises SIGBUS,
 * which ends the process. What others write into the file may be seen. Files saved by this library
 * are replaced, never rewritten in place, so saving over a mapped file is safe.
 */
typedef struct tv_npy_options {
  size_t size;
  tv_npy_map map;
  /** Fail where a map is not possible, instead of copying: bytes swapped or misaligned for their
   * type, no regular file, another device than TV_CPU. */
  bool require_map;
  /** Read 2-byte void (`V2`) as bfloat16: so NumPy writes it, without the name. */
  bool void2_is_bf16;
  /** Where the tensor goes; TV_DEVICE_NONE: the thread's current device. */
  tv_device device;
  /** If not NULL: told, once all went well, whether the elements are the file's own pages, and what
   *  the header said. */
  bool *is_mapped;
  tv_npy_layout *layout;
} tv_npy_options;
#define TV_NPY_OPTIONS \
  { sizeof(tv_npy_options), TV_NPY_COPY, false, false, TV_DEVICE_NONE, NULL, NULL }

/** How to save. Begin with TV_NPY_SAVE_OPTIONS. */
typedef struct tv_npy_save_options {
  size_t size;
  /** Return only when the file would survive a power cut; false for scratch files. */
  bool durable;
} tv_npy_save_options;
#define TV_NPY_SAVE_OPTIONS \
  { sizeof(tv_npy_save_options), true }

/**
 * The array in a .npy file.
 *
 *     tv_tensor *x = tv_npy_load("images.npy", NULL);
 *
 * Regular files are checked against their size first; FIFOs and other streams are read as far as
 * they go. Bytes behind the array are left alone. Fortran order becomes a view of its transpose.
 *
 * Errors    - TV_EVALUE        path is NULL; options have size 0
 *           - TV_EIO           opening or reading failed, in the system's words
 *           - TV_EFORMAT       refused; the text names the file, the byte, what was found and
 * expected
 *           - TV_EUNSUPPORTED  a map was required and cannot be
 *           - TV_ENOMEM        memory for the elements
 * Source    NumPy `load`, `numpy.lib.format`.
 */
TV_API tv_tensor *tv_npy_load(const char *path, const tv_npy_options *options);

/** The array at the position of an open file or stream, which is left just behind it: arrays
 *  written one after another can be read so. `name` is for messages. Never maps. */
TV_API tv_tensor *tv_npy_read_fd(int fd, const char *name, const tv_npy_options *options);

/** The array at the start of bytes in memory, which are copied. Never maps. */
TV_API tv_tensor *tv_npy_read_memory(const void *bytes, int64_t size,
                                     const tv_npy_options *options);

/** What the header of a .npy file says, without reading elements; of `options` only void2_is_bf16
 *  matters. The file is refused as tv_npy_load would, but for the values of its bytes. */
TV_API tv_status tv_npy_info(const char *path, const tv_npy_options *options,
                             tv_npy_layout *layout);

/**
 * Write a tensor to a .npy file, with the bytes that NumPy writes; bfloat16 as `<V2`.
 *
 *     tv_npy_save("w.npy", tv_read(w), NULL);
 *
 * The new file replaces the old one at once, when all of it is on the disk; on a failure the old
 * file is as it was. Symbolic links are followed, permission bits kept; hard links and ownership
 * are not. A device or FIFO is written directly.
 *
 * Writes    the file, through a temporary one beside it
 * Errors    - TV_EVALUE   path or x is NULL; options have size 0
 *           - TV_EIO      in the system's words; if it says that the file is in place, only its
 *                         durability is unknown
 *           - TV_ENOMEM   computing or copying x
 * Source    NumPy `save`.
 */
TV_API tv_status tv_npy_save(const char *path, tv_tensor *x, const tv_npy_save_options *options);

TV_END_C
#endif
