#include "base/error.h"
#include "base/json.h"
#include "runtime/text/normalize/normalizer.h"
#include "runtime/text/split/added_tokens.h"
#include "runtime/text/split/pattern.h"

#include <stdlib.h>
#include <string.h>

/* Of a token within its normalizer: compatibility forms are eleven times longer, at most. Every
 * token goes through, so what is harmless once must not happen eight thousand times. */
enum { MAX_GROWTH = 16 };

static int compare_bytes(const char *a, size_t n_a, const char *b, size_t n_b)
{
    const int order = memcmp(a, b, n_a < n_b ? n_a : n_b);
    return order ? order : (n_a > n_b) - (n_a < n_b);
}

static int by_text(const void *a, const void *b)
{
    const struct added_token *x = *(const struct added_token *const *)a;
    const struct added_token *y = *(const struct added_token *const *)b;
    return compare_bytes(x->text, x->n_bytes, y->text, y->n_bytes);
}

static int by_pattern(const void *a, const void *b)
{
    const struct added_token *x = *(const struct added_token *const *)a;
    const struct added_token *y = *(const struct added_token *const *)b;
    const int order = compare_bytes(x->pattern, x->n_pattern, y->pattern, y->n_pattern);
    return order ? order : (x > y) - (x < y); /* the first of the file, if equal */
}

static void matcher_init(struct added_matcher *m, struct added_tokens *added, bool normalized)
{
    m->sorted = arena_alloc(&added->arena, added->n, sizeof *m->sorted);
    for (size_t i = 0; i < added->n; i++)
        if (added->tokens[i].normalized == normalized && added->tokens[i].n_pattern > 0)
            m->sorted[m->n++] = &added->tokens[i];
    qsort(m->sorted, m->n, sizeof *m->sorted, by_pattern);
    for (size_t i = 0; i < m->n; i++)
        m->first[(unsigned char)m->sorted[i]->pattern[0] + 1]++;
    for (int byte = 0; byte < 256; byte++)
        m->first[byte + 1] += m->first[byte];
}

/* A token is either one of the vocabulary with its id there, or new with a free id. */
static bool check_id(struct vocabulary *v, struct added_token *token, struct error *err)
{
    const int32_t known = vocabulary_find(v, token->text, token->n_bytes);
    size_t n_other;
    const char *other = vocabulary_text(v, token->id, &n_other);
    if (known >= 0 && known != token->id)
        return error_set(err, ERROR_INPUT, "\"%.40s\" has id %d here and id %d in \"vocab\"",
                         token->text, token->id, known);
    if (known < 0 && other != NULL)
        return error_set(err, ERROR_INPUT, "id %d is given to \"%.40s\" and to \"%.*s\"", token->id,
                         token->text, (int)(n_other < 40 ? n_other : 40), other);
    if (known < 0)
        vocabulary_name(v, token->id, token->text, token->n_bytes);
    return true;
}

static bool parse_token(struct added_tokens *added, const json_t *value, struct added_token *token,
                        struct error *err)
{
    const char *text;
    int64_t id;
    if (!json_get_text(value, "content", true, &text, err) ||
        !json_get_int(value, "id", true, 0, VOCABULARY_MAX_IDS - 1, &id, err) ||
        !json_get_bool(value, "special", false, &token->special, err) ||
        !json_get_bool(value, "normalized", false, &token->normalized, err) ||
        !json_get_bool(value, "lstrip", false, &token->lstrip, err) ||
        !json_get_bool(value, "rstrip", false, &token->rstrip, err) ||
        !json_get_bool(value, "single_word", false, &token->single_word, err))
        return false;
    const size_t n_bytes = strlen(text);
    if (n_bytes == 0 || n_bytes > ADDED_MAX_TOKEN_BYTES)
        return error_set(err, ERROR_INPUT, "\"content\" has %zu bytes, want 1 to %d", n_bytes,
                         ADDED_MAX_TOKEN_BYTES);
    token->text = arena_copy_text(&added->arena, text, n_bytes);
    token->n_bytes = (uint32_t)n_bytes;
    token->id = (int32_t)id;
    return true;
}

