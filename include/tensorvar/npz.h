/* SPDX-License-Identifier: MIT
 * .npz files: named arrays in one file, a zip archive of .npy files, as NumPy's savez writes it.
 *
 * A name is a member's less ".npy". Reading is as strict as that of .npy files, and of an archive
 * refuses a name twice, members that overlap, a member whose own name or method is not that of the
 * directory, bytes in front of the first; further encryption, other methods
 * than stored and deflated, several disks, and names that are absolute paths, have ".." as a part,
 * NUL, or no UTF-8. Nothing is ever extracted to a path. No member may claim more than 1032 times
 * its packed size, the most that deflate can give, and memory is taken for what an array's header
 * promises and its member holds. Every checksum is compared when its bytes are read.
 *
 * The directory says what is in an archive, as to NumPy: what lies between members is not looked
 * at, nor are the sizes and the checksum that a member repeats in front of itself.
 *
 * Deflated members need a library built with zlib; others are read and written without it. */
#ifndef TENSORVAR_NPZ_H
#define TENSORVAR_NPZ_H

#include <tensorvar/npy.h>
TV_BEGIN_C

/** An open archive. It does not change: threads may share it. */
typedef struct tv_npz tv_npz;

/** Limits for files of strangers. Begin with TV_NPZ_OPTIONS, which has none. */
typedef struct tv_npz_options {
  size_t size;
  int64_t max_members;
  int64_t max_member_bytes; /* of one member, unpacked */
  int64_t max_bytes;        /* of all members together, unpacked */
} tv_npz_options;
#define TV_NPZ_OPTIONS \
  { sizeof(tv_npz_options), INT64_MAX, INT64_MAX, INT64_MAX }

/** How to save. Begin with TV_NPZ_SAVE_OPTIONS. */
typedef struct tv_npz_save_options {
  size_t size;
  /** Return only when the file would survive a power cut; false for scratch files. */
  bool durable;
  /** 0: stored, so that members can be mapped; 1 (fast) to 9 (small): deflated. */
  int compression;
  tv_progress progress; /* of the bytes of all elements; may be NULL */
  void *progress_user;
} tv_npz_save_options;
#define TV_NPZ_SAVE_OPTIONS \
  { sizeof(tv_npz_save_options), true, 0, NULL, NULL }

/**
 * Open an archive: its directory is read and checked, and no member yet.
 *
 *     tv_npz *z = tv_npz_open("model.npz", NULL);
 *     tv_tensor *w = tv_npz_read(z, "w", NULL);
 *     tv_npz_release(z);
 *
 * Returns   a handle for the caller to release
 * Errors    - TV_EVALUE   path is NULL; options have size 0 or a limit below 0
 *           - TV_EIO      in the system's words
 *           - TV_EFORMAT  refused, or beyond a limit; the text names the file, the byte, what was
 *                         found and expected
 *           - TV_ENOMEM
 * Source    NumPy `load`; APPNOTE.TXT of PKWARE.
 */
TV_API tv_npz *tv_npz_open(const char *path, const tv_npz_options *options);

TV_API int64_t tv_npz_count(tv_npz *npz);
/** The name of a member, in the order of the archive; lives as long as the handle. NULL with
 *  TV_EINDEX. */
TV_API const char *tv_npz_name(tv_npz *npz, int64_t i);
TV_API bool tv_npz_has(tv_npz *npz, const char *name);

/** What the header of a member says, without reading its elements; the offset is that in the
 *  member. TV_EVALUE if there is none of that name; else as tv_npy_info. */
TV_API tv_status tv_npz_info(tv_npz *npz, const char *name, const tv_npy_options *options,
                             tv_npy_layout *layout);

/**
 * The array of one member; options and errors as tv_npy_load.
 *
 * A stored member can be mapped where its elements are aligned, as they are in our files; its
 * checksum is then not compared, which tv_npz_verify does.
 *
 * Errors    - TV_EVALUE       there is none of that name
 *           - TV_EFORMAT      no .npy file; shorter than its array; checksum or sizes disagree
 *           - TV_EUNSUPPORTED deflated, and the library was built without zlib
 */
TV_API tv_tensor *tv_npz_read(tv_npz *npz, const char *name, const tv_npy_options *options);

/** Every member: tensors[i] is that of tv_npz_name(npz, i), with room for tv_npz_count of them. All
 *  or none; after a failure they are NULL. `is_mapped`, `layout` and `report` of the options are
 *  not told, `out` is refused; progress counts the bytes of all members. */
TV_API tv_status tv_npz_read_all(tv_npz *npz, const tv_npy_options *options, tv_tensor **tensors);

/** Read every byte of every member, whatever it holds, and compare checksums and sizes. */
TV_API tv_status tv_npz_verify(tv_npz *npz);

TV_API tv_npz *tv_npz_retain(tv_npz *npz);
TV_API void tv_npz_release(tv_npz *npz);

/** One member of a file: open, read, release. */
TV_API tv_tensor *tv_npz_load(const char *path, const char *name, const tv_npy_options *options);

/**
 * Write n named tensors; NumPy's load reads them.
 *
 *     const char *names[] = {"w", "b"};
 *     tv_tensor *values[] = {tv_read(w), tv_read(b)};
 *     tv_npz_save("model.npz", 2, names, values, NULL);
 *
 * The same tensors give the same bytes. The file is replaced as tv_npy_save does it; bfloat16 is
 * `<V2`. NumPy itself gives the array `w` for both of `w` and `w.npy`.
 *
 * Writes    the file, through a temporary one beside it
 * Errors    - TV_EVALUE       something is NULL; a name is given twice, or is one that reading
 *                             refuses; compression is not 0 to 9
 *           - TV_EUNSUPPORTED compression is asked for, and the library was built without zlib
 *           - TV_EIO, TV_ENOMEM  as tv_npy_save
 * Source    NumPy `savez`, `savez_compressed`.
 */
TV_API tv_status tv_npz_save(const char *path, int64_t n, const char *const *names,
                             tv_tensor *const *tensors, const tv_npz_save_options *options);

TV_END_C
#endif
