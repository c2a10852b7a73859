// SPDX-License-Identifier: MIT
// Running kernels: the registry, and one block at a time. Not for several host threads at once.
#pragma once

#include <string>

#include "shim.h"

namespace shim {

enum class Order { kForward, kReverse, kShuffled };

constexpr size_t kSharedBytes = 48 << 10;  // of a block, as on every GPU without asking for more
constexpr unsigned kMostThreads = 1024;    // of a block

extern Order order;            // of the threads in a block, and of the blocks in a grid
extern int64_t stray_threads;  // that met at another barrier than the others, so far

const Kernel *find_kernel(const char *name);

// Runs every block of the grid. When the threads of one wait for each other for ever, met at
// different barriers or wanted too much shared memory: why, else an empty text.
std::string run_grid(const Kernel &kernel, Dim3 grid, Dim3 block, size_t dynamic_bytes,
                     void *const *params);

}  // namespace shim
