/* One text, outside in: added tokens as they came, then for what lies between them the normalizer,
 * the added tokens of normalized text, the words, and the model for each word. */
#include "runtime/text/encoder.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "runtime/text/model/word_cache.h"
#include "runtime/text/tokenizer_parts.h"

#include <string.h>

/* Scratch memory grows to some twenty times the text. What a longer text needed is given back, so
 * that one large request does not stay in memory. */
enum {
    KEEP_SCRATCH_OF_BYTES = 1 << 20,
    BORDERS_MAX_BYTES = 64 << 20, /* normalized again, to follow ranges into normalized text */
};

struct encoder {
    const struct tokenizer *tokenizer;
    struct added_pieces pieces, normalized_pieces;
    struct normalizer_work normalizer, border_normalizer;
    struct pre_tokenizer_work pre_tokenizer;
    struct pattern_work *patterns;
    struct model_work model;
    struct word_cache cache;
};

struct encoder *encoder_create(const struct tokenizer *tokenizer)
{
    struct encoder *e = memory_alloc(1, sizeof *e);
    e->tokenizer = tokenizer;
    e->patterns = pattern_work_create();
    e->pre_tokenizer.patterns = e->normalizer.patterns = e->border_normalizer.patterns =
        e->patterns;
    word_cache_init(&e->cache);
    return e;
}

static void release_scratch(struct encoder *e)
{
    added_pieces_release(&e->pieces);
    added_pieces_release(&e->normalized_pieces);
    normalizer_work_release(&e->normalizer);
    normalizer_work_release(&e->border_normalizer);
    pre_tokenizer_work_release(&e->pre_tokenizer);
    model_work_release(&e->model);
}

void encoder_destroy(struct encoder *e)
{
    if (e == NULL)
        return;
    release_scratch(e);
    pattern_work_destroy(e->patterns);
    word_cache_release(&e->cache);
    memory_free(e);
}

static bool encode_word(struct encoder *e, const char *word, size_t n_bytes, struct ids *out,
                        struct error *err)
{
    bool hit;
    struct word_slot *slot = word_cache_find(&e->cache, word, n_bytes, &hit);
    if (hit) {
        ids_add_all(out, slot->ids, slot->n_ids);
        return true;
    }
    const size_t before = out->n;
    if (!model_encode(&e->tokenizer->model, &e->model, word, n_bytes, out, err))
        return false;
    const int32_t *made = out->n > before ? out->data + before : NULL;
    if (slot != NULL)
        word_cache_keep(slot, word, n_bytes, made, out->n - before);
    return true;
}

static bool encode_words(struct encoder *e, const char *text, size_t n_bytes, size_t n_first,
                         struct ids *out, struct error *err)
{
    struct pre_tokenizer_work *work = &e->pre_tokenizer;
    if (!pre_tokenizer_run(&e->tokenizer->pre_tokenizer, work, text, n_bytes, n_first, err))
        return false;
    for (size_t i = 0; i < work->spans.n; i++) {
        const struct span span = work->spans.data[i];
        if (!encode_word(e, work->text + span.begin, span.end - span.begin, out, err))
            return false;
    }
    return true;
}

/* Where a place of a text is in the normalized text: what stands before it is normalized alone, and
 * must be the begin of the whole. False: it is not, or the budget of bytes is used up. */
static bool move_border(struct encoder *e, const char *text, size_t at, const char *normalized,
                        size_t n_normalized, size_t *budget, size_t *moved)
{
    struct error ignored = {0};
    size_t n_bytes = at, n_first = 0;
    if (at > *budget || ((unsigned char)text[at] & 0xC0) == 0x80)
        return false;
    *budget -= at;
    if (!normalizer_run(&e->tokenizer->normalizer, &e->border_normalizer, &text, &n_bytes, &n_first,
                        &ignored) ||
        n_bytes > n_normalized || (n_bytes > 0 && memcmp(text, normalized, n_bytes) != 0))
        return false;
    *moved = n_bytes;
    return true;
}

/* The parts of `plain` in a piece of the text, as parts of the piece when it is normalized. */
static bool move_ranges(struct encoder *e, const char *whole, const struct added_piece *piece,
                        const struct text_range *plain, size_t n_plain, const char *normalized,
                        size_t n_normalized, struct text_range *moved)
{
    const char *text = whole + piece->begin;
    size_t budget = BORDERS_MAX_BYTES, done = 0;
    for (size_t i = 0; i < n_plain; i++) {
        moved[i] = (struct text_range){0, n_normalized};
        if ((plain[i].begin > piece->begin &&
             !move_border(e, text, plain[i].begin - piece->begin, normalized, n_normalized, &budget,
                          &moved[i].begin)) ||
            (plain[i].end < piece->end &&
             !move_border(e, text, plain[i].end - piece->begin, normalized, n_normalized, &budget,
                          &moved[i].end)))
            return false;
        if (moved[i].begin < done || moved[i].end < moved[i].begin)
            return false;
        done = moved[i].end;
    }
    return true;
}

