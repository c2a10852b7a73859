// SPDX-License-Identifier: MIT
// Fibers: functions that can leave in the middle and be entered again where they left.
//
// SHIM_ASAN and SHIM_TSAN say that kernels are compiled for a sanitizer, which is then told of
// every switch. The files of the shim themselves are not.
#pragma once

namespace shim {

// Makes fibers 0 .. count - 1, each about to run `body` from its beginning. Their stacks are kept
// for the next time.
void fibers_start(unsigned count, void (*body)());

// Those started last are not entered any more, although some are not done.
void fibers_give_up();

void fiber_enter(unsigned fiber);             // scheduler only: run it until it leaves
void fiber_leave(unsigned fiber, bool last);  // fiber only: back to the scheduler

// Tell ThreadSanitizer that what came before release(token) comes before what follows
// acquire(token). No-ops otherwise.
void order_release(void *token);
void order_acquire(void *token);

#ifdef SHIM_TSAN
constexpr bool kRaceCheck = true;
#else
constexpr bool kRaceCheck = false;
#endif

}  // namespace shim
