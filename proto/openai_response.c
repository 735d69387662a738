#include "proto/openai_response.h"

static void add_logprobs(struct bytes *out, enum openai_kind kind,
                         const struct openai_choice *choice)
{
    bytes_add_text(out, ",\"logprobs\":");
    if (!choice->has_logprobs)
        bytes_add_text(out, "null");
    else if (kind == OPENAI_CHAT)
        json_logprobs_write_chat(out, &choice->logprobs, choice->n_top);
    else
        json_logprobs_write_text(out, &choice->logprobs, choice->n_top, choice->text_offset);
}

static void add_finish_reason(struct bytes *out, const struct openai_choice *choice)
{
    bytes_add_text(out, ",\"finish_reason\":");
    json_write_string(out, choice->finish_reason);
}

static void add_stop_reason(struct bytes *out, const struct openai_choice *choice)
{
    bytes_add_text(out, ",\"stop_reason\":");
    if (choice->stop_text == NULL && choice->stop_token >= 0)
        json_write_int(out, choice->stop_token);
    else
        json_write_string(out, choice->stop_text);
}

static void add_ids_or_null(struct bytes *out, const char *key, bool is_there,
                            const struct openai_ids *ids)
{
    bytes_add_text(out, key);
    if (is_there)
        json_write_ids(out, ids->id, ids->n);
    else
        bytes_add_text(out, "null");
}

static void add_prompt_logprobs(struct bytes *out, const struct openai_choice *choice)
{
    bytes_add_text(out, ",\"prompt_logprobs\":");
    if (choice->has_prompt_logprobs)
        json_logprobs_write_prompt(out, &choice->prompt_logprobs);
    else
        bytes_add_text(out, "null");
}

static void add_prompt_text(struct bytes *out, const struct openai_choice *choice)
{
    bytes_add_text(out, ",\"prompt_text\":");
    if (choice->has_prompt_text)
        json_write_text(out, choice->prompt_text);
    else
        bytes_add_text(out, "null");
}

static void add_head(struct bytes *out, const struct openai_head *head, const char *object)
{
    bytes_add_text(out, "{\"id\":");
    json_write_string(out, head->id);
    bytes_add_text(out, ",\"object\":");
    json_write_string(out, object);
    bytes_add_text(out, ",\"created\":");
    json_write_int(out, head->created_s);
    bytes_add_text(out, ",\"model\":");
    json_write_string(out, head->model);
    bytes_add_text(out, ",\"choices\":[");
}

void openai_write_usage(struct bytes *out, const struct openai_usage *usage)
{
    bytes_add_text(out, "{\"prompt_tokens\":");
    json_write_int(out, usage->prompt_tokens);
    bytes_add_text(out, ",\"total_tokens\":");
    json_write_int(out, usage->prompt_tokens + usage->completion_tokens);
    bytes_add_text(out, ",\"completion_tokens\":");
    json_write_int(out, usage->completion_tokens);
    if (usage->cached_tokens != OPENAI_NOT_SAID) {
        bytes_add_text(out, ",\"prompt_tokens_details\":{\"cached_tokens\":");
        json_write_int(out, usage->cached_tokens);
        bytes_add_char(out, '}');
    }
    bytes_add_char(out, '}');
}

/* ---- whole ---- */

void openai_whole_begin(struct bytes *out, const struct openai_head *head)
{
    add_head(out, head, head->kind == OPENAI_CHAT ? "chat.completion" : "text_completion");
}

static void add_message(struct bytes *out, const struct openai_choice *choice)
{
    bytes_add_text(out, "\"message\":{\"role\":");
    json_write_string(out, choice->role);
    bytes_add_text(out, ",\"content\":");
    json_write_joined(out, choice->echo, choice->text);
    bytes_add_text(out, ",\"refusal\":null,\"annotations\":null,\"audio\":null,"
                        "\"function_call\":null,\"reasoning\":null}");
}

