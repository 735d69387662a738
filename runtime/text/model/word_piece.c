#include "runtime/text/model/word_piece.h"

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"

#include <string.h>

static bool parse_unknown(struct word_piece *w, const json_t *model, struct error *err)
{
    const char *text;
    if (!json_get_text(model, "unk_token", true, &text, err))
        return false;
    w->unknown = vocabulary_find(w->vocabulary, text, strlen(text));
    return true;
}

bool word_level_parse(struct word_piece *w, const struct vocabulary *vocabulary,
                      const json_t *model, struct error *err)
{
    *w = (struct word_piece){.vocabulary = vocabulary};
    return parse_unknown(w, model, err);
}

bool word_piece_parse(struct word_piece *w, const struct vocabulary *vocabulary,
                      const json_t *model, struct error *err)
{
    const char *prefix;
    *w = (struct word_piece){.vocabulary = vocabulary};
    if (!parse_unknown(w, model, err) ||
        !json_get_text(model, "continuing_subword_prefix", true, &prefix, err) ||
        !json_get_int(model, "max_input_chars_per_word", true, 0, INT64_MAX, &w->max_chars, err))
        return false;
    if (!token_trie_build(&w->trie, vocabulary, err))
        return error_in(err, "\"vocab\"");
    w->has_prefix = true;
    for (; *prefix != '\0' && w->has_prefix; prefix++)
        w->has_prefix = token_trie_step(&w->trie, &w->behind_prefix, (unsigned char)*prefix);
    return true;
}

void word_piece_release(struct word_piece *w)
{
    token_trie_release(&w->trie);
    *w = (struct word_piece){0};
}

static bool add_unknown(const struct word_piece *w, struct ids *out, struct error *err)
{
    if (w->unknown < 0)
        return error_set(err, ERROR_INPUT,
                         "a word that is not in the vocabulary, which has no \"unk_token\"");
    ids_add(out, w->unknown);
    return true;
}

/* The longest token that begins at word[at], and where it ends; -1: none does. */
static int32_t longest(const struct word_piece *w, const char *word, size_t n_bytes, size_t at,
                       size_t *end)
{
    struct token_trie_place place = {0};
    int32_t best = -1;
    if (at > 0 && !w->has_prefix)
        return -1;
    if (at > 0)
        place = w->behind_prefix;
    while (at < n_bytes && token_trie_step(&w->trie, &place, (unsigned char)word[at])) {
        const int32_t id = token_trie_id(&w->trie, &place);
        at++;
        if (id < 0)
            continue;
        best = id;
        *end = at;
    }
    return best;
}

bool word_piece_encode(const struct word_piece *w, const char *word, size_t n_bytes,
                       struct ids *out, struct error *err)
{
    const size_t before = out->n;
    if (w->trie.n_nodes == 0) {
        const int32_t id = vocabulary_find(w->vocabulary, word, n_bytes);
        if (id < 0)
            return add_unknown(w, out, err);
        ids_add(out, id);
        return true;
    }
    if ((int64_t)utf8_count(word, n_bytes) > w->max_chars)
        return add_unknown(w, out, err);
    for (size_t at = 0; at < n_bytes;) {
        const int32_t id = longest(w, word, n_bytes, at, &at);
        if (id < 0) {
            out->n = before;
            return add_unknown(w, out, err);
        }
        ids_add(out, id);
    }
    return true;
}
