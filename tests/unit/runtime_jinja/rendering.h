/* tests/unit/runtime_jinja/rendering.h: templates rendered, and checks on what comes out.
 *
 * Variables are a JSON object written with ' for ", or NULL. They count as the users'. */
#pragma once
#include "runtime/jinja/jinja.h"

void check_text(const char *source, const char *variables, const char *want);
/* The text with ‹ and › around every part that is marked as the users'. */
void check_marks(const char *source, const char *variables, const char *want);
/* The message holds this, as "line 1, column 4: UndefinedError: 'x' is undefined". */
void check_fails(const char *source, const char *variables, const char *want);
/* As check_fails(), under budgets. */
void check_fails_within(const char *source, const char *variables, struct jinja_limits limits,
                        const char *want);
