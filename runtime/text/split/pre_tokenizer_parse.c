#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "runtime/text/file/stage.h"
#include "runtime/text/normalize/unicode_old.h"
#include "runtime/text/split/pre_tokenizer.h"
#include "runtime/text/unicode.h"

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

static bool add_split_chars(struct pre_tokenizer *p, bool (*matches)(uint32_t),
                            enum split_behavior behavior, struct error *err)
{
    return add_stage(p,
                     (struct pre_tokenizer_stage){
                         .kind = STAGE_SPLIT_CHARS, .matches = matches, .behavior = behavior},
                     err);
}

/* Without the key *out stays as it is, unless it is required. */
static bool parse_behavior(enum split_behavior *out, const json_t *value, bool required,
                           struct error *err)
{
    static const char *const names[] = {
        [SPLIT_REMOVED] = "Removed",
        [SPLIT_ISOLATED] = "Isolated",
        [SPLIT_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
        [SPLIT_MERGED_WITH_NEXT] = "MergedWithNext",
        [SPLIT_CONTIGUOUS] = "Contiguous",
    };
    const char *name = NULL;
    if (!json_get_text(value, "behavior", required, &name, err))
        return false;
    for (int i = 0; name != NULL && i < (int)(sizeof names / sizeof *names); i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (enum split_behavior)i;
            return true;
        }
    }
    return name == NULL ||
           error_set(err, ERROR_UNSUPPORTED, "\"behavior\" \"%.40s\" is not supported", name);
}

static bool parse_split(void *context, const json_t *value, struct error *err)
{
    struct pre_tokenizer_stage stage = {.kind = STAGE_SPLIT};
    return parse_behavior(&stage.behavior, value, true, err) &&
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
    return add_split_chars(context, unicode_is_number,
                           individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, err);
}

static bool parse_punctuation(void *context, const json_t *value, struct error *err)
{
    enum split_behavior behavior = SPLIT_ISOLATED;
    return parse_behavior(&behavior, value, false, err) &&
           add_split_chars(context, unicode_old_is_punctuation, behavior, err);
}

static bool parse_whitespace_split(void *context, const json_t *value, struct error *err)
{
    (void)value; /* no settings */
    return add_split_chars(context, unicode_is_space, SPLIT_REMOVED, err);
}

static bool parse_bert(void *context, const json_t *value, struct error *err)
{
    (void)value; /* no settings */
    return add_split_chars(context, unicode_is_space, SPLIT_REMOVED, err) &&
           add_split_chars(context, unicode_old_is_punctuation, SPLIT_ISOLATED, err);
}

static bool parse_whitespace(void *context, const json_t *value, struct error *err)
{
    (void)value; /* no settings */
    return add_stage(context, (struct pre_tokenizer_stage){.kind = STAGE_WORDS}, err);
}

static bool parse_unicode_scripts(void *context, const json_t *value, struct error *err)
{
    (void)value; /* no settings */
    return add_stage(context, (struct pre_tokenizer_stage){.kind = STAGE_SCRIPTS}, err);
}

static bool parse_char_delimiter(void *context, const json_t *value, struct error *err)
{
    struct pre_tokenizer_stage stage = {.kind = STAGE_SPLIT_CHARS, .behavior = SPLIT_REMOVED};
    return stage_get_character(&stage.character, value, "delimiter", err) &&
           add_stage(context, stage, err);
}

static bool parse_fixed_length(void *context, const json_t *value, struct error *err)
{
    struct pre_tokenizer_stage stage = {.kind = STAGE_FIXED_LENGTH, .length = 5};
    return json_get_int(value, "length", false, 1, INT32_MAX, &stage.length, err) &&
           add_stage(context, stage, err);
}

/* Files from before "prepend_scheme" have "add_prefix_space" alone, and newer ones may have both.
 */
static bool parse_scheme(enum prepend_scheme *out, const json_t *value, struct error *err)
{
    static const char *const names[] = {
        [PREPEND_ALWAYS] = "always", [PREPEND_FIRST] = "first", [PREPEND_NEVER] = "never"};
    const char *name = NULL;
    bool add_prefix_space = true;
    if (!json_get_text(value, "prepend_scheme", false, &name, err) ||
        !json_get_bool(value, "add_prefix_space", false, &add_prefix_space, err))
        return false;
    *out = add_prefix_space ? PREPEND_ALWAYS : PREPEND_NEVER;
    if (name == NULL)
        return true;
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        *out = (enum prepend_scheme)i;
        return add_prefix_space || *out == PREPEND_NEVER ||
               error_set(err, ERROR_INPUT,
                         "\"add_prefix_space\" is false and \"prepend_scheme\" "
                         "is \"%s\"",
                         name);
    }
    return error_set(err, ERROR_UNSUPPORTED, "\"prepend_scheme\" \"%.40s\" is not supported", name);
}

static bool parse_metaspace(void *context, const json_t *value, struct error *err)
{
    struct pre_tokenizer_stage mark = {.kind = STAGE_METASPACE};
    bool split = true;
    if (!stage_get_character(&mark.character, value, "replacement", err) ||
        !parse_scheme(&mark.scheme, value, err) ||
        !json_get_bool(value, "split", false, &split, err) || !add_stage(context, mark, err))
        return false;
    const struct pre_tokenizer_stage cut = {
        .kind = STAGE_SPLIT_CHARS, .character = mark.character, .behavior = SPLIT_MERGED_WITH_NEXT};
    return !split || add_stage(context, cut, err);
}

bool pre_tokenizer_parse(struct pre_tokenizer *p, const json_t *value, struct error *err)
{
    static const struct stage_type types[] = {
        {"BertPreTokenizer", parse_bert},
        {"ByteLevel", parse_byte_level},
        {"CharDelimiterSplit", parse_char_delimiter},
        {"Digits", parse_digits},
        {"FixedLength", parse_fixed_length},
        {"Metaspace", parse_metaspace},
        {"Punctuation", parse_punctuation},
        {"Split", parse_split},
        {"UnicodeScripts", parse_unicode_scripts},
        {"Whitespace", parse_whitespace},
        {"WhitespaceSplit", parse_whitespace_split},
        {NULL, NULL},
    };
    *p = (struct pre_tokenizer){0};
    return stage_parse(p, value, types, "pretokenizers", err);
}
