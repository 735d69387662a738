#include "launcher/prompts.h"

#include "base/error.h"
#include "launcher/generation.h"
#include "runtime/options/options.h"

#include <stdio.h>
#include <string.h>

enum { MAX_STDIN_BYTES = 16 << 20 }; /* a prompt of a few million tokens */

static bool read_standard_input(struct bytes *out, struct error *err)
{
    char part[4096];
    size_t n;
    out->max = MAX_STDIN_BYTES;
    while ((n = fread(part, 1, sizeof part, stdin)) > 0)
        if (!bytes_add(out, part, n))
            return error_set(err, ERROR_INPUT, "standard input: a prompt has at most %d bytes",
                             MAX_STDIN_BYTES);
    if (ferror(stdin))
        return error_errno(err, "standard input");
    if (out->len > 0 && out->data[out->len - 1] == '\n')
        out->data[--out->len] = '\0'; /* the newline that echo and editors add */
    if (out->len > 0 && memchr(out->data, '\0', out->len) != NULL)
        return error_set(err, ERROR_INPUT, "standard input: a NUL byte in the prompt");
    return out->len > 0 || error_set(err, ERROR_INPUT, "standard input: empty");
}

bool prompts_open(struct prompts *out, const struct options *options,
                  const volatile sig_atomic_t *interrupt, struct error *err)
{
    bool wants_input = false;
    const char *path = options->prompts_file;
    *out = (struct prompts){.options = options};
    for (int i = 0; i < options->prompt.n; i++)
        wants_input = wants_input || strcmp(options->prompt.item[i], "-") == 0;
    if (options->prompt.n + options->prompt_ids.n == 0 && path == NULL)
        return error_set(err, ERROR_INPUT,
                         "no prompt: give -p TEXT, -p -, --prompt-ids 1,2,3 or "
                         "--prompts-file FILE");
    if (wants_input && path != NULL && strcmp(path, "-") == 0)
        return error_set(err, ERROR_INPUT, "--prompts-file -: standard input is a prompt already");
    return (!wants_input || read_standard_input(&out->input, err)) &&
           (path == NULL || prompt_file_open(&out->file, path, interrupt, err) ||
            error_in(err, "--prompts-file"));
}

static bool add_ids(struct prompts *p, const char *text, bool exact, struct error *err)
{
    struct ids ids = {0};
    if (!intake_ids(text, p->session->vocab, &ids, err)) {
        ids_release(&ids);
        return error_in(err, "--prompt-ids");
    }
    return generation_add_prompt(p->generation, p->session, NULL, &ids, exact, err);
}

bool prompts_begin(struct prompts *p, struct session *session, struct generation *generation,
                   struct error *err)
{
    const struct options *options = p->options;
    const bool exact = options_is_given(options, "--max-tokens");
    p->session = session;
    p->generation = generation;
    for (int i = 0; i < options->prompt.n; i++) {
        const char *text = options->prompt.item[i];
        if (strcmp(text, "-") == 0)
            text = p->input.data;
        if (!generation_add_text(generation, session, text, strlen(text), exact, err))
            return false;
    }
    for (int i = 0; i < options->prompt_ids.n; i++)
        if (!add_ids(p, options->prompt_ids.item[i], exact, err))
            return false;
    return true;
}

/* A prompt of the file as the engine takes it. */
static bool add_next(struct prompts *p, struct error *why)
{
    const bool exact = options_is_given(p->options, "--max-tokens");
    struct file_prompt *next = &p->next;
    if (next->ids.n == 0)
        return generation_add_text(p->generation, p->session, next->text.data, next->text.len,
                                   exact, why);
    for (size_t i = 0; i < next->ids.n; i++)
        if (next->ids.data[i] >= p->session->vocab)
            return error_set(why, ERROR_INPUT, "%d is no token of this model (0 .. %d)",
                             next->ids.data[i], p->session->vocab - 1);
    struct ids ids = next->ids; /* the generation has them from here on */
    next->ids = (struct ids){0};
    return generation_add_prompt(p->generation, p->session, NULL, &ids, exact, why);
}

bool prompts_next(struct prompts *p, bool *more, struct error *err)
{
    struct error why = {0};
    *more = p->file.name != NULL;
    if (!*more)
        return true;
    if (dispatch_in_flight(p->session->dispatch) > 0 && !prompt_file_is_ready(&p->file))
        return true; /* what is in flight can be answered meanwhile */
    if (!prompt_file_next(&p->file, &p->next, more, err))
        return error_in(err, "--prompts-file");
    if (!*more)
        return true;
    if (!add_next(p, &why)) {
        error_in(&why, "%s:%zu", p->file.name, p->file.n_lines);
        generation_add_refused(p->generation, p->next.text.len > 0 ? p->next.text.data : NULL,
                               &why);
    } else if (p->next.has_priority) {
        p->generation->item[p->generation->n_items - 1]->priority = p->next.priority;
    }
    return true;
}

size_t prompts_total(const struct prompts *p)
{
    const size_t n = (size_t)(p->options->prompt.n + p->options->prompt_ids.n);
    if (p->file.name == NULL)
        return n;
    return p->file.total > 0 ? n + p->file.total : 0;
}

void prompts_close(struct prompts *p)
{
    bytes_release(&p->input);
    prompt_file_close(&p->file);
    file_prompt_release(&p->next);
}
