/* tests/unit/runtime_forward_cuda/gpus.h: ranks of a test with an emulated GPU each. */
#pragma once
#include "tests/unit/runtime_forward/runner.h"

extern const struct gpu_setup exact_gpus; /* --numerics exact, steps are recorded */
extern const struct gpu_setup eager_gpus; /* and never are */
extern const struct gpu_setup fast_gpus;  /* --numerics fast */
