#include "runtime/text/model/unigram.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/utf8.h"

static const double UNKNOWN_PENALTY = 10;

static bool parse_unknown(struct unigram *u, const json_t *model, struct error *err)
{
    int64_t id = -1;
    if (!json_get_int(model, "unk_id", false, 0, u->vocabulary->n_ids - 1, &id, err))
        return false;
    u->unknown = (int32_t)id;
    double least = u->scores[0];
    for (int32_t i = 1; i < u->vocabulary->n_ids; i++)
        least = u->scores[i] < least ? u->scores[i] : least;
    u->unknown_score = least - UNKNOWN_PENALTY;
    return true;
}

bool unigram_parse(struct unigram *u, struct vocabulary *vocabulary, const json_t *model,
                   const char *file, const struct json_part *vocab, struct error *err)
{
    *u = (struct unigram){.vocabulary = vocabulary};
    if (!vocabulary_parse_scored(vocabulary, &u->scores, file, vocab, err) ||
        !token_trie_build(&u->trie, vocabulary, err))
        return error_in(err, "\"vocab\"");
    if (!parse_unknown(u, model, err) ||
        !json_get_bool(model, "byte_fallback", false, &u->byte_fallback, err))
        return false;
    vocabulary_byte_ids(vocabulary, u->bytes);
    return true;
}

void unigram_release(struct unigram *u)
{
    token_trie_release(&u->trie);
    memory_free(u->scores);
    *u = (struct unigram){0};
}

static void reserve(struct unigram_work *work, size_t n_bytes)
{
    if (n_bytes + 1 > work->capacity) {
        work->capacity = n_bytes + n_bytes / 2 + 64;
        memory_free(work->nodes);
        work->nodes = memory_alloc(work->capacity, sizeof *work->nodes);
    }
    work->nodes[0] = (struct unigram_node){0};
    for (size_t i = 1; i <= n_bytes; i++)
        work->nodes[i].begin = UINT32_MAX;
}

static void offer(struct unigram_node *node, double score, size_t begin, int32_t id)
{
    if (node->begin == UINT32_MAX || score > node->score)
        *node = (struct unigram_node){score, (uint32_t)begin, id};
}

/* Offers each token that begins at `begin` to the place where it ends. */
static bool offer_all(const struct unigram *u, struct unigram_node *nodes, const char *word,
                      size_t n_bytes, size_t begin, size_t behind_char, struct error *err)
{
    const double before = nodes[begin].score;
    struct token_trie_place place = {0};
    bool has_char = false;
    for (size_t at = begin; at < n_bytes; at++) {
        if (!token_trie_step(&u->trie, &place, (unsigned char)word[at]))
            break;
        const int32_t id = token_trie_id(&u->trie, &place);
        if (id < 0)
            continue;
        offer(&nodes[at + 1], u->scores[id] + before, begin, id);
        has_char = has_char || at + 1 == behind_char;
    }
    if (has_char)
        return true;
    struct unigram_node *node = &nodes[behind_char];
    const double score = u->unknown_score + before;
    if (u->unknown < 0 && (node->begin == UINT32_MAX || score > node->score))
        return error_set(err, ERROR_INPUT,
                         "a character that is not in the vocabulary, which has no \"unk_id\"");
    offer(node, score, begin, u->unknown);
    return true;
}

/* A text of which some character was unknown. As a whole it may be a token after all. */
static void add_unknown(const struct unigram *u, const char *text, size_t n_bytes, struct ids *out)
{
    const int32_t id = vocabulary_find(u->vocabulary, text, n_bytes);
    bool as_bytes = id < 0 && u->byte_fallback;
    for (size_t i = 0; as_bytes && i < n_bytes; i++)
        as_bytes = u->bytes[(unsigned char)text[i]] >= 0;
    for (size_t i = 0; as_bytes && i < n_bytes; i++)
        ids_add(out, u->bytes[(unsigned char)text[i]]);
    if (!as_bytes)
        ids_add(out, id >= 0 ? id : u->unknown);
}

/* The places where the tokens of the best way end, last first; how many. */
static size_t walk_back(struct unigram_work *work, size_t n_bytes)
{
    size_t n = 0;
    for (size_t at = n_bytes; at > 0; at = work->nodes[at].begin) {
        if (n == work->ends_capacity) {
            work->ends_capacity = work->ends_capacity ? work->ends_capacity * 2 : 64;
            work->ends = memory_resize(work->ends, work->ends_capacity, sizeof *work->ends);
        }
        work->ends[n++] = (uint32_t)at;
    }
    return n;
}

/* The ids of the best way, first to last. */
static void add_best(const struct unigram *u, struct unigram_work *work, struct ids *out)
{
    size_t n = walk_back(work, work->n_bytes);
    while (n > 0) {
        const struct unigram_node *node = &work->nodes[work->ends[--n]];
        if (node->id != u->unknown) {
            ids_add(out, node->id);
            continue;
        }
        const size_t begin = node->begin; /* neighbours that are unknown go together */
        while (n > 0 && work->nodes[work->ends[n - 1]].id == u->unknown)
            n--;
        add_unknown(u, work->word + begin, work->ends[n] - begin, out);
    }
}

void unigram_begin(struct unigram_work *work, const char *word, size_t n_bytes)
{
    work->word = word;
    work->n_bytes = n_bytes;
    work->at = 0;
    reserve(work, n_bytes);
}

bool unigram_step(const struct unigram *u, struct unigram_work *work, size_t *n_steps,
                  struct ids *out, bool *done, struct error *err)
{
    for (; *n_steps > 0 && work->at < work->n_bytes; --*n_steps) {
        const size_t begin = work->at;
        utf8_read(work->word, &work->at);
        if (!offer_all(u, work->nodes, work->word, work->n_bytes, begin, work->at, err))
            return false;
    }
    *done = work->at == work->n_bytes;
    if (*done)
        add_best(u, work, out);
    return true;
}

void unigram_work_release(struct unigram_work *work)
{
    memory_free(work->nodes);
    memory_free(work->ends);
    *work = (struct unigram_work){0};
}
