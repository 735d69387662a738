/* tests/cuda_emulator/cuda_emulator.h: a GPU for tests, made of host code: the kernels of
 * kernels/cuda/ compiled by a host compiler, and the runtime that starts them.
 *
 * Threads of a block are fibers of the calling host thread. Blocks run one after another, in
 * order. Wherever threads wait for each other (a barrier, a shuffle, gpu_mma() …) another thread
 * goes on; which one, and which thread of a block starts first, follows from a seed. Shared memory
 * is full of NaN (bytes 0xff) before each block, as device memory is when it is new. Hence what a
 * kernel must not rely on shows: a missing barrier reads NaN or old numbers with some seed, a
 * missing gpu_copy_wait() always does.
 *
 * These stop the process, with a line that names kernel and block: threads that wait at different
 * barriers, or for a thread that has ended; a shuffle from a thread that takes no part; a kernel
 * that does not start with gpu_begin(); misaligned or foreign addresses of shared memory; writes
 * beyond an array of shared memory; copies outside live allocations; a graph that was captured
 * over memory that is free by now; a kernel whose arguments point to memory of the host that is not
 * pinned; a host that touches device memory (where the processor has protection keys). Each word of
 * the arguments that could be a pointer counts as one: fill a struct that was zero before.
 *
 * Limits. No two blocks run at once: races between blocks do not show, and a block that waits for
 * another one waits for ever, as does a thread that spins on memory. No time, no registers, no
 * cache. The matrix unit adds in float32, k ascending, products exact: a real one rounds
 * otherwise. Shuffles and barriers cost about 10 ns a thread: shapes of tests are small.
 *
 * All state but device memory belongs to the host thread that uses it: ranks may be threads.
 *
 * Environment, with what holds where it says nothing:
 *   EMULATOR_SEED=1           the order of threads
 *   EMULATOR_LAZY=0           1: a stream does nothing until somebody waits for it or asks about
 *                             it, so a host that reads too early reads old numbers
 *   EMULATOR_DEVICES=1        how many there are
 *   EMULATOR_MEMORY=268435456 bytes of each
 *   EMULATOR_CAPABILITY=90    compute capability, times ten
 *   EMULATOR_SHARED=...       bytes that a block may ask for
 *   EMULATOR_DRIVER=13000     version; 0: there is none
 *   EMULATOR_FAIL=NAME:N      the Nth call of NAME, from 1, fails
 */
#pragma once
#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The order of threads in the blocks that this host thread runs from now on. */
void emulated_seed(uint32_t seed);

/* Does function(context) when everything queued on the stream before is done, and again at each
 * replay when the stream is being captured; n_bytes of context are copied. This is how libraries
 * (cuBLASLt, NCCL) queue their work. PENDING: not done yet, ask again; the stream stands still.
 * FAILED: the stream, like a real one, does nothing more, and says so at the next wait.
 * `name`, a literal, is for messages. */
enum emulated_progress { EMULATED_DONE, EMULATED_PENDING, EMULATED_FAILED };
typedef enum emulated_progress emulated_work_fn(void *context);
cudaError_t emulated_stream_enqueue(cudaStream_t stream, const char *name, emulated_work_fn *work,
                                    const void *context, size_t n_bytes);

/* Whether a host that touches device memory is stopped: the processor has protection keys. */
bool emulated_guards_memory(void);

/* From now on the streams of this host thread go on by themselves while work in them is pending, as
 * those of a GPU do: a thread looks after them. For libraries whose work waits for other ranks. */
void emulated_work_behind(void);

/* Stops the process unless [p, p + n_bytes) lies in one live allocation of device memory. */
void emulated_check_device(const char *name, const void *p, size_t n_bytes);

/* As EMULATOR_FAIL, for this host thread from now on: the nth call of `name` fails. A kernel's
 * name: it fails while it runs. */
void emulated_fail(const char *name, int nth);
/* Whether the call `name` is to fail now; asking counts. For libraries of the emulator. */
bool emulated_fails(const char *name);

#ifdef __cplusplus
}
#include "tests/cuda_emulator/threads.inc.h"
#endif
