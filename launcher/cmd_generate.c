/* phalanx generate: one prompt or many; streamed text for one answer, text or JSON for more. */
#include "base/memory.h"
#include "launcher/commands.h"
#include "launcher/generation.h"
#include "launcher/model_path.h"
#include "launcher/stream.h"
#include "proto/request_output.h"
#include "runtime/options.h"

#include <limits.h>
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

static bool add_prompts(struct generation *g, struct session *session,
                        const struct options *options, struct bytes *input, struct error *err)
{
    const bool exact = options_is_given(options, "--max-tokens");
    for (int i = 0; i < options->prompt.n; i++) {
        const char *text = options->prompt.item[i];
        if (strcmp(text, "-") == 0)
            text = input->data;
        if (!generation_add_text(g, session, text, exact, err))
            return false;
    }
    for (int i = 0; i < options->prompt_ids.n; i++)
        if (!generation_add_ids(g, session, options->prompt_ids.item[i], exact, err))
            return false;
    return true;
}

static bool ignore_progress(void *context, int index, const struct output *output)
{
    (void)context;
    (void)index;
    (void)output;
    return true;
}

static void fill_choice(struct json_choice *out, const struct output *output,
                        const struct error *failure, bool has_logprobs, struct arena *arena)
{
    struct json_logprob *logprob = arena_alloc(arena, output->n_logprobs, sizeof *logprob);
    struct bytes token_text = {0};
    for (size_t i = 0; i < output->n_logprobs; i++) {
        const struct link_logprob *from = &output->logprob[i];
        bytes_clear(&token_text);
        detokenizer_decode(output->rules->tokenizer, &from->token, 1, false, &token_text);
        logprob[i] = (struct json_logprob){
            from->token,
            from->logprob,
            from->rank,
            {arena_copy_text(arena, token_text.data ? token_text.data : "", token_text.len),
             token_text.len}};
    }
    bytes_release(&token_text);
    *out = (struct json_choice){
        .text = {output->text.data, output->text.len},
        .token_ids = output->tokens.data,
        .n_tokens = (int)output->tokens.n,
        .cumulative_logprob = output->cumulative_logprob,
        .has_logprobs = has_logprobs,
        .logprob = logprob,
        .logprob_end = output->logprob_end.data,
        .finish_reason = finish_reason_name(output->finish),
        .stop_text = output->stop_text,
        .stop_token = output->stop_token,
        .error = failure->kind == ERROR_NONE ? NULL : failure->text,
    };
}

/* A signal ends a write that waits for a reader, but only where nothing of it was written yet:
 * parts that a pipe takes whole or not at all. After an error the rest is not tried. */
static void write_out(const char *text, size_t n_bytes)
{
    for (size_t at = 0; at < n_bytes && !ferror(stdout); at += PIPE_BUF)
        fwrite(text + at, 1, n_bytes - at < PIPE_BUF ? n_bytes - at : PIPE_BUF, stdout);
}

static void write_json(const struct generation *g)
{
    struct bytes text = {0};
    bytes_add_text(&text, "[\n");
    for (int p = 0; p < g->n_prompts; p++) {
        struct arena arena = {0};
        struct json_choice *choice = arena_alloc(&arena, (size_t)g->n_choices, sizeof *choice);
        for (int c = 0; c < g->n_choices; c++) {
            const int i = p * g->n_choices + c;
            fill_choice(&choice[c], &g->output[i], &g->failure[i],
                        g->params.logprobs != LOGPROBS_OFF, &arena);
        }
        char id[24];
        snprintf(id, sizeof id, "%d", p);
        const struct json_request request = {
            .request_id = id,
            .prompt = g->prompt[p].text,
            .prompt_ids = g->prompt[p].ids.data,
            .n_prompt = (int)g->prompt[p].ids.n,
            .n_cached = g->output[p * g->n_choices].cached_tokens,
            .seed = g->params.seed,
            .choice = choice,
            .n_choices = g->n_choices,
        };
        bytes_add_text(&text, p ? ",\n" : "");
        request_output_write(&text, &request);
        arena_release(&arena);
    }
    bytes_add_text(&text, "\n]\n");
    write_out(text.data, text.len);
    bytes_release(&text);
}

static void write_texts(const struct generation *g)
{
    const int n = g->n_prompts * g->n_choices;
    for (int i = 0; i < n; i++) {
        write_out(g->output[i].text.data, g->output[i].text.len);
        write_out("\n\n", i + 1 < n ? 2 : 1);
    }
}

/* The first failure of a choice is the failure of the command, after everything was printed. */
static bool report_failures(const struct generation *g, struct error *err)
{
    for (int i = 0; i < g->n_prompts * g->n_choices; i++)
        if (g->failure[i].kind != ERROR_NONE) {
            *err = g->failure[i];
            return error_in(err, "prompt %d", i / g->n_choices);
        }
    return true;
}

static bool run(const struct options *options, struct session *session, struct generation *g,
                struct bytes *input, struct error *err)
{
    if (!generation_init(g, options, session, err) || !add_prompts(g, session, options, input, err))
        return false;
    const bool streams = !options->json && g->n_prompts * g->n_choices == 1;
    struct stream stream = {0};
    const bool good =
        generation_run(g, session, streams ? stream_show : ignore_progress, &stream, err);
    if (streams)
        printf("\n");
    else if (good && options->json)
        write_json(g);
    else if (good)
        write_texts(g);
    return good && report_failures(g, err);
}

bool cmd_generate(const struct options *options, const volatile sig_atomic_t *interrupt,
                  struct error *err)
{
    char folder[MODEL_PATH_BYTES];
    struct bytes input = {0};
    bool wants_input = false;
    for (int i = 0; i < options->prompt.n; i++)
        wants_input = wants_input || strcmp(options->prompt.item[i], "-") == 0;
    if (options->prompt.n + options->prompt_ids.n == 0)
        return error_set(err, ERROR_INPUT, "no prompt: give -p TEXT, -p - or --prompt-ids 1,2,3");
    if (!model_path_find(folder, options->model, "config.json", err))
        return false;

    struct session session = {.interrupt = interrupt};
    struct generation generation = {0};
    const bool good = (!wants_input || read_standard_input(&input, err)) &&
                      session_open(&session, options, folder, interrupt, err) &&
                      run(options, &session, &generation, &input, err);
    generation_release(&generation);
    session_close(&session);
    bytes_release(&input);
    return good;
}
