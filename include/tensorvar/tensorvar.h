/* SPDX-License-Identifier: MIT
 * libtensorvar: tensors and Variables for C.
 *
 * The contract, which holds for every function and is not said again:
 *
 * Values and cells. No operation changes a tensor. A tv_variable is the only thing that changes.
 * Views share bytes, a read is a snapshot, and threads may share tensors freely.
 *
 * Ownership. Every op gives its result to the innermost open scope, which releases it at its end;
 * with no open scope it fails with TV_ESCOPE. Only functions whose name contains `new`, `open` or
 * `retain` give something that the caller must release. Arguments are borrowed for the call.
 *
 * Errors. An op that fails returns NULL, an op given NULL returns NULL, and the thread keeps the
 * first failure: write the whole expression, check once (tv_error, tv_scope_end). Status functions
 * return what they came to, and fill the same slot. A text says who, what, and both sides. On
 * failure nothing has changed and nothing is lost. The library never prints, exits, aborts or
 * installs a handler.
 *
 * Threads. Any function may be called from any thread. Scopes, tapes, errors, the current device
 * and the current stream belong to the thread. docs/threads.md says for each handle what waits for
 * what.
 *
 * Devices. An op runs where its operands are, and nothing is moved but by tv_to. On a device with
 * queues an op returns when its work is queued; whoever asks for a value waits for it.
 *
 * Shapes. Broadcasting, promotion and special values are NumPy 2's; operands without elements and
 * 0-d operands are legal everywhere unless an entry says otherwise.
 *
 * Options. NULL means the defaults. A struct starts from its initialiser, `tv_adam_options o =
 * TV_ADAM_OPTIONS;`, and every field is then taken literally; one whose size is 0, or larger than
 * the library knows, is TV_EVALUE.
 *
 * Same bits. The same inputs give the same bits in every run and on any number of threads. */
#ifndef TENSORVAR_TENSORVAR_H
#define TENSORVAR_TENSORVAR_H

#include <tensorvar/accumulator.h>
#include <tensorvar/average.h>
#include <tensorvar/backend.h>
#include <tensorvar/checkpoint.h>
#include <tensorvar/clip.h>
#include <tensorvar/custom.h>
#include <tensorvar/device.h>
#include <tensorvar/dlpack.h>
#include <tensorvar/dtype.h>
#include <tensorvar/index.h>
#include <tensorvar/lbfgs.h>
#include <tensorvar/linalg.h>
#include <tensorvar/loss.h>
#include <tensorvar/norm.h>
#include <tensorvar/npy.h>
#include <tensorvar/npy_writer.h>
#include <tensorvar/npz.h>
#include <tensorvar/ops.h>
#include <tensorvar/optimizer.h>
#include <tensorvar/print.h>
#include <tensorvar/random.h>
#include <tensorvar/reduce.h>
#include <tensorvar/rows.h>
#include <tensorvar/safetensors.h>
#include <tensorvar/scaler.h>
#include <tensorvar/schedule.h>
#include <tensorvar/scope.h>
#include <tensorvar/shape.h>
#include <tensorvar/status.h>
#include <tensorvar/stream.h>
#include <tensorvar/tape.h>
#include <tensorvar/tensor.h>
#include <tensorvar/variable.h>

#endif
