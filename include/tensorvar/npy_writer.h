/* SPDX-License-Identifier: MIT
 * Rows appended to .npy files: logs and data sets that are written as they come.
 *
 * After each append the file is a whole .npy file of all rows so far, which any reader may load
 * beside the writer; it is not rewritten, and never made shorter, so that it may be mapped
 * meanwhile. A writer that is killed, at any point, leaves a file of whole rows, which the next one
 * continues. Bytes that it may leave behind the last row are ignored by readers, and overwritten.
 *
 * The header has room for any number of rows, as NumPy's has: its bytes, like those of the rows,
 * are what NumPy writes for the whole array. */
#ifndef TENSORVAR_NPY_WRITER_H
#define TENSORVAR_NPY_WRITER_H

#include <tensorvar/npy.h>
TV_BEGIN_C

/** A file open for appending, locked against other writers. Threads may share it: appends of
 *  several threads come one after another. Of no use in a child process after fork, but to close.
 */
typedef struct tv_npy_writer tv_npy_writer;

/** What there may be at the path. */
typedef enum tv_npy_start {
  TV_NPY_CONTINUE, /* a file, to be continued, or none, and one is made */
  TV_NPY_CREATE,   /* no file */
  TV_NPY_REPLACE   /* a file, to be replaced by one without rows, or none */
} tv_npy_start;

/** How to append. Begin with TV_NPY_WRITER_OPTIONS. */
typedef struct tv_npy_writer_options {
  size_t size;
  tv_npy_start start;
  /** Return from an append only when its rows would survive a power cut, which costs two waits for
   *  the disk. Without it what a killed process appended is there all the same; a power cut may
   *  take all that was appended since tv_npy_writer_sync, or leave the file damaged. */
  bool durable;
  /** Fortran order: rows grow along the last axis, with the first axis fastest in the file. Of a
   *  file that is continued it is required like shape and dtype. */
  bool fortran;
  /** Copy a file whose header has no room for more rows into one that has; else it is refused. */
  bool rewrite;
} tv_npy_writer_options;
#define TV_NPY_WRITER_OPTIONS \
  { sizeof(tv_npy_writer_options), TV_NPY_CONTINUE, true, false, false }

/** Instead of a row's shape: that of the file, whichever order it has. */
#define TV_ROWS_OF_FILE -1, NULL

/**
 * Open a .npy file to append rows of one dtype and shape; it is made if there is none.
 *
 *     tv_npy_writer *log = tv_npy_writer_open("log.npy", TV_F64, TV_SHAPE(3), NULL);
 *     tv_npy_writer_append(log, tv_stack(3, figures, 0));
 *     tv_npy_writer_close(log);
 *
 * The array has one axis more than a row, the first; in Fortran order the last. TV_DTYPE_NONE and
 * TV_ROWS_OF_FILE take what the file says, which then must be there. bfloat16 is `<V2`, and read as
 * such only where dtype says TV_BF16. A new file appears whole, without rows, or not at all.
 * Symbolic links are followed.
 *
 * Returns   a handle for the caller to close
 * Errors    - TV_EVALUE    path is NULL; options have size 0; dtype or shape is left to a file that
 *                          is not there, or is not to be
 *           - TV_EBUSY     another writer has the file open, in this process or another
 *           - TV_EDTYPE, TV_ESHAPE  the file's rows are others, or in the other order; both are
 *                          named
 *           - TV_EFORMAT   no file that tv_npy_load would read; big-endian; 0-d; its header has no
 *                          room, and `rewrite` is not set; another array follows in the file
 *           - TV_EIO       in the system's words; a directory, FIFO or device; with TV_NPY_CREATE a
 *                          file that is there
 *           - TV_ENOMEM
 * Source    `numpy.lib.format`, which leaves the same room "to allow the file to be appended to".
 */
TV_API tv_npy_writer *tv_npy_writer_open(const char *path, tv_dtype dtype, int row_rank,
                                         const int64_t *row_shape,
                                         const tv_npy_writer_options *options);

/**
 * Append rows: a tensor [n, row...], or one row; in Fortran order [row..., n].
 *
 * From any layout and device, through a buffer where need be, never through a second full array. A
 * weak scalar is a row of a 1-d file. If it fails, the file has the rows that it had, and the
 * writer may be used again.
 *
 * Writes    the file: rows behind the last one, then the header
 * Errors    - TV_EVALUE    something is NULL, or a weak scalar is out of the file's range
 *           - TV_EDTYPE    rows have another dtype than the file; nothing is converted
 *           - TV_ESHAPE    rows have another shape
 *           - TV_EOVERFLOW more than 2^63 - 1 bytes
 *           - TV_EIO       in the system's words, a full disk for one
 *           - TV_EBUSY     the process that opened it is another
 *           - TV_EMUTATED  rows are a guarded borrow, and changed
 */
TV_API tv_status tv_npy_writer_append(tv_npy_writer *writer, tv_tensor *rows);

/** Rows in the file; 0 of NULL. */
TV_API int64_t tv_npy_writer_count(tv_npy_writer *writer);

/** What the header says now: dtype, order, shape, offset and bytes. TV_EVALUE if it has size 0. */
TV_API tv_status tv_npy_writer_layout(tv_npy_writer *writer, tv_npy_layout *layout);

/** Return when all rows so far would survive a power cut. TV_EIO. */
TV_API tv_status tv_npy_writer_sync(tv_npy_writer *writer);

/** Close the file and free the handle, whatever happens; NULL does nothing. TV_EIO if the system
 *  told only now that something went wrong. */
TV_API tv_status tv_npy_writer_close(tv_npy_writer *writer);

TV_END_C
#endif
