#include "runtime/text/model/bpe_merges.h"

#include "base/error.h"
#include "base/memory.h"
#include "runtime/text/file/json_cursor.h"

#include <string.h>

enum {
    /* Half-full tables have runs of a few dozen; a file made to collide must not cost seconds. */
    MAX_PROBES = 2048,
    SHOWN_BYTES = 40, /* of a token, in messages */
};

_Static_assert(VOCABULARY_MAX_IDS < 1 << BPE_ID_BITS, "two ids and a rank are one word");
_Static_assert(BPE_MAX_MERGES < 1 << BPE_RANK_BITS, "two ids and a rank are one word");

/* Merges go through in batches: first all their looks are announced, then done, so that the
 * misses of the cache overlap. It halves the time of loading. */
enum { BATCH = 64 };

struct merge {
    char *left, *right; /* in the same room, left first */
    size_t n_left, n_right;
    size_t at; /* behind it in the file */
    uint32_t left_hash, right_hash;
    uint64_t pair;
    int32_t result;
};

static int shown(size_t n_bytes) { return n_bytes < SHOWN_BYTES ? (int)n_bytes : SHOWN_BYTES; }

/* The next merge of the array, decoded into `room`. *skip: it is the comment of old files. */
static bool read_merge(struct json_cursor *c, char *room, struct merge *m, bool *skip,
                       struct error *err)
{
    static const char comment[] = "#version";
    size_t n_bytes = 0;
    *skip = false;
    m->left = room;
    if (json_cursor_take(c, '[')) {
        if (!json_cursor_string(c, room, &m->n_left, err) || !json_cursor_expect(c, ',', err))
            return false;
        m->right = room + m->n_left;
        return json_cursor_string(c, m->right, &m->n_right, err) && json_cursor_expect(c, ']', err);
    }
    if (!json_cursor_string(c, room, &n_bytes, err))
        return false;
    *skip = n_bytes >= sizeof comment - 1 && memcmp(room, comment, sizeof comment - 1) == 0;
    if (*skip)
        return true;
    const char *space = memchr(room, ' ', n_bytes);
    if (space == NULL || memchr(space + 1, ' ', n_bytes - (size_t)(space + 1 - room)))
        return json_cursor_fail(c, err, "merge \"%.*s\" is not two tokens and a space",
                                shown(n_bytes), room);
    m->n_left = (size_t)(space - room);
    m->right = room + m->n_left + 1;
    m->n_right = n_bytes - m->n_left - 1;
    return true;
}

/* Reads up to BATCH merges, one behind the other in `room`. *last: the array has no more. */
static bool read_batch(const struct bpe *bpe, struct json_cursor *c, char *room,
                       struct merge *batch, int *n, bool *last, struct error *err)
{
    *n = 0;
    *last = false;
    while (*n < BATCH && !*last) {
        struct merge *m = &batch[*n];
        bool skip = false;
        if (!read_merge(c, room, m, &skip, err))
            return false;
        *last = !json_cursor_take(c, ',');
        if (skip)
            continue;
        m->at = c->at;
        m->left_hash = vocabulary_hash(m->left, m->n_left);
        m->right_hash = vocabulary_hash(m->right, m->n_right);
        vocabulary_prefetch(bpe->vocabulary, m->left_hash);
        vocabulary_prefetch(bpe->vocabulary, m->right_hash);
        room = m->right + m->n_right;
        ++*n;
    }
    return true;
}

static bool unknown_part(const struct json_cursor *c, const char *text, size_t n_bytes,
                         struct error *err)
{
    return json_cursor_fail(c, err, "merge of \"%.*s\", which is not in \"vocab\"", shown(n_bytes),
                            text);
}

/* Ids of both parts and of what they become. An empty part would make a merge that gives one of
 * its own parts, round and round. */
