/* SPDX-License-Identifier: MIT
 * Streams and events: the slots, and the spare events that order streams. */
#include "runtime.h"

/* The body of a slot that is one driver call within a visit. */
#define ONE_CALL(gpu, ...)                         \
  tvi_visit visit;                                 \
  tv_status status = tvi_gpu_enter((gpu), &visit); \
  if (status) return status;                       \
  status = TVI_CU((gpu), __VA_ARGS__);             \
  tvi_gpu_leave(&visit);                           \
  return status

tv_status tvi_gpu_synchronize(void *self, void *stream) {
  tvi_gpu *const gpu = self;
  ONE_CALL(gpu, cuStreamSynchronize, tvi_stream_of(gpu, stream)->cu);
}

/* Streams ----------------------------------------------------------------------------------- */

tv_status tvi_gpu_stream_open(void *self, void **stream) {
  tvi_gpu *const gpu = self;
  tvi_gpu_stream *const made = tvi_host->alloc(sizeof *made);
  if (!made)
    return tvi_host->fail(TV_ENOMEM, "%s: no memory on cpu for %zu bytes", gpu->name, sizeof *made);
  tvi_visit visit;
  tv_status status = tvi_gpu_enter(gpu, &visit);
  if (!status) {
    status = TVI_CU(gpu, cuStreamCreate, &made->cu, CU_STREAM_NON_BLOCKING);
    tvi_gpu_leave(&visit);
  }
  if (status)
    tvi_host->free(made);
  else
    *stream = made; /* the core's, for the life of the process */
  return status;
}

tv_status tvi_spare_event(tvi_gpu *gpu, CUevent *event) {
  pthread_mutex_lock(&gpu->lock);
  *event = gpu->n_spare ? gpu->spare[--gpu->n_spare] : NULL;
  pthread_mutex_unlock(&gpu->lock);
  return *event ? TV_OK : TVI_CU(gpu, cuEventCreate, event, CU_EVENT_DISABLE_TIMING);
}

void tvi_spare_event_back(tvi_gpu *gpu, CUevent event) {
  pthread_mutex_lock(&gpu->lock);
  const bool is_kept = gpu->n_spare < (int)(sizeof gpu->spare / sizeof *gpu->spare);
  if (is_kept) gpu->spare[gpu->n_spare++] = event;
  pthread_mutex_unlock(&gpu->lock);
  if (!is_kept) tvi_driver.cuEventDestroy(event);
}

/* An event may be recorded anew as soon as the wait for it is queued. */
tv_status tvi_gpu_stream_wait(void *self, void *stream, void *other) {
  tvi_gpu *const gpu = self;
  CUevent event = NULL;
  tvi_visit visit;
  tv_status status = tvi_gpu_enter(gpu, &visit);
  if (status) return status;
  status = tvi_spare_event(gpu, &event);
  if (!status) status = TVI_CU(gpu, cuEventRecord, event, tvi_stream_of(gpu, other)->cu);
  if (!status) status = TVI_CU(gpu, cuStreamWaitEvent, tvi_stream_of(gpu, stream)->cu, event, 0);
  if (event) tvi_spare_event_back(gpu, event);
  tvi_gpu_leave(&visit);
  return status;
}

/* Events ------------------------------------------------------------------------------------ */

tv_status tvi_gpu_event_open(void *self, void **event) {
  tvi_gpu *const gpu = self;
  if (tvi_gpu_is_forked()) return tvi_gpu_ready(gpu);
  pthread_mutex_lock(&gpu->lock);
  *event = gpu->n_timed ? gpu->timed[--gpu->n_timed] : NULL;
  pthread_mutex_unlock(&gpu->lock);
  if (*event) return TV_OK;
  ONE_CALL(gpu, cuEventCreate, (CUevent *)event, CU_EVENT_DEFAULT);
}

void tvi_gpu_event_release(void *self, void *event) {
  tvi_gpu *const gpu = self;
  tvi_visit visit = {NULL, false};
  if (tvi_gpu_is_forked()) return;
  pthread_mutex_lock(&gpu->lock);
  const bool is_kept = gpu->n_timed < (int)(sizeof gpu->timed / sizeof *gpu->timed);
  if (is_kept) gpu->timed[gpu->n_timed++] = event;
  pthread_mutex_unlock(&gpu->lock);
  if (is_kept || !tvi_gpu_is_usable(gpu) || tvi_gpu_enter(gpu, &visit)) return;
  tvi_driver.cuEventDestroy(event);
  tvi_gpu_leave(&visit);
}

tv_status tvi_gpu_event_record(void *self, void *event, void *stream) {
  tvi_gpu *const gpu = self;
  ONE_CALL(gpu, cuEventRecord, event, tvi_stream_of(gpu, stream)->cu);
}

tv_status tvi_gpu_event_wait(void *self, void *event, void *stream) {
  tvi_gpu *const gpu = self;
  ONE_CALL(gpu, cuStreamWaitEvent, tvi_stream_of(gpu, stream)->cu, event, 0);
}

tv_status tvi_gpu_event_synchronize(void *self, void *event) {
  tvi_gpu *const gpu = self;
  ONE_CALL(gpu, cuEventSynchronize, event);
}

tv_status tvi_gpu_event_query(void *self, void *event, bool *is_done) {
  tvi_gpu *const gpu = self;
  tvi_visit visit;
  tv_status status = tvi_gpu_enter(gpu, &visit);
  if (status) return status;
  const CUresult result = tvi_driver.cuEventQuery(event);
  *is_done = result == 0;
  if ((int)result != CUDA_ERROR_NOT_READY) status = tvi_gpu_result(gpu, "cuEventQuery", result);
  tvi_gpu_leave(&visit);
  return status;
}

tv_status tvi_gpu_event_elapsed(void *self, void *from, void *to, double *milliseconds) {
  tvi_gpu *const gpu = self;
  float elapsed = 0;
  tvi_visit visit;
  tv_status status = tvi_gpu_enter(gpu, &visit);
  if (status) return status;
  status = TVI_CU(gpu, cuEventElapsedTime, &elapsed, from, to);
  *milliseconds = (double)elapsed;
  tvi_gpu_leave(&visit);
  return status;
}
