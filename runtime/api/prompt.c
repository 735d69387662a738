#include "runtime/api/prompt.h"

#include "base/error.h"
#include "runtime/gateway/intake.h"
#include "runtime/gateway/sampling.h"
#include "runtime/text/encoder.h"
#include "runtime/text/tokenizer.h"

#include <string.h>

/* Tokens at a cut depend on what was there before it: so many more are read and thrown away. */
enum { MARGIN_TOKENS = 64 };

static bool too_long(struct error *err, const char *param)
{
    error_param(err, param);
    return error_code(err, "context_length_exceeded");
}

bool prompt_cut_read(struct prompt_rules *rules, int64_t truncate, enum prompt_cut how,
                     int64_t most_that_fit, struct error *err)
{
    rules->cut = truncate == SAMPLING_UNSAID ? PROMPT_WHOLE : how;
    rules->most = truncate == SAMPLING_UNSAID ? rules->max_model_len
                  : truncate == -1            ? most_that_fit
                                              : truncate;
    if (rules->most >= 1 && rules->most <= rules->max_model_len)
        return true;
    error_set(err, ERROR_INPUT,
              "truncate_prompt_tokens must be -1 (what fits) or in [1, %d], got %lld",
              rules->max_model_len, (long long)truncate);
    return error_param(err, "truncate_prompt_tokens");
}

/* ---- texts ---- */

/* No longer text has to be looked at for n tokens of it. */
static size_t bytes_of(const struct intake *intake, int64_t n)
{
    const size_t longest = tokenizer_longest(intake->tokenizer);
    return (size_t)n > ENCODER_MAX_TEXT_BYTES / longest ? ENCODER_MAX_TEXT_BYTES
                                                        : (size_t)n * longest;
}

static bool is_inside_character(char c) { return ((unsigned char)c & 0xC0) == 0x80; }

/* The part of a text that can be left of it. */
static void cut_text(const struct intake *intake, const struct prompt_rules *rules,
                     const char **text, size_t *n_bytes)
{
    const size_t most = bytes_of(intake, rules->most + MARGIN_TOKENS);
    if (rules->cut == PROMPT_WHOLE || *n_bytes <= most)
        return;
    if (rules->cut == PROMPT_KEEP_FIRST) {
        size_t end = most;
        while (end > 0 && is_inside_character((*text)[end]))
            end--;
        *n_bytes = end;
    } else {
        size_t begin = *n_bytes - most;
        while (begin < *n_bytes && is_inside_character((*text)[begin]))
            begin++;
        *text += begin;
        *n_bytes -= begin;
    }
}

/* Ids of the text alone. What spells a special token in it is text. */
static bool encode(struct intake *intake, const struct api_prompt *prompt,
                   const struct prompt_rules *rules, struct ids *out, struct error *err)
{
    static const struct encode_options options = {.special_as_text = true};
    const char *text = prompt->text;
    size_t n_bytes = prompt->n_bytes;
    if (rules->cut == PROMPT_WHOLE &&
        !intake_check_length(intake, n_bytes, (size_t)rules->max_model_len, err))
        return error_param(err, rules->param);
    cut_text(intake, rules, &text, &n_bytes);
    if (encoder_encode(intake->encoder, text, n_bytes, &options, out, err))
        return true;
    error_in(err, "%s", rules->param);
    return error_param(err, rules->param);
}

static void cut_front(struct ids *ids, size_t n)
{
    memmove(ids->data, ids->data + n, (ids->n - n) * sizeof *ids->data);
    ids->n -= n;
}

static void put_before(struct ids *ids, const struct ids *before)
{
    const size_t n = ids->n;
    if (before->n == 0)
        return;
    ids_add_all(ids, before->data, before->n); /* makes the room */
    memmove(ids->data + before->n, ids->data, n * sizeof *ids->data);
    memcpy(ids->data, before->data, before->n * sizeof *ids->data);
}

