#include "runtime/gateway/output.h"

#include "base/memory.h"

#include <string.h>

void output_init(struct output *output, const struct output_rules *rules)
{
    *output = (struct output){.rules = rules, .stop_token = -1};
    detokenizer_init(&output->detokenizer, rules->tokenizer, rules->skip_special_tokens);
}

static void release_rows(struct logprob_rows *rows)
{
    memory_free(rows->entry);
    ids_release(&rows->end);
}

void output_release(struct output *output)
{
    detokenizer_release(&output->detokenizer);
    bytes_release(&output->text);
    ids_release(&output->tokens);
    release_rows(&output->logprobs);
    release_rows(&output->prompt);
    *output = (struct output){0};
}

static void add_row(struct logprob_rows *rows, const struct link_logprob *entry, size_t n)
{
    if (rows->n_entries + n > rows->capacity) {
        rows->capacity = 2 * (rows->n_entries + n);
        rows->entry = memory_resize(rows->entry, rows->capacity, sizeof *rows->entry);
    }
    if (n > 0)
        memcpy(rows->entry + rows->n_entries, entry, n * sizeof *entry);
    rows->n_entries += n;
    ids_add(&rows->end, (int32_t)rows->n_entries);
}

bool output_add_prompt(struct output *output, const struct link_prompt_logprobs *logprobs)
{
    if ((size_t)logprobs->position != output->prompt.end.n + 1)
        return false;
    for (int i = 0; i < logprobs->n_positions; i++) {
        const int32_t begin = i > 0 ? logprobs->end[i - 1] : 0;
        add_row(&output->prompt, logprobs->logprob + begin, (size_t)(logprobs->end[i] - begin));
    }
    return true;
}

/* The stop string that is complete first after search_from; the one listed first on a tie. */
static bool find_stop(const struct output *output, size_t *begin, const char **which)
{
    const struct output_rules *rules = output->rules;
    size_t best_end = SIZE_MAX;
    for (int i = 0; i < rules->n_stop && output->text.len > 0; i++) {
        const size_t n = strlen(rules->stop[i]);
        /* A match may begin before search_from, but must end after it. */
        const size_t from = output->search_from >= n ? output->search_from - n + 1 : 0;
        if (from >= output->text.len)
            continue;
        const char *hit =
            memmem(output->text.data + from, output->text.len - from, rules->stop[i], n);
        if (hit != NULL && (size_t)(hit - output->text.data) + n < best_end) {
            *begin = (size_t)(hit - output->text.data);
            best_end = *begin + n;
            *which = rules->stop[i];
        }
    }
    return best_end != SIZE_MAX;
}

/* Bytes at the end of the text that are the beginning of a stop string, and may have to go. */
static size_t held_back(const struct output *output)
{
    size_t most = 0;
    if (output->finish != FINISH_NONE || output->rules->include_stop)
        return 0;
    for (int i = 0; i < output->rules->n_stop; i++) {
        const char *stop = output->rules->stop[i];
        size_t n = strlen(stop) - 1;
        n = n < output->text.len ? n : output->text.len;
        while (n > most && memcmp(output->text.data + output->text.len - n, stop, n) != 0)
            n--;
        most = n > most ? n : most;
    }
    return most;
}

static void stop_at_text(struct output *output, size_t begin, const char *stop)
{
    output->text.len = begin + (output->rules->include_stop ? strlen(stop) : 0);
    output->text.data[output->text.len] = '\0';
    output->finish = FINISH_STOP;
    output->stop_text = stop;
    output->stop_token = -1;
}

void output_add(struct output *output, const struct link_token *token)
{
    if (output->finish != FINISH_NONE)
        return;
    if (token->token < 0) {
        output_end(output, token->finish);
        return;
    }
    if (output->tokens.n == 0)
        output->cached_tokens = token->cached_tokens;
    ids_add(&output->tokens, token->token);
    add_row(&output->logprobs, token->logprob, (size_t)token->n_logprobs);
    if (token->n_logprobs > 0)
        output->cumulative_logprob += (double)token->logprob[0].logprob; /* the chosen token's */
    output->n_drafted = token->n_drafted;
    output->n_accepted = token->n_accepted;
    output->finish = token->finish;
    output->stop_token = token->stop_token;

    /* The token that ended the answer is in the ids, but its text is not part of the answer. */
    const bool is_text = token->finish != FINISH_STOP || output->rules->include_stop;
    if (is_text && !output->rules->no_text)
        detokenizer_add(&output->detokenizer, token->token, &output->text);
    if (token->finish != FINISH_NONE)
        detokenizer_flush(&output->detokenizer, &output->text);

    size_t begin;
    const char *stop;
    const bool looked_for = output->tokens.n > (size_t)output->rules->min_tokens;
    if (looked_for && find_stop(output, &begin, &stop))
        stop_at_text(output, begin, stop);
    output->search_from = output->text.len;
    output->n_released = output->text.len - held_back(output);
}

void output_add_beam(struct output *output, const struct link_beam *beam, int cached_tokens)
{
    /* As of a sampled answer: no text of the token that ended it. */
    const bool hides_last = beam->finish == FINISH_STOP && !output->rules->include_stop;
    ids_add_all(&output->tokens, beam->token, (size_t)beam->n_tokens);
    for (int i = 0; !output->rules->no_text && i < beam->n_tokens - hides_last; i++)
        detokenizer_add(&output->detokenizer, beam->token[i], &output->text);
    output->cumulative_logprob = beam->cumulative_logprob;
    output->score = beam->score;
    output->cached_tokens = cached_tokens;
    output_end(output, beam->finish);
}

void output_end(struct output *output, enum finish_reason reason)
{
    if (output->finish != FINISH_NONE)
        return;
    detokenizer_flush(&output->detokenizer, &output->text);
    output->finish = reason;
    output->n_released = output->text.len;
}
