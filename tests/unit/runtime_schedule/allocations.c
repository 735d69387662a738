#include "tests/unit/runtime_schedule/allocations.h"

#include <stdlib.h>

static long n_allocations;

void *__real_malloc(size_t n_bytes);
void *__real_calloc(size_t count, size_t n_bytes);
void *__real_realloc(void *p, size_t n_bytes);
void *__wrap_malloc(size_t n_bytes);
void *__wrap_calloc(size_t count, size_t n_bytes);
void *__wrap_realloc(void *p, size_t n_bytes);

long allocations(void) { return n_allocations; }

void *__wrap_malloc(size_t n_bytes)
{
    n_allocations++;
    return __real_malloc(n_bytes);
}

void *__wrap_calloc(size_t count, size_t n_bytes)
{
    n_allocations++;
    return __real_calloc(count, n_bytes);
}

void *__wrap_realloc(void *p, size_t n_bytes)
{
    n_allocations++;
    return __real_realloc(p, n_bytes);
}