/* Cuts to `most`, which may be below 0. */
static void cut_to(struct ids *ids, enum prompt_cut cut, int64_t most)
{
    const size_t left = most > 0 ? (size_t)most : 0;
    if (cut == PROMPT_WHOLE || ids->n <= left)
        return;
    if (cut == PROMPT_KEEP_FIRST)
        ids->n = left;
    else
        cut_front(ids, ids->n - left);
}

void prompt_cut(struct ids *ids, const struct prompt_rules *rules)
{
    cut_to(ids, rules->cut, rules->most);
}

static bool is_empty(const struct prompt_rules *rules, struct error *err)
{
    error_set(err, ERROR_INPUT, "%s: no tokens; give some text", rules->param);
    return error_param(err, rules->param);
}

static bool read_text(struct intake *intake, const struct api_prompt *prompt,
                      const struct prompt_rules *rules, struct ids *out, struct error *err)
{
    if (prompt->n_bytes == 0) /* also where special tokens would be put around it */
        return is_empty(rules, err);
    if (!encode(intake, prompt, rules, out, err))
        return false;
    if (rules->add_special_tokens) {
        const struct tokenizer_frame frame = tokenizer_frame(intake->tokenizer);
        cut_to(out, rules->cut, rules->most - (int64_t)(frame.before->n + frame.after->n));
        put_before(out, frame.before);
        ids_add_all(out, frame.after->data, frame.after->n);
    }
    prompt_cut(out, rules);
    return out->n > 0 || is_empty(rules, err);
}

/* ---- ids ---- */

static bool read_ids(const struct api_prompt *prompt, const struct prompt_rules *rules,
                     struct ids *out, struct error *err)
{
    const int64_t *id = prompt->id;
    size_t n = prompt->n_ids;
    if (n == 0)
        return is_empty(rules, err);
    if (n > (size_t)rules->most && rules->cut == PROMPT_WHOLE) {
        error_set(err, ERROR_INPUT,
                  "This model's maximum context length is %d tokens. However, your request has "
                  "%zu input tokens. Please reduce the length of the input.",
                  rules->max_model_len, n);
        return too_long(err, rules->param);
    }
    if (n > (size_t)rules->most) {
        id += rules->cut == PROMPT_KEEP_LAST ? n - (size_t)rules->most : 0;
        n = (size_t)rules->most;
    }
    for (size_t i = 0; i < n; i++) {
        if (id[i] < 0 || id[i] >= rules->vocab) {
            error_set(err, ERROR_INPUT, "%s: %lld is no token of this model (0 .. %d)",
                      rules->param, (long long)id[i], rules->vocab - 1);
            return error_param(err, rules->param);
        }
        ids_add(out, (int32_t)id[i]);
    }
    return true;
}

/* Errors are told of the field that the user has filled. */
static struct prompt_rules rules_for(const struct api_prompt *prompt,
                                     const struct prompt_rules *rules)
{
    struct prompt_rules own = *rules;
    own.param = prompt->param != NULL ? prompt->param : rules->param;
    return own;
}

bool prompt_read(struct intake *intake, const struct api_prompt *prompt,
                 const struct prompt_rules *rules, struct ids *out, struct error *err)
{
    const struct prompt_rules own = rules_for(prompt, rules);
    ids_clear(out);
    return prompt->text != NULL ? read_text(intake, prompt, &own, out, err)
                                : read_ids(prompt, &own, out, err);
}

/* ---- pairs ---- */

/* Each cut goes to the longer one, to the second where both are as long. */
static void cut_longer(struct ids *a, struct ids *b, int64_t most)
{
    const size_t left = most > 0 ? (size_t)most : 0;
    if (a->n + b->n <= left)
        return;
    const size_t shorter = a->n < b->n ? a->n : b->n;
    if (shorter < left - left / 2) {
        struct ids *longer = a->n > b->n ? a : b;
        longer->n = left - shorter;
        return;
    }
    a->n = left - left / 2;
    b->n = left / 2;
}

