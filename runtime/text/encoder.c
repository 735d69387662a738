/* One text, outside in: added tokens as they came, then for what lies between them the normalizer,
 * the added tokens of normalized text, the words, and the model for each word. What is next is
 * kept, not called, so that it may stop anywhere: a step does the innermost thing that is under
 * way. */
#include "runtime/text/encoder.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "runtime/text/model/word_cache.h"
#include "runtime/text/tokenizer_parts.h"

#include <stdint.h>
#include <string.h>

/* Scratch memory grows to some twenty times the text. What a longer text needed is given back, so
 * that one large request does not stay in memory. */
enum {
    KEEP_SCRATCH_OF_BYTES = 1 << 20,
    BORDERS_MAX_BYTES = 64 << 20, /* normalized again, to follow ranges into normalized text */
};

struct encoder {
    const struct tokenizer *tokenizer;
    struct word_cache cache;
    struct encoding *idle; /* for the next text; NULL: none */
    size_t n_under_way;
};

struct encoding {
    struct encoder *encoder;
    const char *text; /* [n_bytes] */
    size_t n_bytes;
    struct text_range all;
    const struct text_range *plain; /* [n_plain] those that end behind the piece before */
    size_t n_plain;
    bool add_special_tokens;
    struct ids *out;
    size_t n_before; /* ids that others left there */
    enum encoding_phase {
        ENCODE_PIECES, /* as the added tokens cut the text */
        ENCODE_PARTS,  /* as they cut one piece, normalized */
        ENCODE_CUT,    /* of one part into words */
        ENCODE_WORDS,
        ENCODE_DONE,
    } phase;
    size_t piece, part, word; /* what is next */
    size_t at, n_at;          /* of `word`: the bytes that go to the model next */
    bool is_in_model;         /* it has begun with them */
    size_t n_before_word;
    struct word_slot *slot; /* of these bytes; NULL: not to be kept */
    const char *normalized; /* [n_normalized] the piece */
    size_t n_normalized, n_first;
    struct added_pieces pieces, parts;
    struct normalizer_work normalizer, border_normalizer;
    struct pre_tokenizer_work pre_tokenizer;
    struct pattern_work *patterns;
    struct model_work model;
};

/* ---- both halves ---- */

static struct encoding *encoding_create(struct encoder *e)
{
    struct encoding *x = memory_alloc(1, sizeof *x);
    x->encoder = e;
    x->patterns = pattern_work_create();
    x->pre_tokenizer.patterns = x->normalizer.patterns = x->border_normalizer.patterns =
        x->patterns;
    return x;
}

static void release_scratch(struct encoding *x)
{
    added_pieces_release(&x->pieces);
    added_pieces_release(&x->parts);
    normalizer_work_release(&x->normalizer);
    normalizer_work_release(&x->border_normalizer);
    pre_tokenizer_work_release(&x->pre_tokenizer);
    model_work_release(&x->model);
}

static void encoding_destroy(struct encoding *x)
{
    if (x == NULL)
        return;
    release_scratch(x);
    pattern_work_destroy(x->patterns);
    memory_free(x);
}

struct encoder *encoder_create(const struct tokenizer *tokenizer)
{
    struct encoder *e = memory_alloc(1, sizeof *e);
    e->tokenizer = tokenizer;
    word_cache_init(&e->cache);
    return e;
}

void encoder_destroy(struct encoder *e)
{
    if (e == NULL)
        return;
    check(e->n_under_way == 0);
    encoding_destroy(e->idle);
    word_cache_release(&e->cache);
    memory_free(e);
}

size_t encoder_under_way(const struct encoder *e) { return e->n_under_way; }

/* ---- ranges of the text in normalized text ---- */

/* Where a place of a text is in the normalized text: what stands before it is normalized alone, and
 * must be the begin of the whole. False: it is not, or the budget of bytes is used up. */
static bool move_border(struct encoding *x, const char *text, size_t at, size_t *budget,
                        size_t *moved)
{
    struct error ignored = {0};
    size_t n_bytes = at, n_first = 0;
    if (at > *budget || ((unsigned char)text[at] & 0xC0) == 0x80)
        return false;
    *budget -= at;
    if (!normalizer_run(&x->encoder->tokenizer->normalizer, &x->border_normalizer, &text, &n_bytes,
                        &n_first, &ignored) ||
        n_bytes > x->n_normalized || (n_bytes > 0 && memcmp(text, x->normalized, n_bytes) != 0))
        return false;
    *moved = n_bytes;
    return true;
}

/* The first `n` of the plain ranges, which are in a piece of the text, as parts of the piece when
 * it is normalized. */
