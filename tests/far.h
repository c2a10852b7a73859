/* SPDX-License-Identifier: MIT
 * A device whose memory the host cannot touch: "far". Its blocks are the CPU's, but it hands out
 * their addresses with a bit set that makes them no addresses, and takes the bit away when it is
 * asked to compute. Whoever reads or writes a byte of it elsewhere is stopped by the processor. */
#ifndef TV_TESTS_FAR_H
#define TV_TESTS_FAR_H

#include <tensorvar/backend.h>

/* Registered at the first call. */
tv_device far_device(void);

/* Jobs that the device has run since it was registered. */
int64_t far_jobs(void);

/* Steps of programs among them, and how many of those were stored. */
int64_t far_steps(void);
int64_t far_stored(void);

/* The slots of the far device; for tests that register another like it. */
const tv_backend *far_backend(void);

#endif
