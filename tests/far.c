/* SPDX-License-Identifier: MIT
 * The far device over the CPU backend. */
#include "far.h"

#include <stdatomic.h>

#include "check.h"
#include "cpu/cpu.h"

static _Atomic int64_t jobs, steps, stored;

/* Bit 62: no user address of a 64-bit machine has it; adding offsets leaves it alone. Addresses of
 * 32 bits have none to spare: turning the uppermost leads from heap and libraries, which are at
 * both ends, into the middle, where there is nothing. */
enum { BIT = sizeof(void *) == 8 ? 62 : 31 };
static void *turned(const void *at) {
  return at ? (void *)((uintptr_t)at ^ (uintptr_t)1 << BIT) : NULL;
}
static void *far_of(const void *near) { return turned(near); }
static void *near_of(const void *far) {
  /* Else it is host memory, or another device's. */
  CHECK(!far || BIT == 31 || (uintptr_t)far >> BIT & 1);
  return turned(far);
}

static const tv_backend *cpu(void) { return tvi_cpu_backend(); }

static tv_status reserve(void *self, int64_t bytes, void *stream, void **out) {
  const tv_status status = cpu()->reserve(self, bytes, stream, out);
  *out = far_of(*out);
  return status;
}
static void release(void *self, void *block, int64_t bytes, void *stream, int n_users,
                    void *const *users) {
  cpu()->release(self, near_of(block), bytes, stream, n_users, users);
}
static tv_status copy_in(void *self, void *to, const void *from, int64_t bytes, void *stream) {
  return cpu()->copy_in(self, near_of(to), from, bytes, stream);
}
static tv_status copy_out(void *self, void *to, const void *from, int64_t bytes, void *stream) {
  return cpu()->copy_out(self, to, near_of(from), bytes, stream);
}
static tv_status synchronize(void *self, void *stream) { return cpu()->synchronize(self, stream); }

static tv_operand near_operand(tv_operand operand) {
  if (!operand.is_immediate) operand.data = near_of(operand.data);
  return operand;
}

static tv_status elementwise(void *self, const tv_elementwise *job, void *stream) {
  tv_elementwise near = *job;
  near.out = near_operand(job->out);
  for (int k = 0; k < job->n_inputs; k++) near.in[k] = near_operand(job->in[k]);
  jobs++;
  return cpu()->elementwise(self, &near, stream);
}
static tv_status convert(void *self, const tv_convert *job, void *stream) {
  tv_convert near = *job;
  near.out = near_operand(job->out);
  near.in = near_operand(job->in);
  jobs++;
  return cpu()->convert(self, &near, stream);
}
static tv_status sequence(void *self, const tv_sequence *job, void *stream) {
  tv_sequence near = *job;
  near.out = near_of(job->out);
  jobs++;
  return cpu()->sequence(self, &near, stream);
}
/* A program with its addresses brought near. */
typedef struct {
  tv_program job;
  tv_operand inputs[TV_MAX_PROGRAM_INPUTS];
  tv_step steps[TV_MAX_STEPS];
} near_program;

static void bring_near(near_program *p, const tv_program *job) {
  p->job = *job;
  p->job.inputs = p->inputs;
  p->job.steps = p->steps;
  for (int k = 0; k < job->n_inputs; k++) p->inputs[k] = near_operand(job->inputs[k]);
  for (int k = 0; k < job->n_steps; k++) {
    p->steps[k] = job->steps[k];
    p->steps[k].out = near_of(job->steps[k].out);
    stored += job->steps[k].out != NULL;
  }
  steps += job->n_steps;
}
static tv_status program(void *self, const tv_program *job, void *stream) {
  near_program near;
  bring_near(&near, job);
  jobs++;
  return cpu()->program(self, &near.job, stream);
}
static tv_status reduce(void *self, const tv_reduce *job, void *stream) {
  tv_reduce near = *job;
  near_program of;
  if (job->program) {
    bring_near(&of, job->program);
    near.program = &of.job;
  }
  near.in = near_operand(job->in);
  near.out = near_of(job->out);
  jobs++;
  return cpu()->reduce(self, &near, stream);
}
static tv_status matmul(void *self, const tv_matmul_job *job, void *stream) {
  tv_matmul_job near = *job;
  near.a = near_of(job->a);
  near.b = near_of(job->b);
  near.out = near_of(job->out);
  jobs++;
  return cpu()->matmul(self, &near, stream);
}
static tv_gather near_gather(const tv_gather *job) {
  tv_gather near = *job;
  near.in = near_of(job->in);
  near.indices = near_of(job->indices);
  near.out = near_of(job->out);
  jobs++;
  return near;
}
static tv_status gather(void *self, const tv_gather *job, void *stream) {
  const tv_gather near = near_gather(job);
  return cpu()->gather(self, &near, stream);
}
static tv_status scatter_add(void *self, const tv_gather *job, void *stream) {
  const tv_gather near = near_gather(job);
  return cpu()->scatter_add(self, &near, stream);
}
static tv_status find_bad_index(void *self, const int64_t *indices, int64_t n, int64_t low,
                                int64_t high, int64_t *position, int64_t *value, void *stream) {
  return cpu()->find_bad_index(self, near_of(indices), n, low, high, position, value, stream);
}
static tv_status draw(void *self, const tv_random *job, void *stream) {
  tv_random near = *job;
  near.out = near_of(job->out);
  jobs++;
  return cpu()->random(self, &near, stream);
}
static tv_status argsort_u64(void *self, const uint64_t *keys, int64_t n, int64_t *out,
                             void *stream) {
  return cpu()->argsort_u64(self, near_of(keys), n, near_of(out), stream);
}

const tv_backend *far_backend(void) {
  static const tv_backend backend = {.size = sizeof(tv_backend),
                                     .abi = TV_BACKEND_ABI,
                                     .reserve = reserve,
                                     .release = release,
                                     .copy_in = copy_in,
                                     .copy_out = copy_out,
                                     .synchronize = synchronize,
                                     .elementwise = elementwise,
                                     .convert = convert,
                                     .sequence = sequence,
                                     .reduce = reduce,
                                     .matmul = matmul,
                                     .gather = gather,
                                     .scatter_add = scatter_add,
                                     .find_bad_index = find_bad_index,
                                     .random = draw,
                                     .argsort_u64 = argsort_u64,
                                     .program = program};
  return &backend;
}

tv_device far_device(void) {
  static tv_device device = TV_DEVICE_NONE;
  if (device == TV_DEVICE_NONE) OK(tv_device_register(far_backend(), NULL, "far:0", &device));
  return device;
}

int64_t far_jobs(void) { return atomic_load(&jobs); }
int64_t far_steps(void) { return atomic_load(&steps); }
int64_t far_stored(void) { return atomic_load(&stored); }