static bool has_special(const struct encoder *e, const struct added_pieces *pieces)
{
    for (size_t i = 0; i < pieces->n; i++)
        if (tokenizer_is_special(e->tokenizer, pieces->data[i].id))
            return true;
    return false;
}

/* The tokens of normalized text. `plain` is of the text as it came, and the first range ends behind
 * the begin of the piece. Where a range cannot be followed, all of the piece is plain. */
static void split_normalized(struct encoder *e, const char *whole, const struct added_piece *piece,
                             const struct text_range *plain, size_t n_plain, const char *normalized,
                             size_t n_normalized)
{
    const struct added_matcher *m = &e->tokenizer->added.normalized;
    size_t n = 0;
    while (n < n_plain && plain[n].begin < piece->end)
        n++;
    added_tokens_split(m, normalized, n_normalized, NULL, 0, &e->normalized_pieces);
    if (n == 0 || !has_special(e, &e->normalized_pieces))
        return;
    struct text_range *moved = memory_alloc(n, sizeof *moved);
    if (!move_ranges(e, whole, piece, plain, n, normalized, n_normalized, moved)) {
        moved[0] = (struct text_range){0, n_normalized};
        n = 1;
    }
    added_tokens_split(m, normalized, n_normalized, moved, n, &e->normalized_pieces);
    memory_free(moved);
}

/* What lies between two tokens. */
static bool encode_text(struct encoder *e, const char *whole, const struct added_piece *piece,
                        const struct text_range *plain, size_t n_plain, struct ids *out,
                        struct error *err)
{
    const struct tokenizer *t = e->tokenizer;
    const char *text = whole + piece->begin;
    size_t n_bytes = piece->end - piece->begin, n_first = 0; /* bytes of the first character */
    if (piece->begin == 0)
        utf8_read(text, &n_first);
    if (!normalizer_run(&t->normalizer, &e->normalizer, &text, &n_bytes, &n_first, err))
        return false;
    if (t->added.normalized.n == 0)
        return encode_words(e, text, n_bytes, n_first, out, err);

    split_normalized(e, whole, piece, plain, n_plain, text, n_bytes);
    for (size_t i = 0; i < e->normalized_pieces.n; i++) {
        const struct added_piece part = e->normalized_pieces.data[i];
        if (part.id >= 0)
            ids_add(out, part.id);
        else if (!encode_words(e, text + part.begin, part.end - part.begin,
                               n_first > part.begin ? n_first - part.begin : 0, out, err))
            return false;
    }
    return true;
}

static bool encode_pieces(struct encoder *e, const char *text, const struct text_range *plain,
                          size_t n_plain, struct ids *out, struct error *err)
{
    for (size_t i = 0; i < e->pieces.n; i++) {
        const struct added_piece *piece = &e->pieces.data[i];
        while (n_plain > 0 && plain->end <= piece->begin) { /* both ascend */
            plain++;
            n_plain--;
        }
        if (piece->id >= 0)
            ids_add(out, piece->id);
        else if (!encode_text(e, text, piece, plain, n_plain, out, err))
            return false;
    }
    return true;
}

bool encoder_encode(struct encoder *e, const char *text, size_t n_bytes,
                    const struct encode_options *options, struct ids *out, struct error *err)
{
    static const struct encode_options none = {0};
    const struct tokenizer *t = e->tokenizer;
    if (options == NULL)
        options = &none;
    if (n_bytes > ENCODER_MAX_TEXT_BYTES)
        return error_set(err, ERROR_INPUT, "a text of %zu bytes, at most %d can be encoded at once",
                         n_bytes, ENCODER_MAX_TEXT_BYTES);
    const size_t n_valid = utf8_valid_bytes(text, n_bytes);
    if (n_valid < n_bytes)
        return error_set(err, ERROR_INPUT, "the text is not UTF-8 at byte %zu", n_valid);

    const struct text_range all = {0, n_bytes};
    const struct text_range *plain = options->special_as_text ? &all : options->plain;
    const size_t n_plain = options->special_as_text ? 1 : options->n_plain;
    const size_t before = out->n;
    pattern_work_limit(e->patterns, n_bytes);
    if (options->add_special_tokens)
        ids_add_all(out, t->post_processor.before.data, t->post_processor.before.n);
    added_tokens_split(&t->added.as_is, text, n_bytes, plain, n_plain, &e->pieces);
    const bool ok = encode_pieces(e, text, plain, n_plain, out, err);
    if (n_bytes > KEEP_SCRATCH_OF_BYTES)
        release_scratch(e);
    if (!ok) {
        out->n = before;
        return false;
    }
    if (options->add_special_tokens)
        ids_add_all(out, t->post_processor.after.data, t->post_processor.after.n);
    return true;
}
