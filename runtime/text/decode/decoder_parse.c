/* What is several things in one in the file becomes a step for each of them here. */
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "runtime/text/decode/decoder.h"
#include "runtime/text/file/stage.h"
#include "runtime/text/split/pattern.h"

#include <string.h>

/* A step to fill; NULL when there are too many. */
static struct decoder_step *new_step(struct decoder *d, enum decoder_step_kind kind,
                                     struct error *err)
{
    if (d->n_steps == DECODER_MAX_STEPS) {
        error_set(err, ERROR_INPUT, "more than %d steps", DECODER_MAX_STEPS);
        return NULL;
    }
    struct decoder_step *step = &d->steps[d->n_steps++];
    step->kind = kind;
    return step;
}

static bool add_step(struct decoder *d, enum decoder_step_kind kind, struct error *err)
{
    return new_step(d, kind, err) != NULL;
}

static bool check_text(const char *text, const char *key, struct error *err)
{
    return strlen(text) <= DECODER_MAX_TEXT_BYTES ||
           error_set(err, ERROR_UNSUPPORTED, "\"%s\" has %zu bytes, at most %d are supported", key,
                     strlen(text), DECODER_MAX_TEXT_BYTES);
}

static bool add_replace(struct decoder *d, const char *from, const char *to, struct error *err)
{
    struct decoder_step *step = new_step(d, DECODE_REPLACE_TEXT, err);
    if (step == NULL)
        return false;
    step->replacement = (struct replacement){
        .pattern = pattern_of_text(from), .to = memory_copy_text(to), .n_to = strlen(to)};
    return true;
}

