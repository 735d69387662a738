#include "proto/native_generate.h"

#include <string.h>

/* ---- SGLang ---- */

/* {"type":"stop","matched":…}, {"type":"length","length":…}, {"type":"abort"} */
static void add_finish(struct bytes *out, const struct native_choice *choice)
{
    if (choice->finish_reason == NULL) {
        bytes_add_text(out, "null");
        return;
    }
    bytes_add_text(out, "{\"type\":");
    json_write_string(out, choice->finish_reason);
    if (strcmp(choice->finish_reason, "length") == 0) {
        bytes_printf(out, ",\"length\":%d", choice->n_tokens);
    } else if (choice->stop_text != NULL) {
        bytes_add_text(out, ",\"matched\":");
        json_write_string(out, choice->stop_text);
    } else if (strcmp(choice->finish_reason, "stop") == 0 && choice->n_tokens > 0) {
        bytes_add_text(out, ",\"matched\":");
        json_write_int(out, choice->stop_token >= 0 ? choice->stop_token
                                                    : choice->token_ids[choice->n_tokens - 1]);
    }
    bytes_add_char(out, '}');
}

/* [log-probability, id, null]: texts are not given back, as there by default. */
static void add_triple(struct bytes *out, const struct json_logprob *entry)
{
    bytes_add_char(out, '[');
    json_write_logprob(out, (double)entry->logprob);
    bytes_printf(out, ",%d,null]", entry->token);
}

static void add_sglang_logprobs(struct bytes *out, const struct native_form *form,
                                const struct json_logprob_rows *rows)
{
    bytes_add_text(out, ",\"output_token_logprobs\":[");
    for (int i = 0; i < rows->n_rows; i++) {
        bytes_add_text(out, i > 0 ? "," : "");
        add_triple(out, &rows->entry[i > 0 ? rows->end[i - 1] : 0]);
    }
    bytes_add_char(out, ']');
    if (form->n_top == 0)
        return;
    bytes_add_text(out, ",\"output_top_logprobs\":[");
    for (int i = 0; i < rows->n_rows; i++) { /* the best ones stand behind the chosen one */
        const int begin = (i > 0 ? rows->end[i - 1] : 0) + 1;
        bytes_add_text(out, i > 0 ? ",[" : "[");
        for (int k = begin; k < rows->end[i]; k++) {
            bytes_add_text(out, k > begin ? "," : "");
            add_triple(out, &rows->entry[k]);
        }
        bytes_add_char(out, ']');
    }
    bytes_add_char(out, ']');
}

void native_write_sglang(struct bytes *out, const struct native_form *form,
                         const struct native_choice *choice)
{
    bytes_add_text(out, "{\"text\":");
    json_write_text(out, choice->text);
    bytes_add_text(out, ",\"output_ids\":");
    json_write_ids(out, choice->token_ids, choice->n_tokens);
    bytes_add_text(out, ",\"meta_info\":{\"id\":");
    json_write_string(out, choice->id);
    bytes_add_text(out, ",\"finish_reason\":");
    add_finish(out, choice);
    bytes_printf(out, ",\"prompt_tokens\":%lld,\"completion_tokens\":%d,\"cached_tokens\":%lld",
                 (long long)choice->prompt_tokens, choice->n_tokens,
                 (long long)choice->cached_tokens);
    if (form->has_logprobs)
        add_sglang_logprobs(out, form, &choice->logprobs);
    bytes_add_char(out, '}');
    if (form->is_list && form->stream)
        bytes_printf(out, ",\"index\":%d", choice->index);
    bytes_add_char(out, '}');
}

/* ---- TGI ---- */

static const char *tgi_finish(const struct native_choice *choice)
{
    if (strcmp(choice->finish_reason, "stop") != 0)
        return choice->finish_reason;
    return choice->stop_text != NULL ? "stop_sequence" : "eos_token";
}

static void add_tgi_token(struct bytes *out, const struct json_logprob *entry, bool is_special)
{
    bytes_printf(out, "{\"id\":%d,\"text\":", entry->token);
    json_write_text(out, entry->decoded_token);
    bytes_add_text(out, ",\"logprob\":");
    json_write_logprob(out, (double)entry->logprob);
    bytes_printf(out, ",\"special\":%s}", is_special ? "true" : "false");
}

static void add_generated(struct bytes *out, const struct native_form *form,
                          const struct native_choice *choice)
{
    static const struct json_text nothing = {"", 0};
    bytes_add_text(out, "\"generated_text\":");
    json_write_joined(out, form->full_text ? choice->prompt : nothing, choice->text);
}

static void add_ending(struct bytes *out, const struct native_choice *choice)
{
    bytes_add_text(out, "{\"finish_reason\":");
    json_write_string(out, tgi_finish(choice));
    bytes_printf(out, ",\"generated_tokens\":%d,\"seed\":%llu", choice->n_tokens,
                 (unsigned long long)choice->seed);
}

void native_write_tgi(struct bytes *out, const struct native_form *form,
                      const struct native_choice *choice)
{
    const struct json_logprob_rows *rows = &choice->logprobs;
    bytes_add_char(out, '{');
    add_generated(out, form, choice);
    if (form->details) {
        bytes_add_text(out, ",\"details\":");
        add_ending(out, choice);
        bytes_add_text(out, ",\"prefill\":[],\"tokens\":[");
        for (int i = 0; i < rows->n_rows; i++) {
            bytes_add_text(out, i > 0 ? "," : "");
            add_tgi_token(out, &rows->entry[i > 0 ? rows->end[i - 1] : 0], choice->is_special[i]);
        }
        bytes_add_text(out, "]}");
    }
    bytes_add_char(out, '}');
}

void native_write_tgi_token(struct bytes *out, const struct native_form *form,
                            const struct native_choice *choice, int number)
{
    const bool is_last = choice->finish_reason != NULL && number == choice->n_tokens;
    bytes_printf(out, "data:{\"index\":%d,\"token\":", number);
    add_tgi_token(out, &choice->logprobs.entry[0], choice->is_special[0]);
    bytes_add_char(out, ',');
    if (is_last)
        add_generated(out, form, choice);
    else
        bytes_add_text(out, "\"generated_text\":null");
    bytes_add_text(out, ",\"details\":");
    if (is_last && form->details) {
        add_ending(out, choice);
        bytes_printf(out, ",\"input_length\":%lld}}\n\n", (long long)choice->prompt_tokens);
    } else {
        bytes_add_text(out, "null}\n\n");
    }
}
