#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/chat/chat.h"
#include "launcher/generation.h"
#include "launcher/interrupt.h"
#include "launcher/stream.h"
#include "runtime/options/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEAST_ROOM = 4 }; /* an answer has at least one part in four of the context */

void chat_note(const struct chat *chat, const char *fmt, ...)
{
    const char *terminal = getenv("TERM");
    const bool dim = chat->has_editor && isatty(STDERR_FILENO) && terminal != NULL &&
                     strcmp(terminal, "dumb") != 0 && getenv("NO_COLOR") == NULL;
    va_list args;
    fflush(stdout);
    fputs(dim ? "\033[2m[" : "[", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputs(dim ? "]\033[0m\n" : "]\n", stderr);
}

/* Tokens that a prompt may have, so that an answer has room. */
static size_t most_tokens(const struct chat *chat, const struct generation *g)
{
    const int context = chat->session.max_model_len, share = context / LEAST_ROOM;
    const int room = g->sampling.params.max_tokens < share ? g->sampling.params.max_tokens : share;
    return (size_t)(context - (room > 0 ? room : 1));
}

/* The prompt without the oldest turns. */
static bool make_prompt(struct chat *chat, size_t n_forgotten, struct ids *out, struct error *err)
{
    if (*chat->session.interrupt)
        return error_set(err, ERROR_LIMIT, "interrupted");
    json_t *messages = chat_history_messages(&chat->history, n_forgotten);
    const struct chat_prompt_request request = {.messages = messages,
                                                .add_generation_prompt = true};
    const bool good = chat_prompt_make(&chat->prompt, &chat->session.intake, &request, out, err);
    json_decref(messages);
    return good;
}

/* The prompt for what of the history fits: by halves, as a conversation that was loaded may have
 * thousands of turns too many. The last turn stays: prompt_fit() says whether it fits. */
static bool fit_prompt(struct chat *chat, size_t most, size_t *n_forgotten, struct ids *out,
                       struct error *err)
{
    const size_t n_turns = chat_history_turns(&chat->history);
    size_t too_few = 0, enough = n_turns > 0 ? n_turns - 1 : 0;
    *n_forgotten = 0;
    if (!make_prompt(chat, 0, out, err))
        return false;
    if (out->n <= most || enough == 0)
        return true;
    while (enough - too_few > 1) {
        const size_t middle = too_few + (enough - too_few) / 2;
        if (!make_prompt(chat, middle, out, err))
            return false;
        *(out->n <= most ? &enough : &too_few) = middle;
    }
    *n_forgotten = enough;
    return make_prompt(chat, enough, out, err);
}

/* Only a prompt that is taken costs old turns. */
static bool add_prompt(struct chat *chat, struct generation *g, struct error *err)
{
    struct ids ids = {0};
    size_t n_forgotten;
    if (!fit_prompt(chat, most_tokens(chat, g), &n_forgotten, &ids, err)) {
        ids_release(&ids);
        return false;
    }
    if (!generation_add_prompt(g, &chat->session, NULL, &ids, false, err))
        return false;
    if (n_forgotten > 0)
        chat_note(chat,
                  "the conversation no longer fits the context of %d tokens: its oldest %zu "
                  "messages are forgotten",
                  chat->session.max_model_len, chat_history_forget(&chat->history, n_forgotten));
    return true;
}

static void print_stats(const struct chat *chat, const struct stream *stream, size_t n_prompt,
                        const struct output *output)
{
    char text[160];
    stream_describe(text, sizeof text, stream, output->tokens.n);
    chat_note(chat, "prompt %zu tokens; %s", n_prompt, text);
}

/* Runs it; what came until the user stopped it is an answer too. */
static bool run(struct chat *chat, struct generation *g, struct stream *stream, struct error *err)
{
    stream->begin_ns = clock_now_ns();
    const struct generation_hooks hooks = {.progress = stream_show, .context = stream};
    if (generation_run(g, &chat->session, &hooks, err))
        return true;
    if (err->kind != ERROR_LIMIT || !chat->interactive || !interrupt_take_sigint())
        return false;
    *err = (struct error){0};
    output_end(&g->item[0]->answer.output[0], FINISH_ABORT);
    stream_show(stream, g->item[0], 0); /* what was held back */
    return true;
}

static bool finish(struct chat *chat, const struct generation *g, const struct stream *stream,
                   struct error *err)
{
    const struct generation_item *item = g->item[0];
    const struct output *output = &item->answer.output[0];
    if (item->answer.failure[0].kind != ERROR_NONE) {
        *err = item->answer.failure[0];
        return false;
    }
    const bool stopped = output->finish == FINISH_ABORT;
    printf("\n");
    fflush(stdout);
    if (stopped)
        chat_note(chat, "stopped");
    if (chat->stats && output->tokens.n > 0)
        print_stats(chat, stream, item->ids.n, output);
    if (stopped && stream->written == 0)
        chat_history_remove_last(&chat->history);
    else
        chat_history_add(&chat->history, "assistant", output->text.len > 0 ? output->text.data : "",
                         output->text.len);
    return true;
}

bool chat_answer(struct chat *chat, struct error *err)
{
    struct generation g = {0};
    struct stream stream = {.for_a_terminal = chat->has_editor};
    const bool good = generation_init(&g, chat->options, &chat->session, err) &&
                      add_prompt(chat, &g, err) && run(chat, &g, &stream, err) &&
                      finish(chat, &g, &stream, err);
    generation_release(&g);
    if (!good)
        chat_history_remove_last(&chat->history);
    return good;
}
