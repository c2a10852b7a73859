/* SPDX-License-Identifier: MIT
 * The fat binaries of the kernels, copied in by the assembler. */
#include "images.h"

#ifdef TVI_WITHOUT_IMAGES
/* Only the driver of the tests loads what is no image: it has the kernels itself. */
#define IMAGE(name) [TVI_IMAGE_##name] = #name,
const void *const tvi_images[TVI_IMAGE_COUNT] = {TVI_IMAGES(IMAGE)};
#else
/* clang-format off */
#define IMAGE(name)                                                  \
  __asm__(".section .rodata\n"                                       \
          ".balign 64\n"                                             \
          ".hidden tvi_image_" #name "\n"                            \
          ".globl tvi_image_" #name "\n"                             \
          "tvi_image_" #name ":\n"                                   \
          ".incbin \"" TVI_IMAGE_FOLDER "/" #name ".fatbin\"\n"      \
          ".previous\n");                                            \
  extern const unsigned char tvi_image_##name[];
/* clang-format on */
TVI_IMAGES(IMAGE)
#undef IMAGE
#define IMAGE(name) [TVI_IMAGE_##name] = tvi_image_##name,
const void *const tvi_images[TVI_IMAGE_COUNT] = {TVI_IMAGES(IMAGE)};
#endif