bool prompt_read_pair(struct intake *intake, const struct api_prompt *first,
                      const struct api_prompt *second, const struct prompt_rules *rules,
                      struct ids *out, struct error *err)
{
    const struct prompt_rules own[] = {rules_for(first, rules), rules_for(second, rules)};
    struct tokenizer_frame frame = {0};
    struct ids b = {0};
    ids_clear(out);
    if (first->text == NULL || second->text == NULL) {
        const char *param = own[first->text != NULL].param;
        error_set(err, ERROR_INPUT, "%s: a model that reads pairs wants texts", param);
        return error_param(err, param);
    }
    if (!tokenizer_pair_frame(intake->tokenizer, &frame))
        return error_set(err, ERROR_UNSUPPORTED,
                         "the tokenizer of this model does not say how two texts are put together");
    const bool good =
        encode(intake, first, &own[0], out, err) && encode(intake, second, &own[1], &b, err);
    if (good) {
        const size_t n_frame = frame.before->n + frame.between->n + frame.after->n;
        if (rules->cut != PROMPT_WHOLE)
            cut_longer(out, &b, rules->most - (int64_t)n_frame);
        put_before(out, frame.before);
        ids_add_all(out, frame.between->data, frame.between->n);
        ids_add_all(out, b.data, b.n);
        ids_add_all(out, frame.after->data, frame.after->n);
        prompt_cut(out, rules);
    }
    ids_release(&b);
    return good && (out->n > 0 || is_empty(&own[1], err));
}

/* ---- room ---- */

static bool prompt_too_long(int64_t n_prompt, const struct prompt_room *room, const char *param,
                            struct error *err)
{
    error_set(err, ERROR_INPUT,
              "This model's maximum context length is %d tokens. However, your request has %lld "
              "input tokens. Please reduce the length of the input.",
              room->max_model_len, (long long)n_prompt);
    return too_long(err, param);
}

/* Is there a place for so many tokens in the KV cache, were there nothing else? */
static bool check_cache(int64_t n_tokens, const struct prompt_room *room, const char *param,
                        struct error *err)
{
    if (room->kv_tokens <= 0 || n_tokens <= room->kv_tokens)
        return true;
    error_set(err, ERROR_INPUT,
              "prompt and answer are %lld tokens, and the KV cache of this server has room for "
              "%lld: ask for less, or give the server more --kv-cache-memory-bytes",
              (long long)n_tokens, (long long)room->kv_tokens);
    return error_param(err, param);
}

bool prompt_fit_alone(size_t n_prompt, const struct prompt_room *room, const char *param,
                      struct error *err)
{
    const int64_t n = (int64_t)n_prompt;
    return (n <= room->max_model_len || prompt_too_long(n, room, param, err)) &&
           check_cache(n, room, param, err);
}

bool prompt_fit(size_t n_prompt, const struct prompt_room *room, const char *param,
                int32_t *max_tokens, struct error *err)
{
    const int64_t n = (int64_t)n_prompt, length = room->max_model_len;
    const bool by_cache = room->kv_tokens > 0 && room->kv_tokens < length;
    const int64_t left = (by_cache ? room->kv_tokens : length) - n;
    if (n >= length)
        return prompt_too_long(n, room, param, err);
    if (room->max_tokens_said && n + *max_tokens > length) {
        error_set(err, ERROR_INPUT,
                  "This model's maximum context length is %lld tokens. However, you requested %d "
                  "output tokens and your prompt contains %lld input tokens, for a total of %lld "
                  "tokens. Please reduce the length of the input prompt or the number of requested "
                  "output tokens.",
                  (long long)length, *max_tokens, (long long)n, (long long)n + *max_tokens);
        return too_long(err, "max_tokens");
    }
    if (!check_cache(n + 1, room, param, err) ||
        (room->max_tokens_said && !check_cache(n + *max_tokens, room, "max_tokens", err)))
        return false;
    if (*max_tokens > left)
        *max_tokens = (int32_t)left;
    return true;
}