void openai_whole_choice(struct bytes *out, const struct openai_head *head,
                         const struct openai_choice *choice, bool is_first)
{
    bytes_add_text(out, is_first ? "{\"index\":" : ",{\"index\":");
    json_write_int(out, choice->index);
    bytes_add_char(out, ',');
    if (head->kind == OPENAI_CHAT) {
        add_message(out, choice);
    } else {
        bytes_add_text(out, "\"text\":");
        json_write_joined(out, choice->echo, choice->text);
    }
    add_logprobs(out, head->kind, choice);
    add_finish_reason(out, choice);
    add_stop_reason(out, choice);
    add_ids_or_null(out, ",\"token_ids\":", choice->has_token_ids, &choice->token_ids);
    if (head->kind == OPENAI_COMPLETION) {
        add_prompt_logprobs(out, choice);
        add_ids_or_null(out, ",\"prompt_token_ids\":", choice->has_prompt_ids, &choice->prompt_ids);
    }
    bytes_add_char(out, '}');
}

void openai_whole_end(struct bytes *out, const struct openai_head *head,
                      const struct openai_usage *usage, const struct openai_choice *last)
{
    bytes_add_text(out, "],\"service_tier\":null,\"system_fingerprint\":null,\"usage\":");
    openai_write_usage(out, usage);
    if (head->kind == OPENAI_CHAT) {
        add_prompt_logprobs(out, last);
        add_ids_or_null(out, ",\"prompt_token_ids\":", last->has_prompt_ids, &last->prompt_ids);
        add_prompt_text(out, last);
    }
    bytes_add_text(out, ",\"kv_transfer_params\":null}");
}

/* ---- chunks ---- */

void openai_chunk_begin(struct bytes *out, const struct openai_head *head)
{
    bytes_add_text(out, "data: ");
    add_head(out, head, head->kind == OPENAI_CHAT ? "chat.completion.chunk" : "text_completion");
}

static void add_delta(struct bytes *out, const struct openai_choice *choice)
{
    bytes_add_text(out, "\"delta\":{");
    if (choice->role != NULL) {
        bytes_add_text(out, "\"role\":");
        json_write_string(out, choice->role);
        bytes_add_char(out, ',');
    }
    bytes_add_text(out, "\"content\":");
    json_write_joined(out, choice->echo, choice->text);
    bytes_add_char(out, '}');
}

static void add_prompt_ids(struct bytes *out, const struct openai_choice *choice)
{
    if (choice->has_prompt_ids)
        add_ids_or_null(out, ",\"prompt_token_ids\":", true, &choice->prompt_ids);
}

void openai_chunk_write(struct bytes *out, const struct bytes *begin, enum openai_kind kind,
                        const struct openai_choice *choice, const struct openai_usage *usage)
{
    bytes_add(out, begin->data, begin->len);
    bytes_add_text(out, "{\"index\":");
    json_write_int(out, choice->index);
    bytes_add_char(out, ',');
    if (kind == OPENAI_CHAT) {
        add_delta(out, choice);
    } else {
        bytes_add_text(out, "\"text\":");
        json_write_joined(out, choice->echo, choice->text);
    }
    add_logprobs(out, kind, choice);
    add_finish_reason(out, choice);
    if (choice->finish_reason != NULL || kind == OPENAI_COMPLETION)
        add_stop_reason(out, choice);
    if (kind == OPENAI_COMPLETION)
        add_prompt_ids(out, choice);
    if (choice->has_token_ids)
        add_ids_or_null(out, ",\"token_ids\":", true, &choice->token_ids);
    bytes_add_text(out, "}]");
    if (usage != NULL) {
        bytes_add_text(out, ",\"usage\":");
        openai_write_usage(out, usage);
    }
    if (kind == OPENAI_CHAT) { /* all its choices have the same prompt */
        add_prompt_ids(out, choice);
        if (choice->has_prompt_text)
            add_prompt_text(out, choice);
    }
    bytes_add_text(out, "}\n\n");
}

void openai_chunk_write_usage(struct bytes *out, const struct bytes *begin,
                              const struct openai_usage *usage)
{
    bytes_add(out, begin->data, begin->len);
    bytes_add_text(out, "],\"usage\":");
    openai_write_usage(out, usage);
    bytes_add_text(out, "}\n\n");
}

void openai_chunk_write_done(struct bytes *out) { bytes_add_text(out, "data: [DONE]\n\n"); }
