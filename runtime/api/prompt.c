#include "runtime/api/prompt.h"

#include "base/error.h"
#include "base/system.h"
#include "runtime/gateway/intake.h"
#include "runtime/gateway/sampling.h"
#include "runtime/text/encoder.h"
#include "runtime/text/tokenizer.h"

#include <string.h>

enum {
    /* Shorter texts are read in one go: at worst, a word of single letters, they take 2 ms. */
    LONG_TEXT_BYTES = 4 << 10,
    /* Of long texts that are under way at once, or one of any length: each needs some twenty times
     * as much memory. */
    MAX_UNDER_WAY_BYTES = 16 << 20,
    STEPS_A_LOOK = 1 << 9, /* at the clock */
};

/* Tokens at a cut depend on what was there before it: so many more are read and thrown away. */
enum { MARGIN_TOKENS = 64 };

static bool too_long(const char *param, struct error *err)
{
    error_param(err, param);
    return error_code(err, "context_length_exceeded");
}

/* `about`: "at least ", where it is not known how many more there are, or "". */
static bool too_many(const char *about, size_t n_tokens, int max_model_len, const char *param,
                     struct error *err)
{
    error_set(err, ERROR_INPUT,
              "This model's maximum context length is %d tokens. However, your request has %s%zu "
              "input tokens. Please reduce the length of the input.",
              max_model_len, about, n_tokens);
    return too_long(param, err);
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

/* A text that has too many tokens, whatever they are, is refused. */
static bool check_length(const struct intake *intake, size_t n_bytes,
                         const struct prompt_rules *rules, struct error *err)
{
    const size_t longest = tokenizer_longest(intake->tokenizer);
    const size_t n_least = n_bytes / longest + (n_bytes % longest > 0);
    return n_least <= (size_t)rules->max_model_len ||
           too_many("at least ", n_least, rules->max_model_len, rules->param, err);
}

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

/* May a long text be begun now? */
static bool may_begin(const struct prompt_reader *reader, const struct intake *intake,
                      size_t n_bytes)
{
    const size_t under_way = encoder_under_way(intake->encoder);
    return reader->texts_stay && (under_way == 0 || under_way + n_bytes <= MAX_UNDER_WAY_BYTES);
}

/* Nothing is under way where it has to wait. */
static bool begin_text(struct prompt_reader *reader, struct intake *intake,
                       const struct api_prompt *prompt, const struct prompt_rules *rules,
                       struct ids *out, struct error *err)
{
    const struct encode_options options = {
        .add_special_tokens = prompt->is_rendered && rules->add_special_tokens,
        .special_as_text = !prompt->is_rendered,
        .plain = prompt->plain,
        .n_plain = prompt->n_plain,
    };
    const char *text = prompt->text;
    size_t n_bytes = prompt->n_bytes;
    if ((rules->cut == PROMPT_WHOLE || prompt->is_rendered) &&
        !check_length(intake, n_bytes, rules, err))
        return false;
    if (!prompt->is_rendered)
        cut_text(intake, rules, &text, &n_bytes);
    reader->is_long = reader->until_ns > 0 && n_bytes >= LONG_TEXT_BYTES;
    if (reader->is_long && !may_begin(reader, intake, n_bytes))
        return true;
    ids_clear(out);
    reader->encoding = encoding_begin(intake->encoder, text, n_bytes, &options, out, err);
    return reader->encoding != NULL || error_in(err, "%s", rules->param);
}

/* Until it is done, or the time is over. */
static bool go_on(struct prompt_reader *reader, const struct prompt_rules *rules, struct error *err)
{
    const size_t n_steps = reader->is_long ? STEPS_A_LOOK : SIZE_MAX;
    bool done = false;
    do {
        if (!encoding_step(reader->encoding, n_steps, &done, err))
            return error_in(err, "%s", rules->param);
    } while (!done && clock_now_ns() < reader->until_ns);
    reader->is_under_way = !done;
    return true;
}

/* Ids of the text alone. What users wrote is text, also where it spells a special token. */
static bool encode(struct prompt_reader *reader, struct intake *intake,
                   const struct api_prompt *prompt, const struct prompt_rules *rules,
                   struct ids *out, struct error *err)
{
    reader->is_under_way = false;
    if (reader->encoding == NULL && !begin_text(reader, intake, prompt, rules, out, err))
        return error_param(err, rules->param);
    if (reader->encoding == NULL) {
        reader->is_under_way = true;
        return true;
    }
    const bool good = go_on(reader, rules, err) || error_param(err, rules->param);
    if (!reader->is_under_way) {
        encoding_end(reader->encoding);
        reader->encoding = NULL;
    }
    return good;
}

void prompt_reader_release(struct prompt_reader *reader)
{
    encoding_end(reader->encoding);
    ids_release(&reader->second);
    *reader = (struct prompt_reader){0};
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

static bool is_empty(const struct prompt_rules *rules, struct error *err)
{
    error_set(err, ERROR_INPUT, "%s: no tokens; give some text", rules->param);
    return error_param(err, rules->param);
}

static bool read_text(struct prompt_reader *reader, struct intake *intake,
                      const struct api_prompt *prompt, const struct prompt_rules *rules,
                      struct ids *out, struct error *err)
{
    const bool has_frame = rules->add_special_tokens && !prompt->is_rendered;
    if (prompt->n_bytes == 0 && !prompt->is_rendered) /* also where it would get a frame */
        return is_empty(rules, err);
    if (!encode(reader, intake, prompt, rules, out, err))
        return false;
    if (reader->is_under_way)
        return true;
    if (has_frame) {
        const struct tokenizer_frame frame = tokenizer_frame(intake->tokenizer);
        cut_to(out, rules->cut, rules->most - (int64_t)(frame.before->n + frame.after->n));
        put_before(out, frame.before);
        ids_add_all(out, frame.after->data, frame.after->n);
    }
    cut_to(out, rules->cut, rules->most);
    return out->n > 0 || is_empty(rules, err);
}

/* ---- ids ---- */

static bool read_ids(const struct api_prompt *prompt, const struct prompt_rules *rules,
                     struct ids *out, struct error *err)
{
    const int64_t *id = prompt->id;
    size_t n = prompt->n_ids;
    ids_clear(out);
    if (n == 0)
        return is_empty(rules, err);
    if (n > (size_t)rules->most && rules->cut == PROMPT_WHOLE)
        return too_many("", n, rules->max_model_len, rules->param, err);
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

bool prompt_read(struct prompt_reader *reader, struct intake *intake,
                 const struct api_prompt *prompt, const struct prompt_rules *rules, struct ids *out,
                 struct error *err)
{
    const struct prompt_rules own = rules_for(prompt, rules);
    return prompt->text != NULL ? read_text(reader, intake, prompt, &own, out, err)
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

/* Both are read, the first one into *out. */
static void join(struct ids *out, struct ids *second, const struct tokenizer_frame *frame,
                 const struct prompt_rules *rules)
{
    const size_t n_frame = frame->before->n + frame->between->n + frame->after->n;
    if (rules->cut != PROMPT_WHOLE)
        cut_longer(out, second, rules->most - (int64_t)n_frame);
    put_before(out, frame->before);
    ids_add_all(out, frame->between->data, frame->between->n);
    ids_add_all(out, second->data, second->n);
    ids_add_all(out, frame->after->data, frame->after->n);
    cut_to(out, rules->cut, rules->most);
}

bool prompt_read_pair(struct prompt_reader *reader, struct intake *intake,
                      const struct api_prompt *first, const struct api_prompt *second,
                      const struct prompt_rules *rules, struct ids *out, struct error *err)
{
    const struct prompt_rules own[] = {rules_for(first, rules), rules_for(second, rules)};
    struct tokenizer_frame frame = {0};
    if (first->text == NULL || second->text == NULL) {
        const char *param = own[first->text != NULL].param;
        error_set(err, ERROR_INPUT, "%s: a model that reads pairs wants texts", param);
        return error_param(err, param);
    }
    if (!tokenizer_pair_frame(intake->tokenizer, &frame))
        return error_set(err, ERROR_UNSUPPORTED,
                         "the tokenizer of this model does not say how two texts are put together");
    if (!reader->has_first && !encode(reader, intake, first, &own[0], out, err))
        return false;
    reader->has_first = reader->has_first || !reader->is_under_way;
    if (!reader->has_first)
        return true;
    if (!encode(reader, intake, second, &own[1], &reader->second, err))
        return false;
    if (reader->is_under_way)
        return true;
    reader->has_first = false;
    join(out, &reader->second, &frame, rules);
    return out->n > 0 || is_empty(&own[1], err);
}

/* ---- room ---- */

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
    return (n <= room->max_model_len || too_many("", n_prompt, room->max_model_len, param, err)) &&
           check_cache(n, room, param, err);
}

bool prompt_fit(size_t n_prompt, const struct prompt_room *room, const char *param,
                int32_t *max_tokens, struct error *err)
{
    const int64_t n = (int64_t)n_prompt, length = room->max_model_len;
    const bool by_cache = room->kv_tokens > 0 && room->kv_tokens < length;
    const int64_t left = (by_cache ? room->kv_tokens : length) - n;
    if (n >= length)
        return too_many("", n_prompt, room->max_model_len, param, err);
    if (room->max_tokens_said && n + *max_tokens > length) {
        error_set(err, ERROR_INPUT,
                  "This model's maximum context length is %lld tokens. However, you requested %d "
                  "output tokens and your prompt contains %lld input tokens, for a total of %lld "
                  "tokens. Please reduce the length of the input prompt or the number of requested "
                  "output tokens.",
                  (long long)length, *max_tokens, (long long)n, (long long)n + *max_tokens);
        return too_long("max_tokens", err);
    }
    if (!check_cache(n + 1, room, param, err) ||
        (room->max_tokens_said && !check_cache(n + *max_tokens, room, "max_tokens", err)))
        return false;
    if (*max_tokens > left)
        *max_tokens = (int32_t)left;
    return true;
}