static bool set_pattern(struct added_tokens *added, struct added_token *token,
                        const struct normalizer *normalizer, struct normalizer_work *work,
                        struct error *err)
{
    const char *pattern = token->text;
    size_t n_pattern = token->n_bytes, n_first = 0;
    if (token->normalized && !normalizer_run(normalizer, work, &pattern, &n_pattern, &n_first, err))
        return false;
    if (n_pattern > ADDED_MAX_TOKEN_BYTES)
        return error_set(err, ERROR_INPUT, "\"content\" has %zu bytes when normalized, at most %d",
                         n_pattern, ADDED_MAX_TOKEN_BYTES);
    token->pattern =
        pattern == token->text ? token->text : arena_copy_text(&added->arena, pattern, n_pattern);
    token->n_pattern = (uint32_t)n_pattern;
    return true;
}

static bool parse_all(struct added_tokens *added, struct vocabulary *vocabulary,
                      const struct normalizer *normalizer, const json_t *list, struct error *err)
{
    struct normalizer_work work = {.patterns = pattern_work_create(),
                                   .max_bytes = MAX_GROWTH * ADDED_MAX_TOKEN_BYTES};
    bool ok = true;
    pattern_work_limit(work.patterns, ADDED_MAX_TOKEN_BYTES);
    for (size_t i = 0; ok && i < added->n; i++) {
        struct added_token *token = &added->tokens[i];
        ok = parse_token(added, json_array_get(list, i), token, err) &&
             check_id(vocabulary, token, err) && set_pattern(added, token, normalizer, &work, err);
        if (!ok)
            error_in(err, "\"added_tokens\"[%zu]", i);
    }
    pattern_work_destroy(work.patterns);
    normalizer_work_release(&work);
    return ok;
}

/* A token that is found in normalized text is shown so too, as the reference does it; and as a
 * special token it is left out only if some special token is spelled like that. */
static void name_tokens(const struct added_tokens *added, struct vocabulary *v)
{
    for (size_t i = 0; i < added->n; i++) {
        const struct added_token *token = &added->tokens[i];
        const struct added_token *spelled =
            added_tokens_find(added, token->pattern, token->n_pattern);
        if (token->pattern != token->text)
            vocabulary_name(v, token->id, token->pattern, token->n_pattern);
        v->tokens[token->id].special = token->special;
        v->tokens[token->id].skipped = spelled != NULL && spelled->special;
    }
}

bool added_tokens_parse(struct added_tokens *added, struct vocabulary *vocabulary,
                        const struct normalizer *normalizer, const json_t *list, struct error *err)
{
    *added = (struct added_tokens){0};
    if (list == NULL || json_is_null(list))
        return true;
    if (!json_is_array(list))
        return error_set(err, ERROR_INPUT, "\"added_tokens\" is no array");
    const size_t n = json_array_size(list);
    if (n > ADDED_MAX_TOKENS)
        return error_set(err, ERROR_INPUT, "\"added_tokens\" has %zu, at most %d are supported", n,
                         ADDED_MAX_TOKENS);
    added->tokens = arena_alloc(&added->arena, n, sizeof *added->tokens);
    added->n = n;
    if (!parse_all(added, vocabulary, normalizer, list, err))
        return false;
    added->by_text = arena_alloc(&added->arena, n, sizeof *added->by_text);
    for (size_t i = 0; i < n; i++)
        added->by_text[i] = &added->tokens[i];
    qsort(added->by_text, n, sizeof *added->by_text, by_text);
    for (size_t i = 1; i < n; i++)
        if (by_text(&added->by_text[i - 1], &added->by_text[i]) == 0)
            return error_set(err, ERROR_INPUT, "\"added_tokens\" has \"%.40s\" twice",
                             added->by_text[i]->text);
    name_tokens(added, vocabulary);
    matcher_init(&added->as_is, added, false);
    matcher_init(&added->normalized, added, true);
    return true;
}
