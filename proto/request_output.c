#include "proto/request_output.h"

#include <math.h>
#include <string.h>

/* What JSON forbids in a string is escaped. */
static void add_text(struct bytes *out, struct json_text text)
{
    bytes_add_char(out, '"');
    for (size_t i = 0; i < text.n_bytes; i++) {
        static const char plain[] = "\"\\\n\r\t", letter[] = "\"\\nrt";
        const unsigned char c = (unsigned char)text.data[i];
        const char *known = c != '\0' ? strchr(plain, c) : NULL;
        if (known != NULL)
            bytes_printf(out, "\\%c", letter[known - plain]);
        else if (c < 0x20 || c == 0x7f)
            bytes_printf(out, "\\u%04x", c);
        else
            bytes_add_char(out, (char)c);
    }
    bytes_add_char(out, '"');
}

static void add_string(struct bytes *out, const char *text)
{
    add_text(out, (struct json_text){text, strlen(text)});
}

static void add_string_or_null(struct bytes *out, const char *text)
{
    if (text == NULL)
        bytes_add_text(out, "null");
    else
        add_string(out, text);
}

static void add_ids(struct bytes *out, const int32_t *id, int n)
{
    bytes_add_char(out, '[');
    for (int i = 0; i < n; i++)
        bytes_printf(out, i ? ", %d" : "%d", id[i]);
    bytes_add_char(out, ']');
}

/* JSON has no infinity: what vLLM's servers do is a floor of -9999. */
static void add_logprob(struct bytes *out, double value)
{
    bytes_printf(out, "%.9g", value < -9999 || isnan(value) ? -9999.0 : value);
}

static void add_logprobs(struct bytes *out, const struct json_choice *choice)
{
    int at = 0;
    bytes_add_text(out, "[");
    for (int i = 0; i < choice->n_tokens; i++) {
        bytes_add_text(out, i ? ",\n          {" : "\n          {");
        for (const int first = at; at < choice->logprob_end[i]; at++) {
            const struct json_logprob *p = &choice->logprob[at];
            bool seen = false; /* the chosen token comes first, and again among the best */
            for (int k = first; k < at; k++)
                seen = seen || choice->logprob[k].token == p->token;
            if (seen)
                continue;
            bytes_printf(out, "%s\"%d\": {\"logprob\": ", at > first ? ", " : "", p->token);
            add_logprob(out, (double)p->logprob);
            bytes_printf(out, ", \"rank\": %d, \"decoded_token\": ", p->rank);
            add_text(out, p->decoded_token);
            bytes_add_char(out, '}');
        }
        bytes_add_char(out, '}');
    }
    bytes_add_text(out, choice->n_tokens ? "\n        ]" : "]");
}

static void add_choice(struct bytes *out, const struct json_choice *choice, int index)
{
    bytes_printf(out, "      {\n        \"index\": %d,\n        \"text\": ", index);
    add_text(out, choice->text);
    bytes_add_text(out, ",\n        \"token_ids\": ");
    add_ids(out, choice->token_ids, choice->n_tokens);
    bytes_add_text(out, ",\n        \"cumulative_logprob\": ");
    if (choice->has_logprobs)
        bytes_printf(out, "%.17g",
                     isfinite(choice->cumulative_logprob) ? choice->cumulative_logprob : -9999.0);
    else
        bytes_add_text(out, "null");
    bytes_add_text(out, ",\n        \"logprobs\": ");
    if (choice->has_logprobs)
        add_logprobs(out, choice);
    else
        bytes_add_text(out, "null");
    bytes_add_text(out, ",\n        \"finish_reason\": ");
    add_string_or_null(out, choice->finish_reason);
    bytes_add_text(out, ",\n        \"stop_reason\": ");
    if (choice->stop_text == NULL && choice->stop_token >= 0)
        bytes_printf(out, "%d", choice->stop_token);
    else
        add_string_or_null(out, choice->stop_text);
    if (choice->error != NULL) {
        bytes_add_text(out, ",\n        \"error\": ");
        add_string(out, choice->error);
    }
    bytes_add_text(out, "\n      }");
}

void request_output_write(struct bytes *out, const struct json_request *request)
{
    int n_generated = 0;
    bytes_add_text(out, "  {\n    \"request_id\": ");
    add_string(out, request->request_id);
    bytes_add_text(out, ",\n    \"prompt\": ");
    add_string_or_null(out, request->prompt);
    bytes_add_text(out, ",\n    \"prompt_token_ids\": ");
    add_ids(out, request->prompt_ids, request->n_prompt);
    bytes_add_text(out, ",\n    \"prompt_logprobs\": null,\n    \"outputs\": [\n");
    for (int i = 0; i < request->n_choices; i++) {
        bytes_add_text(out, i ? ",\n" : "");
        add_choice(out, &request->choice[i], i);
        n_generated += request->choice[i].n_tokens;
    }
    bytes_printf(out,
                 "\n    ],\n    \"finished\": true,\n    \"num_cached_tokens\": %d,\n"
                 "    \"seed\": %llu,\n    \"usage\": {\"prompt_tokens\": %d, "
                 "\"completion_tokens\": %d, \"total_tokens\": %d}\n  }",
                 request->n_cached, (unsigned long long)request->seed, request->n_prompt,
                 n_generated, request->n_prompt + n_generated);
}
