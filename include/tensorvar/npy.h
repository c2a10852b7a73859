/* SPDX-License-Identifier: MIT
 * .npy files: NumPy's format for one array, versions 1, 2 and 3.
 *
 * Reading is strict: a file is refused, with TV_EFORMAT and a text that says where and why, if
 * NumPy refuses it, if two readers could read it differently, or if it holds what no tensor can
 * (text, dates, records, objects). All of a header is checked before memory is taken, and no more
 * is taken than the file holds. Writing is all or nothing. */
#ifndef TENSORVAR_NPY_H
#define TENSORVAR_NPY_H

#include <tensorvar/index.h>
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
  int64_t offset;       /* of the first element or record, in bytes from the start */
  int64_t bytes;        /* of all elements, or records: the array ends at offset + bytes */
  int64_t behind;       /* bytes that the file goes on after that, -1 if unknown: a stream */
  int64_t record_bytes; /* of a structured file, of which dtype is that of the field; else 0 */
  int64_t field_offset; /* of the field in a record */
  int field_rank;       /* axes at the end of the shape that are the field's own */
} tv_npy_layout;
#define TV_NPY_LAYOUT \
  { sizeof(tv_npy_layout), 0, TV_DTYPE_NONE, false, false, 0, {0}, 0, 0, -1, 0, 0, 0 }

/** Told of the bytes moved so far, and of all that will be: at the start, after every 4 MiB or so,
 * and at the end, on the thread of the call. False stops the work: TV_ECANCELED, and nothing is
 * left behind. It may not end scopes that it did not begin. */
typedef bool (*tv_progress)(void *user, int64_t done, int64_t total);

/** Whether a load copies the elements, or uses the file's own pages. */
typedef enum tv_npy_map {
  TV_NPY_COPY,        /* read into memory of the tensor's own */
  TV_NPY_MAP,         /* map, read-only: pages shared with every process that maps the file */
  TV_NPY_MAP_WRITABLE /* map, copy on write: a Variable writes in place, and the file keeps its
                         bytes */
} tv_npy_map;

/** What the system is told of how a map will be read; it never changes a value. */
typedef enum tv_npy_advice {
  TV_NPY_NORMAL,
  TV_NPY_SEQUENTIAL, /* from front to back: read ahead */
  TV_NPY_RANDOM,     /* here and there: do not read ahead */
  TV_NPY_WILL_NEED   /* all of it, soon: begin to read now */
} tv_npy_advice;

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
  tv_npy_advice advice; /* of a map */
  /** The part to load, in NumPy's notation ("100:200, ..., 3", see tv_slice) or, where that is
   *  NULL, as n_index terms; 0 of them: all. The rest of a file is not read, but for gaps below
   *  256 KiB; of a stream or a deflated member it is passed over. */
  const char *slice;
  int n_index;
  const tv_index *index;
  /** The field of a structured file to load, "position" or "position.x"; NULL: such a file is
   *  refused, naming its fields. A field that is an array itself adds its axes at the end. */
  const char *field;
  /** The dtype of the tensor; TV_DTYPE_NONE: that of the file. Elements are converted as they
   *  come, as tv_cast_checked does with `refuse` and `report`. */
  tv_dtype dtype;
  unsigned refuse;        /* at first what has no value there: overflow, NaN to integer */
  tv_cast_report *report; /* may be NULL; filled on a refusal too, by what was read until then */
  /** If not NULL: the elements are written here, in C order, and the tensor borrows them: on
   *  TV_CPU, never mapped, and aligned as its dtype. TV_EVALUE if `capacity` bytes are too few;
   *  after a failure the content is undefined. */
  void *out;
  int64_t capacity;
  tv_progress progress; /* may be NULL */
  void *progress_user;
} tv_npy_options;
#define TV_NPY_OPTIONS                                                                            \
  {                                                                                               \
    sizeof(tv_npy_options), TV_NPY_COPY, false, false, TV_DEVICE_NONE, NULL, NULL, TV_NPY_NORMAL, \
        NULL, 0, NULL, NULL, TV_DTYPE_NONE, TV_REFUSE_OVERFLOW | TV_REFUSE_NAN_TO_INTEGER, NULL,  \
        NULL, 0, NULL, NULL                                                                       \
  }

/** In which order elements are written. */
typedef enum tv_npy_order {
  TV_NPY_ORDER_KEEP, /* Fortran if they lie so and not in C order too, else C, as NumPy does */
  TV_NPY_ORDER_C,
  TV_NPY_ORDER_FORTRAN
} tv_npy_order;

/** How to save. Begin with TV_NPY_SAVE_OPTIONS. */
typedef struct tv_npy_save_options {
  size_t size;
  /** Return only when the file would survive a power cut; false for scratch files. */
  bool durable;
  tv_npy_order order;
  bool big_endian;      /* write elements so; at first little-endian, on every host */
  tv_progress progress; /* may be NULL */
  void *progress_user;
} tv_npy_save_options;
#define TV_NPY_SAVE_OPTIONS \
  { sizeof(tv_npy_save_options), true, TV_NPY_ORDER_KEEP, false, NULL, NULL }

/**
 * The array in a .npy file.
 *
 *     tv_tensor *x = tv_npy_load("images.npy", NULL);
 *
 * Regular files are checked against their size first; FIFOs and other streams are read as far as
 * they go. Bytes behind the array are left alone. Fortran order becomes a view of its transpose.
 * Several threads read what is above 1 MiB (tv_threads); the result and any error are those of one.
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

/** The array that a callback delivers: `read` puts up to n bytes into `out` and says how many, 0 at
 *  the end, below 0 if it failed (TV_EIO); fewer than asked for is no end. Nothing behind the array
 *  is asked for. */
TV_API tv_tensor *tv_npy_read_callback(int64_t (*read)(void *user, void *out, int64_t n),
                                       void *user, const char *name, const tv_npy_options *options);

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

/** The same bytes to an open file or stream, from its position on, or to a callback that says
 *  whether it took all n bytes (TV_EIO if not). A failure may leave some of them written; nothing
 *  is made durable. */
TV_API tv_status tv_npy_write_fd(int fd, const char *name, tv_tensor *x,
                                 const tv_npy_save_options *options);
TV_API tv_status tv_npy_write_callback(bool (*write)(void *user, const void *bytes, int64_t n),
                                       void *user, const char *name, tv_tensor *x,
                                       const tv_npy_save_options *options);

TV_END_C
#endif
