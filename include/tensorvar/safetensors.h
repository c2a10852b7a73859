/* SPDX-License-Identifier: MIT
 * safetensors files: named arrays behind a header of JSON, as the safetensors package writes them.
 *
 * Every rule of the format is checked when a file is opened: the length of the header (at most
 * 100,000,000 bytes, and what the file holds), strict JSON of the one form that the format has,
 * each name and key once, known dtypes, sizes that agree with shapes, and data that follow each
 * other without hole or overlap from the header to the end of the file. White space around the JSON
 * passes, as to the reference reader; NUL in a text does not, texts being C strings here.
 * Elements are little-endian in C order. dtypes are BOOL U8 I8 U16 I16 U32 I32 U64 I64 F16 BF16 F32
 * F64 C64; narrower ones are refused by name.
 *
 * Source: the format as of safetensors 0.6, and its reference reader. */
#ifndef TENSORVAR_SAFETENSORS_H
#define TENSORVAR_SAFETENSORS_H

#include <tensorvar/npy.h>
TV_BEGIN_C

/** An open file. It does not change: threads may share it. */
typedef struct tv_safetensors tv_safetensors;

/** How to save. Begin with TV_SAFETENSORS_SAVE_OPTIONS. */
typedef struct tv_safetensors_save_options {
  size_t size;
  /** Return only when the file would survive a power cut; false for scratch files. */
  bool durable;
  /** Texts in UTF-8 that go into the file's `__metadata__`, in this order; each key once. */
  int64_t n_metadata;
  const char *const *keys;
  const char *const *values;
  tv_progress progress; /* of the bytes of all elements; may be NULL */
  void *progress_user;
} tv_safetensors_save_options;
#define TV_SAFETENSORS_SAVE_OPTIONS \
  { sizeof(tv_safetensors_save_options), true, 0, NULL, NULL, NULL, NULL }

/**
 * Open a file: its header is read and checked, and no element yet.
 *
 * Returns   a handle for the caller to release
 * Errors    - TV_EVALUE   path is NULL
 *           - TV_EIO      in the system's words
 *           - TV_EFORMAT  refused; the text names the file, the byte, what was found and expected
 *           - TV_ENOMEM
 */
TV_API tv_safetensors *tv_safetensors_open(const char *path);

TV_API int64_t tv_safetensors_count(tv_safetensors *file);
/** The name of a tensor, in the order of their data; lives as long as the handle. NULL with
 *  TV_EINDEX. */
TV_API const char *tv_safetensors_name(tv_safetensors *file, int64_t i);
TV_API bool tv_safetensors_has(tv_safetensors *file, const char *name);

/** Texts of `__metadata__`: how many, key and value of the i-th (NULL with TV_EINDEX), and the
 * value of a key (NULL, which is no failure, if there is none). They live as long as the handle. */
TV_API int64_t tv_safetensors_metadata_count(tv_safetensors *file);
TV_API const char *tv_safetensors_metadata_key(tv_safetensors *file, int64_t i);
TV_API const char *tv_safetensors_metadata_value(tv_safetensors *file, int64_t i);
TV_API const char *tv_safetensors_metadata(tv_safetensors *file, const char *key);

/** dtype, shape, bytes and place in the file of a tensor; the version is 0. TV_EVALUE if there is
 *  none of that name. */
TV_API tv_status tv_safetensors_info(tv_safetensors *file, const char *name, tv_npy_layout *layout);

/** One tensor, by copy or map; options and errors as tv_npy_load. TV_EVALUE if there is none of
 * that name. */
TV_API tv_tensor *tv_safetensors_read(tv_safetensors *file, const char *name,
                                      const tv_npy_options *options);

/** Every tensor: tensors[i] is that of tv_safetensors_name(file, i), with room for all. All or
 * none; after a failure they are NULL. `is_mapped`, `layout` and `report` of the options are not
 * told, `out` is refused; progress counts the bytes of all. */
TV_API tv_status tv_safetensors_read_all(tv_safetensors *file, const tv_npy_options *options,
                                         tv_tensor **tensors);

TV_API tv_safetensors *tv_safetensors_retain(tv_safetensors *file);
TV_API void tv_safetensors_release(tv_safetensors *file);

/** One tensor of a file: open, read, release. */
TV_API tv_tensor *tv_safetensors_load(const char *path, const char *name,
                                      const tv_npy_options *options);

/**
 * Write n named tensors; wider elements first, then by name, as the safetensors package does, and
 * the first of them at a multiple of 64, so that all can be mapped.
 *
 * The same tensors give the same bytes. The file is replaced as tv_npy_save does it.
 *
 * Writes    the file, through a temporary one beside it
 * Errors    - TV_EVALUE   something is NULL; a name or key is given twice; a name is
 * `__metadata__`, empty, above 65,000 bytes, an absolute path, has ".." as a part or is no UTF-8;
 * the header would be above 100,000,000 bytes
 *           - TV_EDTYPE   complex128, which the format does not have
 *           - TV_EIO, TV_ENOMEM  as tv_npy_save
 */
TV_API tv_status tv_safetensors_save(const char *path, int64_t n, const char *const *names,
                                     tv_tensor *const *tensors,
                                     const tv_safetensors_save_options *options);

TV_END_C
#endif
