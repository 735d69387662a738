/* A rendering from outside: variables in, budgets set, text and its marks out. */
#include "runtime/jinja/jinja.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "runtime/jinja/builtins/builtins.h"
#include "runtime/jinja/eval.h"
#include "runtime/jinja/values/from_json.h"

#include <string.h>

/* What a rendering may use beyond what it was given. A conversation of a thousand messages takes
 * about a hundred steps a message. Ten million steps would take a second. */
enum {
    BASE_STEPS = 1 << 19,
    STEPS_PER_BYTE = 4, /* of the variables: a filter may look at every character */
    BASE_MEMORY_BYTES = 64 << 20,
    MEMORY_PER_BYTE = 32,
    BASE_OUTPUT_BYTES = 16 << 20,
    OUTPUT_PER_BYTE = 8,
};

struct jinja_template {
    struct ast ast;
};

bool jinja_compile(struct jinja_template **out, const char *source, size_t n_bytes,
                   struct error *err)
{
    struct jinja_template *t = memory_alloc(1, sizeof *t);
    if (!ast_parse(&t->ast, source, n_bytes, err)) {
        jinja_destroy(t);
        return false;
    }
    *out = t;
    return true;
}

void jinja_destroy(struct jinja_template *t)
{
    if (t == NULL)
        return;
    ast_release(&t->ast);
    memory_free(t);
}

/* Gives a name its value: a variable of ours, of the users, or a global function. */
static bool set_variable(struct render *r, uint32_t number, const struct jinja_input *input)
{
    const struct string *text = r->ast->names[number];
    char *name = run_alloc(&r->run, text->n_bytes + 1, 1);
    if (name == NULL)
        return false;
    memcpy(name, text->data, text->n_bytes);
    struct value v;
    bool found = true;
    const json_t *ours = json_object_get(input->ours, name);
    const json_t *users = json_object_get(input->users, name);
    if (ours != NULL || users != NULL) {
        if (!value_from_json(&r->run, ours ? ours : users, ours == NULL, &v))
            return false;
    } else if (!global_find(&r->run, name, text->n_bytes, &v, &found))
        return false;
    return !found || scope_set(&r->run, r->outermost, number, v);
}

/* Only the variables that the template names are converted. The budgets grow with them. */
static bool set_variables(struct render *r, const struct jinja_input *input)
{
    struct run *run = &r->run;
    const struct jinja_limits *limits = &input->limits;
    run->max_steps = run->max_bytes = SIZE_MAX;
    r->outermost = r->scope = scope_make_outermost(run, r->ast->n_names);
    r->context = r->scope != NULL ? scope_make_context(run, r->outermost) : NULL;
    if (r->context == NULL)
        return false;
    for (uint32_t number = 0; number < r->ast->n_names; number++)
        if (!set_variable(r, number, input))
            return false;
    if (!scope_hide(run, r->outermost, r->ast->hides))
        return false;
    const size_t n = run->n_steps; /* values and bytes that came in */
    run->max_steps = n + (limits->max_steps ? limits->max_steps : BASE_STEPS + STEPS_PER_BYTE * n);
    run->max_bytes =
        run->n_bytes + (limits->max_memory_bytes ? limits->max_memory_bytes
                                                 : BASE_MEMORY_BYTES + MEMORY_PER_BYTE * n);
    r->max_output_bytes = limits->max_output_bytes ? limits->max_output_bytes
                                                   : BASE_OUTPUT_BYTES + OUTPUT_PER_BYTE * n;
    return true;
}

static void take_output(const struct builder *text, struct jinja_output *out)
{
    bytes_add(&out->text, text->data, text->n);
    out->users = memory_alloc(text->n_marks, sizeof *out->users);
    for (size_t i = 0; i < text->n_marks; i++)
        out->users[out->n_users++] = (struct text_range){text->marks[i].begin, text->marks[i].end};
}

bool jinja_render(const struct jinja_template *t, const struct jinja_input *input,
                  struct jinja_output *out, struct error *err)
{
    struct render r = {.ast = &t->ast, .run.now = input->now};
    struct builder text;
    *out = (struct jinja_output){0};
    builder_init(&text, &r.run);
    r.out = &text;
    r.block_text = value_none();
    const bool good = set_variables(&r, input) && render_body(&r, &t->ast.body) != FLOW_FAILED;
    if (good)
        take_output(&text, out);
    else
        ast_error(&t->ast, r.run.line, r.run.column, r.run.exception, r.run.message, err);
    arena_release(&r.run.arena);
    return good;
}

void jinja_output_release(struct jinja_output *out)
{
    bytes_release(&out->text);
    memory_free(out->users);
    *out = (struct jinja_output){0};
}
