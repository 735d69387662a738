#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "runtime/text/file/stage.h"
#include "runtime/text/normalize/normalizer.h"
#include "runtime/text/normalize/unicode_old.h"
#include "runtime/text/unicode.h"

#include <string.h>

static int keep(uint32_t c, uint32_t out[3])
{
    out[0] = c;
    return 1;
}

static int lower(uint32_t c, uint32_t out[3]) { return unicode_lower(c, out); }

static int strip_accent(uint32_t c, uint32_t out[3])
{
    return c >= 0x300 && unicode_old_is_mark(c) ? 0 : keep(c, out);
}

static int bert_strip_accent(uint32_t c, uint32_t out[3])
{
    return c >= 0x300 && unicode_old_is_nonspacing(c) ? 0 : keep(c, out);
}

/* Controls go, and what is left of white space becomes a space. */
static int bert_clean(uint32_t c, uint32_t out[3])
{
    if (c == '\t' || c == '\n' || c == '\r')
        return keep(' ', out);
    if (c == 0 || c == 0xFFFD || unicode_old_is_control(c))
        return 0;
    return keep(unicode_is_space(c) ? ' ' : c, out);
}

/* Ideographs become words of their own. */
static int bert_ideograph(uint32_t c, uint32_t out[3])
{
    static const struct unicode_run ideographs[] = {
        {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
        {0x2A700, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F},
    };
    if (c < ideographs[0].first ||
        !unicode_in(ideographs, sizeof ideographs / sizeof *ideographs, c))
        return keep(c, out);
    out[0] = out[2] = ' ';
    out[1] = c;
    return 3;
}

/* After the preparation of texts for neural machine translation, as sentencepiece names it. */
static int nmt(uint32_t c, uint32_t out[3])
{
    if ((c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
        c == 0x8F || c == 0x9F)
        return 0;
    const bool space = c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
                       (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                       c == 0xFEFF || c == 0xFFFD;
    return keep(space ? ' ' : c, out);
}

/* A step to fill; NULL when there are too many. */
static struct normalizer_step *new_step(struct normalizer *n, struct error *err)
{
    if (n->n_steps == NORMALIZER_MAX_STEPS) {
        error_set(err, ERROR_INPUT, "more than %d steps", NORMALIZER_MAX_STEPS);
        return NULL;
    }
    return &n->steps[n->n_steps++];
}

static bool add_form(struct normalizer *n, enum normal_form form, struct error *err)
{
    struct normalizer_step *step = new_step(n, err);
    if (step == NULL)
        return false;
    step->kind = NORMALIZE_FORM;
    step->form = form;
    return true;
}

static bool add_chars(struct normalizer *n, normalizer_char_fn *chars, struct error *err)
{
    struct normalizer_step *step = new_step(n, err);
    if (step == NULL)
        return false;
    step->kind = NORMALIZE_CHARS;
    step->chars = chars;
    return true;
}

static bool parse_nfc(void *context, const json_t *value, struct error *err)
{
    (void)value; /* no settings, as in those that follow */
    return add_form(context, NORMAL_FORM_C, err);
}

static bool parse_nfd(void *context, const json_t *value, struct error *err)
{
    (void)value;
    return add_form(context, NORMAL_FORM_D, err);
}

static bool parse_nfkc(void *context, const json_t *value, struct error *err)
{
    (void)value;
    return add_form(context, NORMAL_FORM_KC, err);
}

static bool parse_nfkd(void *context, const json_t *value, struct error *err)
{
    (void)value;
    return add_form(context, NORMAL_FORM_KD, err);
}

static bool parse_lowercase(void *context, const json_t *value, struct error *err)
{
    (void)value;
    return add_chars(context, lower, err);
}

static bool parse_strip_accents(void *context, const json_t *value, struct error *err)
{
    (void)value;
    return add_chars(context, strip_accent, err);
}

static bool parse_nmt(void *context, const json_t *value, struct error *err)
{
    (void)value;
    return add_chars(context, nmt, err);
}

static bool parse_byte_level(void *context, const json_t *value, struct error *err)
{
    (void)value;
    struct normalizer_step *step = new_step(context, err);
    if (step == NULL)
        return false;
    step->kind = NORMALIZE_BYTE_ALPHABET;
    return true;
}

static bool parse_strip(void *context, const json_t *value, struct error *err)
{
    struct normalizer_step *step = new_step(context, err);
    if (step == NULL)
        return false;
    step->kind = NORMALIZE_STRIP;
    return json_get_bool(value, "strip_left", true, &step->left, err) &&
           json_get_bool(value, "strip_right", true, &step->right, err);
}

static bool parse_prepend(void *context, const json_t *value, struct error *err)
{
    const char *text;
    struct normalizer_step *step = new_step(context, err);
    if (step == NULL || !json_get_text(value, "prepend", true, &text, err))
        return false;
    if (strlen(text) > NORMALIZER_MAX_TEXT_BYTES)
        return error_set(err, ERROR_INPUT, "\"prepend\" has %zu bytes, at most %d are supported",
                         strlen(text), NORMALIZER_MAX_TEXT_BYTES);
    step->kind = NORMALIZE_PREPEND;
    step->prefix = memory_copy_text(text);
    return true;
}

static bool parse_replace(void *context, const json_t *value, struct error *err)
{
    struct normalizer_step *step = new_step(context, err);
    if (step == NULL)
        return false;
    step->kind = NORMALIZE_REPLACE;
    return replacement_parse(&step->replacement, value, err);
}

static bool parse_precompiled(void *context, const json_t *value, struct error *err)
{
    const char *base64;
    struct normalizer_step *step = new_step(context, err);
    if (step == NULL || !json_get_text(value, "precompiled_charsmap", true, &base64, err))
        return false;
    step->kind = NORMALIZE_CHARSMAP;
    return charsmap_parse(&step->charsmap, base64, err);
}

static bool parse_bert(void *context, const json_t *value, struct error *err)
{
    bool clean, ideographs, lowercase;
    if (!json_get_bool(value, "clean_text", true, &clean, err) ||
        !json_get_bool(value, "handle_chinese_chars", true, &ideographs, err) ||
        !json_get_bool(value, "lowercase", true, &lowercase, err))
        return false;
    bool accents = lowercase; /* null: as "lowercase" */
    return json_get_bool(value, "strip_accents", false, &accents, err) &&
           (!clean || add_chars(context, bert_clean, err)) &&
           (!ideographs || add_chars(context, bert_ideograph, err)) &&
           (!accents || (add_form(context, NORMAL_FORM_D, err) &&
                         add_chars(context, bert_strip_accent, err))) &&
           (!lowercase || add_chars(context, lower, err));
}

bool normalizer_parse(struct normalizer *n, const json_t *value, struct error *err)
{
    static const struct stage_type types[] = {
        {"BertNormalizer", parse_bert},
        {"ByteLevel", parse_byte_level},
        {"Lowercase", parse_lowercase},
        {"NFC", parse_nfc},
        {"NFD", parse_nfd},
        {"NFKC", parse_nfkc},
        {"NFKD", parse_nfkd},
        {"Nmt", parse_nmt},
        {"Precompiled", parse_precompiled},
        {"Prepend", parse_prepend},
        {"Replace", parse_replace},
        {"Strip", parse_strip},
        {"StripAccents", parse_strip_accents},
        {NULL, NULL},
    };
    *n = (struct normalizer){0};
    return stage_parse(n, value, types, "normalizers", err);
}

void normalizer_release(struct normalizer *n)
{
    for (int i = 0; i < n->n_steps; i++) {
        memory_free(n->steps[i].prefix);
        replacement_release(&n->steps[i].replacement);
        charsmap_release(&n->steps[i].charsmap);
    }
    n->n_steps = 0;
}