static bool resolve(struct bpe *bpe, const struct json_cursor *c, struct merge *m,
                    int32_t result_before, struct error *err)
{
    const struct vocabulary *v = bpe->vocabulary;
    const size_t n_prefix = strlen(bpe->prefix);
    if (m->n_left == 0 || m->n_right <= n_prefix)
        return json_cursor_fail(c, err, "merge of \"%.*s\" and \"%.*s\" gives one of them again",
                                shown(m->n_left), m->left, shown(m->n_right), m->right);
    const int32_t left = vocabulary_find_hashed(v, m->left_hash, m->left, m->n_left);
    const int32_t right = vocabulary_find_hashed(v, m->right_hash, m->right, m->n_right);
    if (left < 0)
        return unknown_part(c, m->left, m->n_left, err);
    if (right < 0)
        return unknown_part(c, m->right, m->n_right, err);
    if (memcmp(m->right, bpe->prefix, n_prefix) != 0)
        return json_cursor_fail(c, err, "merge with \"%.*s\", which does not begin with \"%s\"",
                                shown(m->n_right), m->right, bpe->prefix);
    char *whole = m->right + n_prefix - m->n_left;
    const size_t n_whole = m->n_left + m->n_right - n_prefix;
    memmove(whole, m->left, m->n_left);
    m->pair = (uint64_t)left << BPE_ID_BITS | (uint64_t)right;
    /* Most files list merges in the order of what they give: the next token, or the same again. */
    if (vocabulary_is(v, result_before + 1, whole, n_whole))
        m->result = result_before + 1;
    else if (vocabulary_is(v, result_before, whole, n_whole))
        m->result = result_before;
    else
        m->result = vocabulary_find(v, whole, n_whole);
    if (bpe->parts_at_mark && bpe_find_mark(whole, n_whole) < n_whole)
        bpe->parts_at_mark = false;
    return m->result >= 0 || unknown_part(c, whole, n_whole, err);
}

/* A pair that comes again takes its later place, as in the reference. */
static bool add_pair(struct bpe *bpe, const struct json_cursor *c, const struct merge *m,
                     struct error *err)
{
    size_t i = bpe_pair_place(bpe, m->pair);
    for (int probes = 0; bpe->pairs[i] != bpe_no_pair; i = (i + 1) & (bpe->n_pairs - 1)) {
        if (bpe->pairs[i] >> BPE_RANK_BITS == m->pair)
            break;
        if (++probes > MAX_PROBES)
            return json_cursor_fail(c, err, "merges that were made to collide");
    }
    bpe->pairs[i] = m->pair << BPE_RANK_BITS | bpe->n_merges;
    bpe->results[bpe->n_merges++] = m->result;
    return true;
}

static bool add_batch(struct bpe *bpe, struct json_cursor c, struct merge *batch, int n,
                      struct error *err)
{
    int32_t result = bpe->n_merges > 0 ? bpe->results[bpe->n_merges - 1] : -1;
    for (int i = 0; i < n; i++) {
        c.at = batch[i].at;
        if (!resolve(bpe, &c, &batch[i], result, err))
            return false;
        result = batch[i].result;
        __builtin_prefetch(&bpe->pairs[bpe_pair_place(bpe, batch[i].pair)], 1);
    }
    for (int i = 0; i < n; i++) {
        c.at = batch[i].at;
        if (!add_pair(bpe, &c, &batch[i], err))
            return false;
    }
    return true;
}

static bool parse_items(struct bpe *bpe, struct json_cursor *c, char *room, struct error *err)
{
    if (!json_cursor_expect(c, '[', err))
        return false;
    if (json_cursor_take(c, ']'))
        return true;
    struct merge batch[BATCH];
    for (bool last = false; !last;) {
        int n = 0;
        if (!read_batch(bpe, c, room, batch, &n, &last, err) || !add_batch(bpe, *c, batch, n, err))
            return false;
    }
    return json_cursor_expect(c, ']', err);
}

bool bpe_merges_parse(struct bpe *bpe, const char *file, const struct json_part *part,
                      struct error *err)
{
    struct json_cursor c = {
        .text = file, .n_bytes = part->begin + part->n_bytes, .at = part->begin};
    if (part->n_items > BPE_MAX_MERGES)
        return json_cursor_fail(&c, err, "%zu merges, at most %d are supported", part->n_items,
                                BPE_MAX_MERGES);
    bpe->n_pairs = 2;
    while (bpe->n_pairs < part->n_items + part->n_items / 2 + 1)
        bpe->n_pairs *= 2;
    bpe->pairs = memory_alloc(bpe->n_pairs, sizeof *bpe->pairs);
    memset(bpe->pairs, 0xFF, bpe->n_pairs * sizeof *bpe->pairs);
    bpe->results = memory_alloc(part->n_items, sizeof *bpe->results);
    char *room = memory_alloc(part->n_bytes, 1); /* only the pages that get used cost memory */
    const bool ok = parse_items(bpe, &c, room, err);
    memory_free(room);
    return ok;
}
