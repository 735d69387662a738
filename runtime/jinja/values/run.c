#include "runtime/jinja/values/run.h"

#include "base/utf8.h"
#include "runtime/jinja/values/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Small values come out of blocks: an arena aligns to a cache line, and a value has 16 bytes. */
enum { BLOCK_BYTES = 16 << 10, ALIGNMENT = 8 };

const char *exception_name(enum exception kind)
{
    static const char *const names[] = {
        [EXCEPTION_NONE] = "none",
        [TEMPLATE_ERROR] = "TemplateError",
        [TEMPLATE_SYNTAX_ERROR] = "TemplateSyntaxError",
        [TEMPLATE_ASSERTION_ERROR] = "TemplateAssertionError",
        [TEMPLATE_RUNTIME_ERROR] = "TemplateRuntimeError",
        [UNDEFINED_ERROR] = "UndefinedError",
        [FILTER_ARGUMENT_ERROR] = "FilterArgumentError",
        [SECURITY_ERROR] = "SecurityError",
        [TYPE_ERROR] = "TypeError",
        [VALUE_ERROR] = "ValueError",
        [KEY_ERROR] = "KeyError",
        [INDEX_ERROR] = "IndexError",
        [ATTRIBUTE_ERROR] = "AttributeError",
        [ZERO_DIVISION_ERROR] = "ZeroDivisionError",
        [OVERFLOW_ERROR] = "OverflowError",
        [RECURSION_ERROR] = "RecursionError",
        [RUNTIME_ERROR] = "RuntimeError",
        [ASSERTION_ERROR] = "AssertionError",
        [UNICODE_ERROR] = "UnicodeError",
        [LIMIT_EXCEEDED] = "LimitExceeded",
        [NOT_SUPPORTED] = "NotSupported",
    };
    return names[kind];
}

bool run_raise_text(struct run *r, enum exception kind, const char *text, size_t n_bytes)
{
    if (r->exception != EXCEPTION_NONE)
        return false;
    if (n_bytes >= RUN_MESSAGE_BYTES) {
        n_bytes = RUN_MESSAGE_BYTES - 1;
        while (n_bytes > 0 && ((unsigned char)text[n_bytes] & 0xC0) == 0x80)
            n_bytes--;
    }
    if (n_bytes > 0)
        memcpy(r->message, text, n_bytes);
    r->message[n_bytes] = '\0';
    r->exception = kind;
    return false;
}

bool run_raise(struct run *r, enum exception kind, const char *fmt, ...)
{
    char text[2 * RUN_MESSAGE_BYTES];
    va_list list;
    va_start(list, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    const size_t n_bytes = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    return run_raise_text(r, kind, text, n_bytes);
}

bool run_raise_too_large(struct run *r)
{
    return run_raise(r, NOT_SUPPORTED, "whole numbers beyond 64 bits are not supported");
}

void *run_alloc(struct run *r, size_t count, size_t item_bytes)
{
    size_t n_bytes;
    if (__builtin_mul_overflow(count, item_bytes, &n_bytes) || n_bytes > r->max_bytes ||
        r->n_bytes > r->max_bytes - n_bytes) {
        run_raise(r, LIMIT_EXCEEDED, "the template needs more than %zu MB of memory",
                  r->max_bytes >> 20);
        return NULL;
    }
    n_bytes = (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    r->n_bytes += n_bytes;
    if (n_bytes > BLOCK_BYTES / 8)
        return arena_alloc(&r->arena, 1, n_bytes);
    if (n_bytes > r->block_left) {
        r->block = arena_alloc(&r->arena, 1, BLOCK_BYTES);
        r->block_left = BLOCK_BYTES;
    }
    void *p = r->block;
    r->block += n_bytes;
    r->block_left -= n_bytes;
    return p;
}

bool run_step(struct run *r, size_t n)
{
    if (n <= r->max_steps && r->n_steps <= r->max_steps - n) {
        r->n_steps += n;
        return true;
    }
    return run_raise(r, LIMIT_EXCEEDED, "the template takes more than %zu steps", r->max_steps);
}

bool run_enter(struct run *r)
{
    if (r->depth >= RUN_MAX_DEPTH)
        return run_raise(r, RECURSION_ERROR, "maximum recursion depth exceeded");
    r->depth++;
    return true;
}

void run_leave(struct run *r) { r->depth--; }
