#include "runtime/text/bpe_merges.h"

#include "base/error.h"
#include "base/memory.h"
#include "runtime/text/json_cursor.h"

#include <string.h>

enum {
    /* Half-full tables have runs of a few dozen; a file made to collide must not cost seconds. */
    MAX_PROBES = 2048,
    SHOWN_BYTES = 40, /* of a token, in messages */
};

_Static_assert(VOCABULARY_MAX_IDS < 1 << BPE_ID_BITS, "two ids and a rank are one word");
_Static_assert(BPE_MAX_MERGES < 1 << BPE_RANK_BITS, "two ids and a rank are one word");

struct merge {
    char *left, *right; /* in the same room, left first */
    size_t n_left, n_right;
};

static int shown(size_t n_bytes) { return n_bytes < SHOWN_BYTES ? (int)n_bytes : SHOWN_BYTES; }

/* The next merge of the array, decoded into `room`. *skip: it is the comment of old files. */
static bool read_merge(struct json_cursor *c, char *room, struct merge *m, bool *skip,
                       struct error *err)
{
    static const char comment[] = "#version";
    size_t n_bytes;
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
    const char *space = memchr(room, ' ', n_bytes);
    if (*skip)
        return true;
    if (space == NULL || memchr(space + 1, ' ', n_bytes - (size_t)(space + 1 - room)))
        return json_cursor_fail(c, err, "merge \"%.*s\" is not two tokens and a space",
                                shown(n_bytes), room);
    m->n_left = (size_t)(space - room);
    m->right = room + m->n_left + 1;
    m->n_right = n_bytes - m->n_left - 1;
    return true;
}

static bool find_part(const struct bpe *bpe, const struct json_cursor *c, const char *text,
                      size_t n_bytes, int32_t *id, struct error *err)
{
    *id = vocabulary_find(bpe->vocabulary, text, n_bytes);
    return *id >= 0 || json_cursor_fail(c, err, "merge of \"%.*s\", which is not in \"vocab\"",
                                        shown(n_bytes), text);
}

/* Ids of both parts and of what they become. An empty part would make a merge that gives one of
 * its own parts, round and round. */
static bool resolve(const struct bpe *bpe, const struct json_cursor *c, const struct merge *m,
                    uint64_t *pair, int32_t *result, struct error *err)
{
    const size_t n_prefix = strlen(bpe->prefix);
    int32_t left, right;
    if (m->n_left == 0 || m->n_right <= n_prefix)
        return json_cursor_fail(c, err, "merge of \"%.*s\" and \"%.*s\" gives one of them again",
                                shown(m->n_left), m->left, shown(m->n_right), m->right);
    if (!find_part(bpe, c, m->left, m->n_left, &left, err) ||
        !find_part(bpe, c, m->right, m->n_right, &right, err))
        return false;
    if (memcmp(m->right, bpe->prefix, n_prefix) != 0)
        return json_cursor_fail(c, err, "merge with \"%.*s\", which does not begin with \"%s\"",
                                shown(m->n_right), m->right, bpe->prefix);
    char *whole = m->right + n_prefix - m->n_left;
    memmove(whole, m->left, m->n_left);
    *pair = (uint64_t)left << BPE_ID_BITS | (uint64_t)right;
    return find_part(bpe, c, whole, m->n_left + m->n_right - n_prefix, result, err);
}

/* A pair that comes again takes its later place, as in the reference. */
static bool add_pair(struct bpe *bpe, const struct json_cursor *c, uint64_t pair, struct error *err)
{
    size_t i = bpe_pair_place(bpe, pair);
    for (int probes = 0; bpe->pairs[i] != bpe_no_pair; i = (i + 1) & (bpe->n_pairs - 1)) {
        if (bpe->pairs[i] >> BPE_RANK_BITS == pair)
            break;
        if (++probes > MAX_PROBES)
            return json_cursor_fail(c, err, "merges that were made to collide");
    }
    bpe->pairs[i] = pair << BPE_RANK_BITS | bpe->n_merges;
    return true;
}

static bool parse_items(struct bpe *bpe, struct json_cursor *c, char *room, struct error *err)
{
    if (!json_cursor_expect(c, '[', err))
        return false;
    if (json_cursor_take(c, ']'))
        return true;
    do {
        struct merge m;
        uint64_t pair = 0;
        bool skip;
        if (!read_merge(c, room, &m, &skip, err))
            return false;
        if (skip)
            continue;
        if (!resolve(bpe, c, &m, &pair, &bpe->results[bpe->n_merges], err) ||
            !add_pair(bpe, c, pair, err))
            return false;
        bpe->n_merges++;
    } while (json_cursor_take(c, ','));
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
    while (bpe->n_pairs < 2 * part->n_items)
        bpe->n_pairs *= 2;
    bpe->pairs = memory_alloc(bpe->n_pairs, sizeof *bpe->pairs);
    memset(bpe->pairs, 0xFF, bpe->n_pairs * sizeof *bpe->pairs);
    bpe->results = memory_alloc(part->n_items, sizeof *bpe->results);
    char *room = memory_alloc(part->n_bytes, 1); /* only the pages that get used cost memory */
    const bool ok = parse_items(bpe, &c, room, err);
    memory_free(room);
    return ok;
}
