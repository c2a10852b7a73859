/* SPDX-License-Identifier: MIT
 * What every header needs: visibility, linkage, and lists of sizes written in place. */
#ifndef TENSORVAR_EXPORT_H
#define TENSORVAR_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
#include <initializer_list>
#endif

#if defined(__GNUC__)
#define TV_API __attribute__((visibility("default")))
#define TV_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define TV_API
#define TV_PRINTF(text, first)
#endif

#ifdef __cplusplus
#define TV_BEGIN_C extern "C" {
#define TV_END_C }
#define TV_LIST_(...)                                                   \
  static_cast<int>(std::initializer_list<int64_t>{__VA_ARGS__}.size()), \
      std::initializer_list<int64_t>{__VA_ARGS__}.begin()
#else
#define TV_BEGIN_C
#define TV_END_C
#define TV_LIST_(...) \
  (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) { __VA_ARGS__ }
#endif

/** A shape written in place, `TV_SHAPE(3, 4)`: two arguments, the number of axes and their sizes.
 */
#define TV_SHAPE(...) TV_LIST_(__VA_ARGS__)
/** A list of axes written in place, `TV_AXES(0, -1)`: two arguments, as TV_SHAPE. */
#define TV_AXES(...) TV_LIST_(__VA_ARGS__)
/** The shape of a 0-d tensor. */
#define TV_SCALAR_SHAPE 0, NULL
/** Every axis; distinct from TV_NO_AXES. */
#define TV_ALL_AXES -1, NULL
/** The empty list of axes. */
#define TV_NO_AXES 0, NULL

#endif