static bool move_ranges(struct encoding *x, const struct added_piece *piece, size_t n,
                        struct text_range *moved)
{
    const char *text = x->text + piece->begin;
    const struct text_range *plain = x->plain;
    size_t budget = BORDERS_MAX_BYTES, done = 0;
    for (size_t i = 0; i < n; i++) {
        moved[i] = (struct text_range){0, x->n_normalized};
        if ((plain[i].begin > piece->begin &&
             !move_border(x, text, plain[i].begin - piece->begin, &budget, &moved[i].begin)) ||
            (plain[i].end < piece->end &&
             !move_border(x, text, plain[i].end - piece->begin, &budget, &moved[i].end)))
            return false;
        if (moved[i].begin < done || moved[i].end < moved[i].begin)
            return false;
        done = moved[i].end;
    }
    return true;
}

static bool has_special_part(const struct encoding *x)
{
    for (size_t i = 0; i < x->parts.n; i++)
        if (tokenizer_is_special(x->encoder->tokenizer, x->parts.data[i].id))
            return true;
    return false;
}

/* The tokens of normalized text, and the text between them. The first range of `plain` ends behind
 * the begin of the piece. Where a range cannot be followed, all of the piece is plain. */
static void split_normalized(struct encoding *x, const struct added_piece *piece)
{
    const struct added_matcher *m = &x->encoder->tokenizer->added.normalized;
    size_t n = 0;
    while (n < x->n_plain && x->plain[n].begin < piece->end)
        n++;
    added_tokens_split(m, x->normalized, x->n_normalized, NULL, 0, &x->parts);
    if (n == 0 || !has_special_part(x))
        return;
    struct text_range *moved = memory_alloc(n, sizeof *moved);
    if (!move_ranges(x, piece, n, moved)) {
        moved[0] = (struct text_range){0, x->n_normalized};
        n = 1;
    }
    added_tokens_split(m, x->normalized, x->n_normalized, moved, n, &x->parts);
    memory_free(moved);
}

/* ---- from the outside in ---- */

/* What lies between two tokens is normalized. */
static bool begin_text(struct encoding *x, const struct added_piece *piece, struct error *err)
{
    x->normalized = x->text + piece->begin;
    x->n_normalized = piece->end - piece->begin;
    x->n_first = 0; /* bytes of the first character */
    if (piece->begin == 0)
        utf8_read(x->normalized, &x->n_first);
    if (!normalizer_run(&x->encoder->tokenizer->normalizer, &x->normalizer, &x->normalized,
                        &x->n_normalized, &x->n_first, err))
        return false;
    split_normalized(x, piece);
    x->part = 0;
    x->phase = ENCODE_PARTS;
    return true;
}

static bool next_piece(struct encoding *x, struct error *err)
{
    if (x->piece == x->pieces.n) {
        x->phase = ENCODE_DONE;
        return true;
    }
    const struct added_piece *piece = &x->pieces.data[x->piece++];
    while (x->n_plain > 0 && x->plain->end <= piece->begin) { /* both ascend */
        x->plain++;
        x->n_plain--;
    }
    if (piece->id < 0)
        return begin_text(x, piece, err);
    ids_add(x->out, piece->id);
    return true;
}

static void next_part(struct encoding *x)
{
    if (x->part == x->parts.n) {
        x->phase = ENCODE_PIECES;
        return;
    }
    const struct added_piece part = x->parts.data[x->part++];
    if (part.id >= 0) {
        ids_add(x->out, part.id);
        return;
    }
    pre_tokenizer_begin(&x->pre_tokenizer, x->normalized + part.begin, part.end - part.begin,
                        x->n_first > part.begin ? x->n_first - part.begin : 0);
    x->phase = ENCODE_CUT;
}

static bool cut_words(struct encoding *x, size_t *n_steps, struct error *err)
{
    bool done;
    if (!pre_tokenizer_step(&x->encoder->tokenizer->pre_tokenizer, &x->pre_tokenizer, n_steps,
                            &done, err))
        return false;
    if (done) {
        x->word = x->at = 0;
        x->phase = ENCODE_WORDS;
    }
    return true;
}

/* The ids of a word, or of a part of one, are known, or the model begins with it. */
static void begin_word(struct encoding *x, const char *word, size_t n_bytes)
{
    bool hit;
    x->slot = word_cache_find(&x->encoder->cache, word, n_bytes, &hit);
    if (hit) {
        ids_add_all(x->out, x->slot->ids, x->slot->n_ids);
        return;
    }
    x->n_before_word = x->out->n;
    x->is_in_model = true;
    model_begin(&x->encoder->tokenizer->model, &x->model, word, n_bytes);
}

static void keep_word(struct encoding *x, const char *word, size_t n_bytes)
{
    const size_t n = x->out->n - x->n_before_word;
    if (x->slot != NULL)
        word_cache_keep(x->slot, word, n_bytes, n > 0 ? x->out->data + x->n_before_word : NULL, n);
    x->is_in_model = false;
}

