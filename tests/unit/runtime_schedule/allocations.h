/* tests/unit/runtime_schedule/allocations.h: how often memory was asked for. The linker sends every
 * allocation of ours through the counter here (--wrap=malloc,calloc,realloc). */
#pragma once

long allocations(void); /* so far */
