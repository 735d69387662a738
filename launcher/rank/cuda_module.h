/* launcher/rank/cuda_module.h: the module of CUDA, loaded when a GPU is to be used.
 *
 * A rank on a CPU loads none of NVIDIA's libraries, and one program runs on machines with and
 * without them.
 */
#pragma once
#include "launcher/rank/cuda_entry.h"

#include <stdbool.h>
#include <stdio.h>

struct error;

/* Loads phalanx-cuda.so from the folder of this program, once; it stays until the end.
 * ERROR_UNSUPPORTED, in words for users: this build has none, or a library that it needs is missing
 * (its name), or it is of other sources than this program. */
bool cuda_module_load(const struct cuda_entry **out, struct error *err);

/* For `phalanx doctor`: lines about GPUs, driver and libraries, or why there are none. */
void cuda_module_tell(FILE *out);