/* One word, or one part of it, or as many steps of it as are left. */
static bool encode_word(struct encoding *x, const char *word, size_t n_bytes, size_t *n_steps,
                        struct error *err)
{
    const struct model *model = &x->encoder->tokenizer->model;
    bool done = true;
    if (!x->is_in_model) {
        x->n_at = model_part(model, word + x->at, n_bytes - x->at);
        begin_word(x, word + x->at, x->n_at);
        --*n_steps;
    }
    if (x->is_in_model) {
        if (!model_step(model, &x->model, n_steps, x->out, &done, err))
            return false;
        if (!done)
            return true;
        keep_word(x, word + x->at, x->n_at);
    }
    x->at += x->n_at;
    if (x->at == n_bytes) {
        x->at = 0;
        x->word++;
    }
    return true;
}

static bool encode_words(struct encoding *x, size_t *n_steps, struct error *err)
{
    const struct pre_tokenizer_work *cut = &x->pre_tokenizer;
    while (*n_steps > 0 && x->word < cut->spans.n) {
        const struct span span = cut->spans.data[x->word];
        if (!encode_word(x, cut->text + span.begin, span.end - span.begin, n_steps, err))
            return false;
    }
    if (x->word == cut->spans.n)
        x->phase = ENCODE_PARTS;
    return true;
}

static bool run_phase(struct encoding *x, size_t *n_steps, struct error *err)
{
    switch (x->phase) {
    case ENCODE_PIECES:
        --*n_steps;
        return next_piece(x, err);
    case ENCODE_PARTS:
        --*n_steps;
        next_part(x);
        break;
    case ENCODE_CUT:
        return cut_words(x, n_steps, err);
    case ENCODE_WORDS:
        return encode_words(x, n_steps, err);
    case ENCODE_DONE:
        break;
    }
    return true;
}

/* ---- a text ---- */

static bool check_text(const char *text, size_t n_bytes, struct error *err)
{
    if (n_bytes > ENCODER_MAX_TEXT_BYTES)
        return error_set(err, ERROR_INPUT, "a text of %zu bytes, at most %d can be encoded at once",
                         n_bytes, ENCODER_MAX_TEXT_BYTES);
    const size_t n_valid = utf8_valid_bytes(text, n_bytes);
    return n_valid == n_bytes ||
           error_set(err, ERROR_INPUT, "the text is not UTF-8 at byte %zu", n_valid);
}

struct encoding *encoding_begin(struct encoder *e, const char *text, size_t n_bytes,
                                const struct encode_options *options, struct ids *out,
                                struct error *err)
{
    static const struct encode_options none = {0};
    const struct tokenizer *t = e->tokenizer;
    if (options == NULL)
        options = &none;
    if (!check_text(text, n_bytes, err))
        return NULL;
    struct encoding *x = e->idle != NULL ? e->idle : encoding_create(e);
    e->idle = NULL;
    e->n_under_way += n_bytes;
    x->text = text;
    x->n_bytes = n_bytes;
    x->all = (struct text_range){0, n_bytes};
    x->plain = options->special_as_text ? &x->all : options->plain;
    x->n_plain = options->special_as_text ? 1 : options->n_plain;
    x->add_special_tokens = options->add_special_tokens;
    x->out = out;
    x->n_before = out->n;
    x->phase = ENCODE_PIECES;
    x->piece = 0;
    x->is_in_model = false;
    pattern_work_limit(x->patterns, n_bytes);
    added_tokens_split(&t->added.as_is, text, n_bytes, x->plain, x->n_plain, &x->pieces);
    if (x->add_special_tokens)
        ids_add_all(out, t->post_processor.before.data, t->post_processor.before.n);
    return x;
}

bool encoding_step(struct encoding *x, size_t n_steps, bool *done, struct error *err)
{
    const struct post_processor *post = &x->encoder->tokenizer->post_processor;
    *done = x->phase == ENCODE_DONE;
    while (!*done && n_steps > 0) {
        if (!run_phase(x, &n_steps, err))
            return false;
        *done = x->phase == ENCODE_DONE;
        if (*done && x->add_special_tokens)
            ids_add_all(x->out, post->after.data, post->after.n);
    }
    return true;
}

void encoding_end(struct encoding *x)
{
    if (x == NULL)
        return;
    struct encoder *e = x->encoder;
    e->n_under_way -= x->n_bytes;
    if (x->phase != ENCODE_DONE)
        x->out->n = x->n_before;
    if (x->n_bytes > KEEP_SCRATCH_OF_BYTES)
        release_scratch(x);
    if (e->idle == NULL)
        e->idle = x;
    else
        encoding_destroy(x);
}

bool encoder_encode(struct encoder *e, const char *text, size_t n_bytes,
                    const struct encode_options *options, struct ids *out, struct error *err)
{
    struct encoding *x = encoding_begin(e, text, n_bytes, options, out, err);
    bool done;
    const bool good = x != NULL && encoding_step(x, SIZE_MAX, &done, err);
    encoding_end(x);
    return good;
}
