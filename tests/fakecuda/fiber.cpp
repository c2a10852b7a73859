// SPDX-License-Identifier: MIT
// Stacks and the switch between them: 15 instructions on x86-64, ucontext elsewhere (10 times
// slower in all, since it asks the kernel each time), and what the sanitizers need to be told.
#include "fiber.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <vector>

#ifndef __x86_64__
#define SHIM_UCONTEXT
#endif
#ifdef SHIM_UCONTEXT
#include <ucontext.h>
#endif

namespace shim {
namespace {

#if defined(SHIM_ASAN) || defined(SHIM_TSAN)
constexpr size_t kStackBytes = 256 << 10;  // frames are larger there
#else
constexpr size_t kStackBytes = 64 << 10;
#endif
constexpr size_t kGuardBytes = 4 << 10;  // at the low end of each stack, never touched
constexpr size_t kUsableBytes = kStackBytes - kGuardBytes;
// Stacks begin at different places of a page, or they would all want the same lines of the cache.
constexpr size_t kColour = 128, kColours = 64;

char *stacks;
unsigned stack_count;
void (*fiber_body)();

char *stack_bottom(unsigned fiber) { return stacks + fiber * kStackBytes + kGuardBytes; }
size_t stack_size(unsigned fiber) { return kUsableBytes - fiber % kColours * kColour; }

void stacks_reserve(unsigned count) {
  if (count <= stack_count) return;
  if (stacks) munmap(stacks, stack_count * kStackBytes);
  void *made = mmap(nullptr, count * kStackBytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (made == MAP_FAILED) abort();
  stacks = static_cast<char *>(made);
  for (unsigned i = 0; i < count; i++) mprotect(stacks + i * kStackBytes, kGuardBytes, PROT_NONE);
  stack_count = count;
}

}  // namespace

// The switch ----------------------------------------------------------------------------------

#ifdef SHIM_UCONTEXT

static ucontext_t scheduler_context;
static std::vector<ucontext_t> contexts;

static void raw_enter(unsigned fiber) { swapcontext(&scheduler_context, &contexts[fiber]); }
static void raw_leave(unsigned fiber) { swapcontext(&contexts[fiber], &scheduler_context); }

static void raw_start(unsigned count, void (*entry)()) {
  contexts.resize(count);
  for (unsigned i = 0; i < count; i++) {
    getcontext(&contexts[i]);
    contexts[i].uc_stack.ss_sp = stack_bottom(i);
    contexts[i].uc_stack.ss_size = stack_size(i);
    contexts[i].uc_link = nullptr;
    makecontext(&contexts[i], entry, 0);
  }
}

#else

// Saves the registers that a callee must keep, and goes on with another stack.
extern "C" void shim_switch(void **save_stack, void *to_stack);
asm(R"(
.text
.globl shim_switch
.hidden shim_switch
.type shim_switch, @function
shim_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size shim_switch, . - shim_switch
)");

static void *scheduler_stack;
static std::vector<void *> fiber_stack;

static void raw_enter(unsigned fiber) { shim_switch(&scheduler_stack, fiber_stack[fiber]); }
static void raw_leave(unsigned fiber) { shim_switch(&fiber_stack[fiber], scheduler_stack); }

static void raw_start(unsigned count, void (*entry)()) {
  if (fiber_stack.size() < count) fiber_stack.resize(count);
  for (unsigned i = 0; i < count; i++) {
    void **top = reinterpret_cast<void **>(stack_bottom(i) + stack_size(i));
    *--top = nullptr;                          // where entry would return to
    *--top = reinterpret_cast<void *>(entry);  // what the first switch returns into
    for (int saved = 0; saved < 6; saved++) *--top = nullptr;
    fiber_stack[i] = top;
  }
}

#endif

// What the sanitizers are told ----------------------------------------------------------------

#if defined(SHIM_ASAN)

extern "C" void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size);
extern "C" void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size);
extern "C" void __asan_unpoison_memory_region(const void *address, size_t size);

static const void *scheduler_bottom;
static size_t scheduler_size;

void fiber_enter(unsigned fiber) {
  void *fake;
  __sanitizer_start_switch_fiber(&fake, stack_bottom(fiber), kUsableBytes);
  raw_enter(fiber);
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
}

void fiber_leave(unsigned fiber, bool last) {
  void *fake;
  __sanitizer_start_switch_fiber(last ? nullptr : &fake, scheduler_bottom, scheduler_size);
  raw_leave(fiber);
  __sanitizer_finish_switch_fiber(fake, &scheduler_bottom, &scheduler_size);
}

static void entered_first() {
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_bottom, &scheduler_size);
}

void fibers_give_up() {  // their frames are still marked
  for (unsigned i = 0; i < stack_count; i++)
    __asan_unpoison_memory_region(stack_bottom(i), kUsableBytes);
}

#elif defined(SHIM_TSAN)

extern "C" void *__tsan_get_current_fiber();
extern "C" void *__tsan_create_fiber(unsigned flags);
extern "C" void __tsan_switch_to_fiber(void *fiber, unsigned flags);
extern "C" void __tsan_acquire(void *token);
extern "C" void __tsan_release(void *token);

static void *scheduler_tsan;
static std::vector<void *> fiber_tsan;

void fiber_enter(unsigned fiber) {
  scheduler_tsan = __tsan_get_current_fiber();
  while (fiber_tsan.size() <= fiber) fiber_tsan.push_back(__tsan_create_fiber(0));
  __tsan_switch_to_fiber(fiber_tsan[fiber], 0);  // 0: the fiber sees what the scheduler has done
  raw_enter(fiber);
}

void fiber_leave(unsigned fiber, bool) {
  __tsan_switch_to_fiber(scheduler_tsan, 1);  // 1: but not the other way round
  raw_leave(fiber);
}

static void entered_first() {}
void fibers_give_up() {  // what they did comes before what follows
  void *const scheduler = __tsan_get_current_fiber();
  for (void *fiber : fiber_tsan) {
    __tsan_switch_to_fiber(fiber, 0);
    __tsan_switch_to_fiber(scheduler, 0);
  }
}

#else

void fiber_enter(unsigned fiber) { raw_enter(fiber); }
void fiber_leave(unsigned fiber, bool) { raw_leave(fiber); }
static void entered_first() {}
void fibers_give_up() {}

#endif

#ifdef SHIM_TSAN
void order_release(void *token) { __tsan_release(token); }
void order_acquire(void *token) { __tsan_acquire(token); }
#else
void order_release(void *) {}
void order_acquire(void *) {}
#endif

static void fiber_entry() {
  entered_first();
  fiber_body();
  abort();  // the body leaves for the last time itself
}

void fibers_start(unsigned count, void (*body)()) {
  stacks_reserve(count);
  fiber_body = body;
  raw_start(count, fiber_entry);
}

}  // namespace shim
