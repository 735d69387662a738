/* tests/fuzz/fuzz.h: what the fuzz targets share. A broken promise ends the process, which is how
 * libFuzzer sees it. */
#pragma once
#include "base/check.h"
#include "base/error.h"
#include "runtime/jinja/jinja.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes); /* called by libFuzzer */

/* A failure says what kind it is and why, and of a rendering, no more than that. */
static inline void check_error(const struct error *err)
{
    check(err->kind == ERROR_INPUT || err->kind == ERROR_LIMIT || err->kind == ERROR_UNSUPPORTED);
    check(err->text[0] != '\0');
}

/* The text is UTF-8, and the marked parts are parts of it: ascending, apart, whole characters. */
void check_output(const struct jinja_output *out);
/* Renders a template within budgets that keep one input short, and checks what comes out. False:
 * it failed as it may. Release `out` also then. */
bool render_checked(const struct jinja_template *t, const json_t *users, struct jinja_output *out);
