/* tests/unit/parallel_nccl/in_child.h: ranks with GPUs in a child of the test: faults come from the
 * environment, and may end the process.
 */
#pragma once
#include "tests/unit/parallel_nccl/gpus.h"

#include <stdint.h>

enum { TEXT_BYTES = 4096 };

/* What a child wrote, and how it ended. */
struct end {
    char text[TEXT_BYTES];
    int status;
    int64_t ns;
};

/* Runs the group in a child, with NCCL_EMULATOR=fault; its errors come as "0: ...\n1: good\n". */
struct end run_in_child(struct gpu_group *group, const char *fault);
/* The child has written the text. */
void expect(const struct end *end, const char *text);
