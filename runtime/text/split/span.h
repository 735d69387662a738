/* runtime/text/split/span.h: a part of a text, in bytes, and lists of parts. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct span {
    uint32_t begin, end;
};

struct spans { /* all zero is an empty list */
    struct span *data;
    size_t n, capacity;
};

void spans_add(struct spans *spans, size_t begin, size_t end);
void spans_release(struct spans *spans);
