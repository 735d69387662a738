/* The capacity doubles, so adding n bytes one by one costs O(n), and always has room for the NUL.
 */
#include "base/bytes.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_CAPACITY = 64 };

bool bytes_reserve(struct bytes *b, size_t n_more)
{
    const size_t max = b->max ? b->max : SIZE_MAX / 4; /* so that no sum below overflows */
    if (n_more > max || b->len > max - n_more)
        return false;
    const size_t needed = b->len + n_more + 1;
    if (needed <= b->capacity)
        return true;
    size_t capacity = b->capacity ? b->capacity : FIRST_CAPACITY;
    while (capacity < needed)
        capacity *= 2;
    b->data = memory_resize(b->data, capacity, 1);
    b->capacity = capacity;
    b->data[b->len] = '\0';
    return true;
}

bool bytes_add(struct bytes *b, const void *data, size_t n)
{
    if (!bytes_reserve(b, n))
        return false;
    if (n > 0)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
    return true;
}

bool bytes_add_text(struct bytes *b, const char *text) { return bytes_add(b, text, strlen(text)); }

bool bytes_add_char(struct bytes *b, char c) { return bytes_add(b, &c, 1); }

bool bytes_printf(struct bytes *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    check(n >= 0);
    if (!bytes_reserve(b, (size_t)n))
        return false;
    va_start(args, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
    return true;
}

void bytes_remove_front(struct bytes *b, size_t n)
{
    check(n <= b->len);
    if (n == 0)
        return;
    b->len -= n;
    memmove(b->data, b->data + n, b->len + 1);
}

void bytes_clear(struct bytes *b)
{
    b->len = 0;
    if (b->data != NULL)
        b->data[0] = '\0';
}

void bytes_release(struct bytes *b)
{
    memory_free(b->data);
    *b = (struct bytes){.max = b->max};
}
