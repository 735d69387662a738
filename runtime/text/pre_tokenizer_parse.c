#include "base/error.h"
#include "base/json.h"
#include "runtime/text/pre_tokenizer.h"
#include "runtime/text/stage.h"

#include <string.h>

/* The words of GPT-2: contractions, letters, numbers, other characters, spaces. */
static const char gpt2_words[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|"
                                 " ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static bool add_stage(struct pre_tokenizer *p, struct pre_tokenizer_stage stage, struct error *err)
{
    if (p->n_stages == PRE_TOKENIZER_MAX_STAGES) {
        pattern_destroy(stage.pattern);
        return error_set(err, ERROR_INPUT, "more than %d stages", PRE_TOKENIZER_MAX_STAGES);
    }
    p->stages[p->n_stages++] = stage;
    return true;
}

static bool parse_behavior(enum split_behavior *out, const json_t *value, struct error *err)
{
    static const char *const names[] = {
        [SPLIT_REMOVED] = "Removed",
        [SPLIT_ISOLATED] = "Isolated",
        [SPLIT_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
        [SPLIT_MERGED_WITH_NEXT] = "MergedWithNext",
        [SPLIT_CONTIGUOUS] = "Contiguous",
    };
    const char *name;
    if (!json_get_text(value, "behavior", true, &name, err))
        return false;
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (enum split_behavior)i;
            return true;
        }
    }
    return error_set(err, ERROR_UNSUPPORTED, "\"behavior\" \"%.40s\" is not supported", name);
}

static bool parse_split(void *context, const json_t *value, struct error *err)
{
    struct pre_tokenizer_stage stage = {.kind = STAGE_SPLIT};
    return parse_behavior(&stage.behavior, value, err) &&
           json_get_bool(value, "invert", false, &stage.invert, err) &&
           pattern_parse(&stage.pattern, json_object_get(value, "pattern"), err) &&
           add_stage(context, stage, err);
}

static bool parse_byte_level(void *context, const json_t *value, struct error *err)
{
    bool add_prefix_space = false, use_regex = true; /* files older than the key split */
    if (!json_get_bool(value, "add_prefix_space", true, &add_prefix_space, err) ||
        !json_get_bool(value, "use_regex", false, &use_regex, err))
        return false;
    if (add_prefix_space &&
        !add_stage(context, (struct pre_tokenizer_stage){.kind = STAGE_PREFIX_SPACE}, err))
        return false;
    if (use_regex) {
        struct pre_tokenizer_stage words = {.kind = STAGE_SPLIT, .behavior = SPLIT_ISOLATED};
        if (!pattern_create(&words.pattern, gpt2_words, err) || !add_stage(context, words, err))
            return false;
    }
    return add_stage(context, (struct pre_tokenizer_stage){.kind = STAGE_BYTE_ALPHABET}, err);
}

static bool parse_digits(void *context, const json_t *value, struct error *err)
{
    bool individual = false;
    if (!json_get_bool(value, "individual_digits", true, &individual, err))
        return false;
    return add_stage(
        context,
        (struct pre_tokenizer_stage){.kind = STAGE_DIGITS,
                                     .behavior = individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS},
        err);
}

bool pre_tokenizer_parse(struct pre_tokenizer *p, const json_t *value, struct error *err)
{
    static const struct stage_type types[] = {
        {"ByteLevel", parse_byte_level},
        {"Digits", parse_digits},
        {"Split", parse_split},
        {NULL, NULL},
    };
    *p = (struct pre_tokenizer){0};
    return stage_parse(p, value, types, "pretokenizers", err);
}
