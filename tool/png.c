/* SPDX-License-Identifier: MIT
 * PNG files, by libpng's simplified interface (docs/adr/0022). The file is made in memory, and then
 * replaces an old one as a whole, through a temporary file beside it. */
#include "png.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"
#include "replacement.h"

#ifdef TV_WITHOUT_PNG

int png_save(const char *path, const picture *p) {
  (void)p;
  return trouble("%s: this build is without libpng, which writes pictures", safe(path));
}

#else
#include <png.h>

/* All bytes, whatever number of calls that takes. */
static bool write_all(int file, const unsigned char *bytes, size_t n) {
  while (n > 0) {
    const ssize_t written = write(file, bytes, n);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes += written;
    n -= (size_t)written;
  }
  return true;
}

static int write_direct(int file, const char *path, const unsigned char *bytes, size_t n) {
  bool is_written = file >= 0 && write_all(file, bytes, n);
  const int why = errno;
  if (file > STDOUT_FILENO && close(file) && is_written) {
    return trouble("%s: %s", safe(path), strerror(errno));
  }
  return is_written ? 0 : trouble("%s: %s", safe(path), strerror(why));
}

static int replace(const char *path, const unsigned char *bytes, size_t n) {
  replacement r;
  if (!replacement_begin(&r, path)) return trouble("%s: %s", safe(path), strerror(errno));
  const bool is_written = write_all(r.file, bytes, n);
  const int why = errno;
  if (replacement_end(&r, is_written, false)) return 0;
  return trouble("%s: %s", safe(path), strerror(is_written ? errno : why));
}

static int save(const char *path, const unsigned char *bytes, size_t n) {
  if (!strcmp(path, "-")) return write_direct(STDOUT_FILENO, "standard output", bytes, n);
  if (is_replaceable(path)) return replace(path, bytes, n);
  return write_direct(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666), path, bytes, n);
}

int png_save(const char *path, const picture *p) {
  png_image image;
  memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  image.width = (png_uint_32)p->width;
  image.height = (png_uint_32)p->height;
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t n = 0;
  unsigned char *bytes = NULL;
  int status = 0;
  if (png_image_write_to_memory(&image, NULL, &n, 0, p->rgb, 0, NULL)) {
    bytes = need(n);
    image.format = PNG_FORMAT_RGB;
    if (png_image_write_to_memory(&image, bytes, &n, 0, p->rgb, 0, NULL))
      status = save(path, bytes, n);
  }
  if (PNG_IMAGE_FAILED(image)) status = trouble("%s: libpng: %s", safe(path), image.message);
  free(bytes);
  png_image_free(&image);
  return status;
}
#endif
