/* SPDX-License-Identifier: MIT
 * Streams: queues of work on a device, and events to look at them by.
 *
 * Each device has a main stream, which work goes to unless the thread has another current one. Work
 * on different streams may run at the same time. Results are ordered without any help: an op that
 * reads what another stream writes waits for it there, and memory is not given out again while some
 * stream still uses it. A device without queues, such as the CPU, is done with its work when a call
 * returns; streams and events of it exist and are always done. */
#ifndef TENSORVAR_STREAM_H
#define TENSORVAR_STREAM_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

typedef struct tv_stream tv_stream;
typedef struct tv_event tv_event;

/**
 * Make a stream of a device; to be released.
 *
 * Errors    - TV_EDEVICE  there is no such device, or it is lost
 *           - TV_EVALUE   63 streams of the device are in use
 *           - TV_ENOMEM
 */
TV_API tv_stream *tv_stream_new(tv_device device);
TV_API tv_stream *tv_stream_retain(tv_stream *stream);
/** Let go of a stream. What is queued on it still runs. */
TV_API void tv_stream_release(tv_stream *stream);

/** Make a stream the thread's current one, for work on its device; NULL: the main streams. The
 * thread retains it until another is set or the thread ends. */
TV_API tv_status tv_stream_set(tv_stream *stream);
/** The thread's current stream, borrowed; NULL if it is the main one. */
TV_API tv_stream *tv_stream_current(void);

/** Wait until all that is queued on a stream has run, and report what failed in it. */
TV_API tv_status tv_stream_synchronize(tv_stream *stream);

/** Make an event of a device, not recorded yet; to be released. NULL with TV_EDEVICE or TV_ENOMEM.
 */
TV_API tv_event *tv_event_new(tv_device device);
TV_API tv_event *tv_event_retain(tv_event *event);
TV_API void tv_event_release(tv_event *event);

/** Mark the point that the thread's current stream of the event's device has come to. */
TV_API tv_status tv_event_record(tv_event *event);
/** What is queued on the thread's current stream from now on waits for the event; nothing if it is
 *  not recorded. */
TV_API tv_status tv_event_wait(tv_event *event);
/** Wait until the event has been reached; at once if it is not recorded. */
TV_API tv_status tv_event_synchronize(tv_event *event);
/** Whether the event has been reached; true if it is not recorded. */
TV_API tv_status tv_event_query(tv_event *event, bool *is_done);
/**
 * Milliseconds between two events that have been reached.
 *
 * Errors    - TV_EVALUE   one of them is not recorded or not reached, or they are of two devices
 */
TV_API tv_status tv_event_elapsed(tv_event *from, tv_event *to, double *milliseconds);

/**
 * Copy the elements of x, in C order, to host memory once the current stream comes there.
 *
 * `out` is the caller's and stays in use until the stream, or an event recorded after this call,
 * has been waited for; only pinned memory (tv_pinned_new) lets the call return before.
 *
 * Errors    - TV_EVALUE   capacity is less than the bytes of x, naming both
 */
TV_API tv_status tv_tensor_copy_out_later(tv_tensor *x, void *out, int64_t capacity);

/** Bytes of host memory that a device copies from and to at its full speed, aligned to 64; plain
 * memory for a device without such. To be given back by tv_pinned_release. NULL with TV_ENOMEM,
 * TV_EDEVICE or TV_EVALUE if bytes is not positive. */
TV_API void *tv_pinned_new(tv_device device, int64_t bytes);
TV_API void tv_pinned_release(tv_device device, void *block);

TV_END_C
#endif
