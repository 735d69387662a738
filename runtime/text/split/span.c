#include "runtime/text/split/span.h"

#include "base/memory.h"

enum { FIRST_CAPACITY = 64 };

void spans_add(struct spans *spans, size_t begin, size_t end)
{
    if (spans->n == spans->capacity) {
        spans->capacity = spans->capacity ? spans->capacity * 2 : FIRST_CAPACITY;
        spans->data = memory_resize(spans->data, spans->capacity, sizeof *spans->data);
    }
    spans->data[spans->n++] = (struct span){(uint32_t)begin, (uint32_t)end};
}

void spans_release(struct spans *spans)
{
    memory_free(spans->data);
    *spans = (struct spans){0};
}
