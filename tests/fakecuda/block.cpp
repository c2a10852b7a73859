// SPDX-License-Identifier: MIT
// The scheduler: runs the threads of a block round by round until all are done.
//
// In each round every thread that can run does so until its next barrier or exchange. When all that
// are not done stand at a barrier, it opens. A round in which nobody came further is a deadlock.
#include "block.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <memory>
#include <numeric>
#include <unordered_map>

#include "fiber.h"

namespace shim {

Thread *current;
Dim3 block_index, block_dim, grid_dim;
void *dynamic_shared;
Order order = Order::kForward;
int64_t stray_threads;

namespace {

// One place where the lanes of `mask` swap values. Two rounds alternate, because a fast lane may
// enter the next exchange before a slow one has read this one's values.
struct Exchange {
  unsigned mask;
  unsigned arrived[2], generation[2];
  unsigned entered[32];  // per lane
  Given given[2];
};

struct Warp {
  unsigned live;                                     // lanes that are not done
  unsigned used = 0;                                 // of the exchanges, in this block
  std::vector<std::unique_ptr<Exchange>> exchanges;  // one per mask that was used
};

constexpr unsigned char kPoison = 0xff;  // reads as NaN, or as -1
constexpr size_t kPage = 4096;

alignas(16) unsigned char shared_memory[kSharedBytes];
size_t shared_used, shared_dirty = kSharedBytes;  // by this launch; since it was last poisoned
size_t launch_number;                             // tells places of this launch from older ones
unsigned char *dynamic_end;                       // the page behind is never reachable

std::vector<Thread> threads(kMostThreads);
std::vector<Warp> warps(kMostThreads / 32);
std::vector<unsigned> visits;  // threads of the block in the chosen order
Order visits_order;
bool in_fiber;
char barrier_token[2], done_token;
const Kernel *running;
void *const *running_params;
std::string trouble;

// A step that visits each of n once, far from the one before.
unsigned shuffled_step(unsigned n) {
  unsigned step = (unsigned)((uint64_t)n * 5 / 8) | 1;
  while (std::gcd(step, n) != 1) step += 2;
  return step % n;
}

unsigned volume(Dim3 d) { return d.x * d.y * d.z; }
Dim3 unravel(unsigned i, Dim3 d) { return {i % d.x, i / d.x % d.y, i / (d.x * d.y)}; }
unsigned linear(const Thread *thread) { return (unsigned)(thread - threads.data()); }

void give_way(State state) {
  Thread *self = current;
  self->state = state;
  fiber_leave(linear(self), state == State::kDone);
}

void thread_body() {
  running->run(running_params);
  order_release(&done_token);
  give_way(State::kDone);
}

Exchange *exchange_of(Warp *warp, unsigned mask) {
  for (unsigned i = 0; i < warp->used; i++)
    if (warp->exchanges[i]->mask == mask) return warp->exchanges[i].get();
  if (warp->exchanges.size() == warp->used) warp->exchanges.push_back(std::make_unique<Exchange>());
  Exchange *made = warp->exchanges[warp->used++].get();
  memset(made, 0, offsetof(Exchange, given));
  made->mask = mask;
  return made;
}

void need_fiber(const char *what) {
  if (in_fiber) return;
  fprintf(stderr, "fakecuda: %s uses %s: it is no TV_KERNEL_NO_SYNC\n", running->name, what);
  abort();
}

// What holds for every block of a launch.
void prepare_threads() {
  const unsigned n = volume(block_dim);
  for (unsigned i = 0; i < n; i++) {
    threads[i].index = unravel(i, block_dim);
    threads[i].lane = i % 32;
    threads[i].warp = i / 32;
  }
  if (visits.size() == n && visits_order == order) return;
  visits.resize(n);
  visits_order = order;
  const unsigned step = shuffled_step(n);
  for (unsigned k = 0, at = 0; k < n; k++, at = (at + step) % n)
    visits[k] = order == Order::kForward ? k : order == Order::kReverse ? n - 1 - k : at;
}

// All wait at a barrier; it should be the same one.
void open_barrier(unsigned n) {
  const void *first = nullptr;
  for (unsigned i = 0; i < n; i++) {
    Thread &thread = threads[i];
    if (thread.state != State::kAtBarrier) continue;
    if (!first) first = thread.barrier;
    if (thread.barrier != first) {
      stray_threads++;
      trouble = "threads of a block met at different barriers";
    }
    thread.state = State::kReady;
  }
}

// Lets one thread run. True when it came further.
bool step(Thread *thread) {
  const unsigned before = thread->exchanges;
  current = thread;
  thread->state = State::kReady;
  fiber_enter(linear(thread));
  return thread->state != State::kInExchange || thread->exchanges != before;
}

void run_block_in_fibers(unsigned n) {
  for (unsigned i = 0; i < n; i++) {
    threads[i].barriers = threads[i].exchanges = 0;
    threads[i].state = State::kReady;
  }
  for (unsigned i = 0; i < (n + 31) / 32; i++) {
    warps[i].live = n - i * 32 >= 32 ? ~0u : (1u << n % 32) - 1;
    warps[i].used = 0;
  }
  fibers_start(n, thread_body);
  for (unsigned done = 0; done < n;) {
    unsigned at_barrier = 0;
    bool progress = false;
    for (unsigned k = 0; k < n; k++) {
      Thread *thread = &threads[visits[k]];
      if (thread->state == State::kReady || thread->state == State::kInExchange) {
        progress |= step(thread);
        if (thread->state == State::kDone) {
          warps[thread->warp].live &= ~(1u << thread->lane);
          done++;
        }
      }
      at_barrier += thread->state == State::kAtBarrier;
    }
    if (done < n && at_barrier == n - done) {
      open_barrier(n);
    } else if (!progress) {
      trouble = "deadlock: " + std::to_string(at_barrier) + " threads of a block at a barrier, " +
                std::to_string(n - done - at_barrier) + " in a warp exchange";
    }
    if (!trouble.empty()) return fibers_give_up();
  }
  order_acquire(&done_token);  // what the block did comes before the next one
}

void run_block(unsigned n) {
  in_fiber = kRaceCheck || !running->no_sync;
  if (in_fiber) return run_block_in_fibers(n);
  const Thunk run = running->run;
  void *const *const params = running_params;
  for (unsigned k = 0; k < n; k++) {
    current = &threads[visits[k]];
    run(params);
  }
}

void poison_shared(size_t dynamic_bytes) {
  memset(shared_memory, kPoison, shared_dirty);
  shared_dirty = shared_used;
  if (dynamic_bytes == 0) return;
  if (!dynamic_end) {
    void *made = mmap(nullptr, kSharedBytes + kPage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) abort();
    dynamic_end = static_cast<unsigned char *>(made) + kSharedBytes;
    mprotect(dynamic_end, kPage, PROT_NONE);
  }
  const size_t bytes = (dynamic_bytes + 15) / 16 * 16;
  dynamic_shared = memset(dynamic_end - bytes, kPoison, bytes);
}

std::unordered_map<std::string, Kernel> &registry() {
  static std::unordered_map<std::string, Kernel> kernels;
  return kernels;
}

}  // namespace

// What a kernel calls -------------------------------------------------------------------------

void barrier(const void *site) {
  need_fiber("__syncthreads");
  Thread *self = current;
  void *token = &barrier_token[self->barriers++ % 2];
  self->barrier = site;
  order_release(token);
  give_way(State::kAtBarrier);
  order_acquire(token);
}

const Given &exchange(unsigned mask, uint64_t bits, bool orders_memory) {
  need_fiber("a warp exchange");
  Thread *self = current;
  Warp &warp = warps[self->warp];
  Exchange *place = exchange_of(&warp, mask);

  const unsigned round = place->entered[self->lane]++ % 2;
  Given &given = place->given[round];
  if (orders_memory) order_release(&given);
  self->exchanges++;
  if (place->arrived[round] == 0) {
    memset(given.value, kPoison, sizeof given.value);
    given.either = 0;
  }
  given.value[self->lane] = bits;
  given.either |= bits;
  place->arrived[round] |= 1u << self->lane;

  const unsigned generation = place->generation[round];
  while (place->generation[round] == generation) {
    const unsigned needed = mask & warp.live;  // a lane that is done is not waited for
    if ((place->arrived[round] & needed) == needed) {
      place->arrived[round] = 0;
      place->generation[round]++;
    } else {
      give_way(State::kInExchange);
    }
  }
  if (orders_memory) order_acquire(&given);
  return given;
}

// A place keeps the launch and the offset that it had then.
void *shared_bytes(size_t *place, size_t bytes) {
  if (*place >> 16 != launch_number) {
    const size_t offset = (shared_used + 15) / 16 * 16;
    if (offset + bytes > kSharedBytes) {
      fprintf(stderr, "fakecuda: %s has more than 48 KiB of shared memory\n", running->name);
      abort();
    }
    *place = launch_number << 16 | offset;
    shared_used = offset + bytes;
    if (shared_dirty < shared_used) shared_dirty = shared_used;
  }
  return shared_memory + (*place & 0xffff);
}

// What the driver calls -----------------------------------------------------------------------

int register_kernel(Kernel kernel) {
  const std::string name = kernel.name;
  if (!registry().emplace(name, std::move(kernel)).second) {
    fprintf(stderr, "fakecuda: there are two kernels %s\n", name.c_str());
    abort();
  }
  return 0;
}

const Kernel *find_kernel(const char *name) {
  const auto found = registry().find(name);
  return found == registry().end() ? nullptr : &found->second;
}

std::string run_grid(const Kernel &kernel, Dim3 grid, Dim3 block, size_t dynamic_bytes,
                     void *const *params) {
  running = &kernel;
  running_params = params;
  grid_dim = grid;
  block_dim = block;
  launch_number++;
  shared_used = 0;
  trouble.clear();
  prepare_threads();
  const unsigned n = volume(grid), threads_of_block = volume(block), step = shuffled_step(n);
  for (unsigned k = 0, at = 0; k < n && trouble.empty(); k++, at = (at + (uint64_t)step) % n) {
    const unsigned i = order == Order::kForward ? k : order == Order::kReverse ? n - 1 - k : at;
    block_index = unravel(i, grid);
    poison_shared(dynamic_bytes);
    run_block(threads_of_block);
  }
  if (shared_used + dynamic_bytes > kSharedBytes) trouble = "more than 48 KiB of shared memory";
  return trouble.empty() ? trouble : std::string(kernel.name) + ": " + trouble;
}

}  // namespace shim
