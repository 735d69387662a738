#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "runtime/text/model/bpe_merges.h"

#include <string.h>

static bool parse_affix(char *out, const json_t *model, const char *key, struct error *err)
{
    const char *text = "";
    if (!json_get_text(model, key, false, &text, err))
        return false;
    if (strlen(text) >= BPE_MAX_AFFIX_BYTES)
        return error_set(err, ERROR_INPUT, "\"%s\" has %zu bytes, at most %d are supported", key,
                         strlen(text), BPE_MAX_AFFIX_BYTES - 1);
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool parse_unknown(struct bpe *bpe, const json_t *model, struct error *err)
{
    const char *text = NULL;
    bpe->unknown = -1;
    if (!json_get_text(model, "unk_token", false, &text, err))
        return false;
    if (text == NULL)
        return true;
    bpe->unknown = vocabulary_find(bpe->vocabulary, text, strlen(text));
    return bpe->unknown >= 0 ||
           error_set(err, ERROR_INPUT, "\"unk_token\" is \"%.40s\", which is not in \"vocab\"",
                     text);
}

static bool parse_options(struct bpe *bpe, const json_t *model, struct error *err)
{
    double dropout = 0;
    if (!parse_unknown(bpe, model, err) ||
        !json_get_number(model, "dropout", false, 0, 1, &dropout, err) ||
        !json_get_bool(model, "fuse_unk", false, &bpe->fuse_unknown, err) ||
        !json_get_bool(model, "byte_fallback", false, &bpe->byte_fallback, err) ||
        !json_get_bool(model, "ignore_merges", false, &bpe->ignore_merges, err) ||
        !parse_affix(bpe->prefix, model, "continuing_subword_prefix", err) ||
        !parse_affix(bpe->suffix, model, "end_of_word_suffix", err))
        return false;
    if (dropout > 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "\"dropout\" is %g: random ids are for training, set it to null", dropout);
    if (bpe->byte_fallback && (bpe->prefix[0] != '\0' || bpe->suffix[0] != '\0'))
        return error_set(err, ERROR_UNSUPPORTED,
                         "\"byte_fallback\" together with \"continuing_subword_prefix\" or "
                         "\"end_of_word_suffix\" is not supported");
    return true;
}

/* Whether words may come apart at marks, if no merge is against it. Nothing may depend on the whole
 * word, or stand as a mark for another character, or bring two marks together by vanishing. */
static bool may_part(const struct bpe *bpe)
{
    if (bpe->ignore_merges || bpe->prefix[0] != '\0' || bpe->suffix[0] != '\0' || bpe->unknown < 0)
        return false;
    size_t n_bytes;
    const char *unknown = vocabulary_text(bpe->vocabulary, bpe->unknown, &n_bytes);
    return memmem(unknown, n_bytes, bpe_mark, BPE_MARK_BYTES) == NULL &&
           vocabulary_find(bpe->vocabulary, bpe_mark, BPE_MARK_BYTES) >= 0;
}

/* The ids that would otherwise be looked up for every character of every word. */
static void fill_direct(struct bpe *bpe)
{
    for (uint32_t c = 0; c < BPE_DIRECT_CHARS; c++) {
        char text[4];
        bpe->direct[c] = vocabulary_find(bpe->vocabulary, text, utf8_write(text, c));
    }
    vocabulary_byte_ids(bpe->vocabulary, bpe->bytes);
}

bool bpe_parse(struct bpe *bpe, const struct vocabulary *vocabulary, const json_t *model,
               const char *file, const struct json_part *merges, struct error *err)
{
    *bpe = (struct bpe){.vocabulary = vocabulary};
    if (!parse_options(bpe, model, err))
        return false;
    bpe->parts_at_mark = may_part(bpe);
    if (!bpe_merges_parse(bpe, file, merges, err)) {
        bpe_release(bpe);
        return error_in(err, "\"merges\"");
    }
    fill_direct(bpe);
    return true;
}

void bpe_release(struct bpe *bpe)
{
    memory_free(bpe->pairs);
    memory_free(bpe->results);
    *bpe = (struct bpe){0};
}