/* Blanks of tokens that stand for punctuation and for parts of English words. */
static bool add_cleanup(struct decoder *d, struct error *err)
{
    static const char *const pairs[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (!add_replace(d, pairs[i][0], pairs[i][1], err))
            return false;
    return true;
}

/* A text that is looked for, so it cannot be empty. */
static bool get_wanted(const json_t *value, const char *key, const char **text, struct error *err)
{
    if (!json_get_text(value, key, true, text, err) || !check_text(*text, key, err))
        return false;
    return **text != '\0' ||
           error_set(err, ERROR_UNSUPPORTED, "\"%s\" is empty, which is not supported", key);
}

static bool parse_byte_level(void *context, const json_t *value, struct error *err)
{
    (void)value; /* its settings are for encoding */
    return add_step(context, DECODE_BYTE_LEVEL, err);
}

static bool parse_byte_fallback(void *context, const json_t *value, struct error *err)
{
    (void)value; /* no settings */
    return add_step(context, DECODE_BYTE_FALLBACK, err);
}

static bool parse_fuse(void *context, const json_t *value, struct error *err)
{
    (void)value; /* no settings */
    return add_step(context, DECODE_FUSE, err);
}

static bool parse_replace(void *context, const json_t *value, struct error *err)
{
    struct decoder *d = context;
    struct decoder_step *step = new_step(d, DECODE_REPLACE_TEXT, err);
    if (step == NULL || !replacement_parse(&step->replacement, value, err) ||
        !check_text(step->replacement.to, "content", err))
        return false;
    const char *from = pattern_text(step->replacement.pattern);
    if (from != NULL)
        return check_text(from, "pattern", err);
    step->kind = DECODE_REPLACE_REGEX;
    d->has_regex = true;
    return true;
}

static bool parse_strip(void *context, const json_t *value, struct error *err)
{
    enum { MAX_CHARS = 1 << 10 };
    struct decoder_step *step = new_step(context, DECODE_STRIP, err);
    return step != NULL && stage_get_character(&step->character, value, "content", err) &&
           json_get_int(value, "start", true, 0, MAX_CHARS, &step->start, err) &&
           json_get_int(value, "stop", true, 0, MAX_CHARS, &step->stop, err);
}

static bool parse_metaspace(void *context, const json_t *value, struct error *err)
{
    const char *scheme = NULL;
    bool add_prefix_space = true;
    struct decoder_step *step = new_step(context, DECODE_METASPACE, err);
    if (step == NULL || !stage_get_character(&step->character, value, "replacement", err) ||
        !json_get_text(value, "prepend_scheme", false, &scheme, err) ||
        !json_get_bool(value, "add_prefix_space", false, &add_prefix_space, err))
        return false;
    if (scheme != NULL && strcmp(scheme, "always") != 0 && strcmp(scheme, "first") != 0 &&
        strcmp(scheme, "never") != 0)
        return error_set(err, ERROR_UNSUPPORTED, "\"prepend_scheme\" \"%.40s\" is not supported",
                         scheme);
    step->drop_first = scheme != NULL ? strcmp(scheme, "never") != 0 : add_prefix_space;
    return true;
}

static bool parse_word_piece(void *context, const json_t *value, struct error *err)
{
    const char *prefix;
    bool cleanup;
    struct decoder_step *step = new_step(context, DECODE_WORD_PIECE, err);
    if (step == NULL || !json_get_text(value, "prefix", true, &prefix, err) ||
        !check_text(prefix, "prefix", err) || !json_get_bool(value, "cleanup", true, &cleanup, err))
        return false;
    step->text = memory_copy_text(prefix);
    return !cleanup || add_cleanup(context, err);
}

static bool parse_bpe(void *context, const json_t *value, struct error *err)
{
    const char *suffix;
    struct decoder_step *step = new_step(context, DECODE_WORD_END, err);
    if (step == NULL || !get_wanted(value, "suffix", &suffix, err))
        return false;
    step->text = memory_copy_text(suffix);
    return true;
}

static bool parse_ctc(void *context, const json_t *value, struct error *err)
{
    const char *pad, *delimiter;
    bool cleanup;
    if (!json_get_text(value, "pad_token", true, &pad, err) || !check_text(pad, "pad_token", err) ||
        !get_wanted(value, "word_delimiter_token", &delimiter, err) ||
        !json_get_bool(value, "cleanup", true, &cleanup, err))
        return false;
    return add_step(context, DECODE_DEDUPLICATE, err) &&
           (*pad == '\0' || add_replace(context, pad, "", err)) &&
           (!cleanup || (add_cleanup(context, err) && add_replace(context, delimiter, " ", err))) &&
           add_step(context, DECODE_DROP_EMPTY, err);
}

/* From the first step that makes one token of all, there is only this one. The last token is then
 * known too. */
static void mark_fused(struct decoder *d)
{
    bool fused = false;
    for (int i = 0; i < d->n_steps; i++) {
        struct decoder_step *step = &d->steps[i];
        step->fused = fused;
        fused = fused || step->kind == DECODE_BYTE_LEVEL || step->kind == DECODE_FUSE;
        if (step->fused && step->kind == DECODE_WORD_END) {
            step->kind = DECODE_REPLACE_TEXT;
            step->replacement = (struct replacement){.pattern = pattern_of_text(step->text),
                                                     .to = memory_copy_text("")};
        }
    }
}

bool decoder_parse(struct decoder *d, const json_t *value, struct error *err)
{
    static const struct stage_type types[] = {
        {"BPEDecoder", parse_bpe},
        {"ByteFallback", parse_byte_fallback},
        {"ByteLevel", parse_byte_level},
        {"CTC", parse_ctc},
        {"Fuse", parse_fuse},
        {"Metaspace", parse_metaspace},
        {"Replace", parse_replace},
        {"Strip", parse_strip},
        {"WordPiece", parse_word_piece},
        {NULL, NULL},
    };
    *d = (struct decoder){0};
    if (value == NULL || json_is_null(value))
        return add_step(d, DECODE_JOIN_BY_SPACES, err);
    if (!stage_parse(d, value, types, "decoders", err))
        return false;
    mark_fused(d);
    return true;
}

void decoder_release(struct decoder *d)
{
    for (int i = 0; i < d->n_steps; i++) {
        replacement_release(&d->steps[i].replacement);
        memory_free(d->steps[i].text);
    }
    d->n_steps = 0;
}
