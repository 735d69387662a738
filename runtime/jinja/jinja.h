/* runtime/jinja/jinja.h: the template language in which checkpoints write their chat format.
 *
 * Equal to jinja2 3.1 as transformers sets it up (an ImmutableSandboxedEnvironment with
 * trim_blocks, lstrip_blocks and loop controls; `raise_exception`, `strftime_now`, its own `tojson`
 * and the `generation` block): the same text, and the same class of error with the same message
 * where jinja2 fails. There are no other templates to include, and nothing is executed: a template
 * computes values, within budgets of steps, memory, depth and output.
 *
 * What users wrote stays known: the output says which of its bytes came from `users`, through
 * every slice, filter and concatenation, so that they can be encoded as text and spell no token.
 *
 * Differences from jinja2, all refused with an error: whole numbers beyond 64 bits, characters
 * that are no Unicode scalar values or that are written by name (\N{…}), bytes, `lipsum` and
 * `random`, whose values are random, blocks as values (`self`), pop() and clear() of lists, which
 * 3.1.6 refuses too, and what nests more than 190 deep (ast.h), where Python itself ends between
 * 20 and 200.
 *
 * Source: https://jinja.palletsprojects.com/en/3.1.x/templates/, the behaviour of release 3.1.2.
 */
#pragma once
#include "base/bytes.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct calendar_time;
struct error;
struct jinja_template;
struct text_range;

enum { JINJA_MAX_SOURCE_BYTES = 1 << 20 }; /* the longest in use has 30 KB */

/* A source that cannot be compiled is ERROR_INPUT: "line 3, column 8: TemplateSyntaxError: …" and
 * the line itself. The source is not kept by reference. */
bool jinja_compile(struct jinja_template **out, const char *source, size_t n_bytes,
                   struct error *err);
void jinja_destroy(struct jinja_template *t); /* NULL is fine */

struct jinja_limits {        /* 0 is the default; defaults grow with the bytes of the variables */
    size_t max_steps;        /* nodes visited and items produced */
    size_t max_memory_bytes; /* of all values made */
    size_t max_output_bytes;
};

struct jinja_input {
    const json_t *ours;  /* object or NULL: variables of the checkpoint, as bos_token */
    const json_t *users; /* object or NULL: variables whose texts are the users'; `ours` wins */
    const struct calendar_time *now; /* for strftime_now(); NULL: the clock of this machine */
    struct jinja_limits limits;
};

struct jinja_output {         /* all zero is empty */
    struct bytes text;        /* UTF-8; NUL is a character like others */
    struct text_range *users; /* [n_users] parts that came from users; ascending, apart */
    size_t n_users;
};

/* Any number of threads may render one template at once. `out` is overwritten; release it also
 * after a failure. ERROR_INPUT: "line 3, column 8: UndefinedError: …" and the line of the source,
 * ERROR_LIMIT when a budget is used up (LimitExceeded); ERROR_UNSUPPORTED for what is listed above.
 */
bool jinja_render(const struct jinja_template *t, const struct jinja_input *input,
                  struct jinja_output *out, struct error *err);
void jinja_output_release(struct jinja_output *out);
