/* runtime/jinja/values/run.h: one rendering: its memory, its budgets, and the exception that ends
 * it.
 *
 * Every function that can fail takes `struct run *r` first and returns false after run_raise(); the
 * first exception stays. A template cannot catch exceptions, so false always means the end of the
 * rendering; a filter that must not fail looks before it acts.
 */
#pragma once
#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct calendar_time;
struct value;

/* The classes of jinja2 and Python that templates can meet. */
enum exception {
    EXCEPTION_NONE = 0,
    TEMPLATE_ERROR, /* raise_exception() */
    TEMPLATE_SYNTAX_ERROR,
    TEMPLATE_ASSERTION_ERROR,
    TEMPLATE_RUNTIME_ERROR,
    UNDEFINED_ERROR,
    FILTER_ARGUMENT_ERROR,
    SECURITY_ERROR,
    TYPE_ERROR,
    VALUE_ERROR,
    KEY_ERROR,
    INDEX_ERROR,
    ATTRIBUTE_ERROR,
    ZERO_DIVISION_ERROR,
    OVERFLOW_ERROR,
    RECURSION_ERROR,
    RUNTIME_ERROR,
    ASSERTION_ERROR,
    UNICODE_ERROR,
    LIMIT_EXCEEDED, /* ours: a budget; ERROR_LIMIT */
    NOT_SUPPORTED,  /* ours: whole numbers beyond 64 bits and such; ERROR_UNSUPPORTED */
};
const char *exception_name(enum exception kind); /* "UndefinedError" */

enum {
    RUN_MAX_DEPTH = 200,     /* macros in macros, values in values, calls in calls */
    RUN_MESSAGE_BYTES = 360, /* of an exception; the rest is cut at a character */
    RUN_MAX_RANGE = 100000,  /* the sandbox's own limit of range() */
};

struct run {
    struct arena arena; /* of this rendering; use run_alloc() */
    size_t n_steps, max_steps;
    size_t n_bytes, max_bytes; /* of memory */
    char *block;               /* rest of a block for small values */
    size_t block_left;
    int depth;
    bool autoescape;       /* as the template has it here: filters make Markup */
    uint32_t line, column; /* of the node that is being computed; 0: not known */
    const struct calendar_time *now;
    enum exception exception;
    char message[RUN_MESSAGE_BYTES];
};

/* Always false. printf formats; the message is what str(exception) is in Python. */
bool run_raise(struct run *r, enum exception kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with a whole text of any length, cut to fit. */
bool run_raise_text(struct run *r, enum exception kind, const char *text, size_t n_bytes);
bool run_raise_too_large(struct run *r); /* a whole number beyond 64 bits: NotSupported */

/* Zeroed, aligned to 8 bytes, lives as long as the rendering. NULL: over the budget, raised. */
void *run_alloc(struct run *r, size_t count, size_t item_bytes);
/* n more steps. False: over the budget, raised. */
bool run_step(struct run *r, size_t n);
/* Around everything that can nest; run_enter() raises RecursionError. */
bool run_enter(struct run *r);
void run_leave(struct run *r);
