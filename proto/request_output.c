#include "proto/request_output.h"

#include <math.h>
#include <string.h>

static void add_ids(struct bytes *out, const int32_t *id, int n)
{
    bytes_add_char(out, '[');
    for (int i = 0; i < n; i++)
        bytes_printf(out, i ? ", %d" : "%d", id[i]);
    bytes_add_char(out, ']');
}

/* One token: an object of the candidates, the first one first. */
static void add_row(struct bytes *out, const struct json_logprob *entry, int n)
{
    bytes_add_char(out, '{');
    for (int i = 0; i < n; i++) {
        bool seen = false; /* the chosen token comes first, and again among the best */
        for (int k = 0; k < i; k++)
            seen = seen || entry[k].token == entry[i].token;
        if (seen)
            continue;
        bytes_printf(out, "%s\"%d\": {\"logprob\": ", i > 0 ? ", " : "", entry[i].token);
        json_write_logprob(out, (double)entry[i].logprob);
        bytes_printf(out, ", \"rank\": %d, \"decoded_token\": ", entry[i].rank);
        json_write_text(out, entry[i].decoded_token);
        bytes_add_char(out, '}');
    }
    bytes_add_char(out, '}');
}

/* Rows at this depth, in lines of their own; `first`: a row before them, or NULL. */
static void add_rows(struct bytes *out, const struct json_logprob_rows *rows, const char *first,
                     int depth)
{
    int at = 0;
    bytes_printf(out, "[%s", first != NULL ? first : "");
    for (int i = 0; i < rows->n_rows; i++) {
        bytes_printf(out, "%s\n%*s", i > 0 || first != NULL ? "," : "", depth + 2, "");
        add_row(out, rows->entry + at, rows->end[i] - at);
        at = rows->end[i];
    }
    if (rows->n_rows > 0)
        bytes_printf(out, "\n%*s", depth, "");
    bytes_add_char(out, ']');
}

static void add_sum(struct bytes *out, double value)
{
    bytes_printf(out, "%.17g", isfinite(value) ? value : -9999.0);
}

static void add_choice(struct bytes *out, const struct json_choice *choice, int index)
{
    bytes_printf(out, "      {\n        \"index\": %d,\n        \"text\": ", index);
    json_write_text(out, choice->text);
    bytes_add_text(out, ",\n        \"token_ids\": ");
    add_ids(out, choice->token_ids, choice->n_tokens);
    bytes_add_text(out, ",\n        \"cumulative_logprob\": ");
    if (choice->has_cumulative)
        add_sum(out, choice->cumulative_logprob);
    else
        bytes_add_text(out, "null");
    if (choice->has_score) {
        bytes_add_text(out, ",\n        \"score\": ");
        add_sum(out, choice->score);
    }
    bytes_add_text(out, ",\n        \"logprobs\": ");
    if (choice->has_logprobs)
        add_rows(out, &choice->logprobs, NULL, 8);
    else
        bytes_add_text(out, "null");
    bytes_add_text(out, ",\n        \"finish_reason\": ");
    json_write_string(out, choice->finish_reason);
    bytes_add_text(out, ",\n        \"stop_reason\": ");
    if (choice->stop_text == NULL && choice->stop_token >= 0)
        bytes_printf(out, "%d", choice->stop_token);
    else
        json_write_string(out, choice->stop_text);
    if (choice->error != NULL) {
        bytes_add_text(out, ",\n        \"error\": ");
        json_write_string(out, choice->error);
    }
    bytes_add_text(out, "\n      }");
}

void request_output_write(struct bytes *out, const struct json_request *request)
{
    int n_generated = 0;
    bytes_add_text(out, "  {\n    \"request_id\": ");
    json_write_string(out, request->request_id);
    bytes_add_text(out, ",\n    \"prompt\": ");
    json_write_string(out, request->prompt);
    bytes_add_text(out, ",\n    \"prompt_token_ids\": ");
    add_ids(out, request->prompt_ids, request->n_prompt);
    bytes_add_text(out, ",\n    \"prompt_logprobs\": ");
    if (request->has_prompt_logprobs)
        add_rows(out, &request->prompt_logprobs, "null", 4);
    else
        bytes_add_text(out, "null");
    bytes_add_text(out, ",\n    \"outputs\": [\n");
    for (int i = 0; i < request->n_choices; i++) {
        bytes_add_text(out, i ? ",\n" : "");
        add_choice(out, &request->choice[i], i);
        n_generated += request->choice[i].n_tokens;
    }
    bytes_printf(out,
                 "\n    ],\n    \"finished\": true,\n    \"num_cached_tokens\": %d,\n"
                 "    \"num_drafted_tokens\": %d,\n    \"num_accepted_tokens\": %d,\n"
                 "    \"seed\": %lld,\n    \"usage\": {\"prompt_tokens\": %d, "
                 "\"completion_tokens\": %d, \"total_tokens\": %d}\n  }",
                 request->n_cached, request->n_drafted, request->n_accepted,
                 (long long)request->seed, request->n_prompt, n_generated,
                 request->n_prompt + n_generated);
}

/* A newline is never inside a text, where it is escaped: each ends a line, and what follows it is
 * indentation. */
void request_output_write_line(struct bytes *out, const struct json_request *request)
{
    struct bytes lines = {0};
    request_output_write(&lines, request);
    const char *at = lines.data + strspn(lines.data, " ");
    while (*at != '\0') {
        const size_t n = strcspn(at, "\n");
        bytes_add(out, at, n);
        if (n > 0 && at[n - 1] == ',')
            bytes_add_char(out, ' ');
        at += n;
        at += strspn(at, "\n ");
    }
    bytes_release(&lines);
}
