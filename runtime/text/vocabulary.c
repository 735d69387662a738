/* One open table of (hash, id), one array of places by id, one block of text: three allocations
 * for any number of tokens. The full hash in the slot makes a comparison of texts rare. */
#include "runtime/text/vocabulary.h"

#include "base/error.h"
#include "base/memory.h"
#include "runtime/text/json_cursor.h"

#include <string.h>
#include <xxhash.h>

enum {
    /* Half-full tables have runs of a few dozen; a file made to collide must not cost seconds. */
    MAX_PROBES = 2048,
};

static uint32_t hash_of(const char *text, size_t n_bytes)
{
    return (uint32_t)XXH3_64bits(text, n_bytes);
}

static bool token_is(const struct vocabulary *v, int32_t id, const char *text, size_t n_bytes)
{
    const struct vocabulary_token *token = &v->tokens[id];
    return token->n_bytes == n_bytes && memcmp(v->text + token->begin, text, n_bytes) == 0;
}

int32_t vocabulary_find(const struct vocabulary *v, const char *text, size_t n_bytes)
{
    if (v->n_slots == 0)
        return -1;
    const uint32_t hash = hash_of(text, n_bytes);
    for (size_t i = hash & (v->n_slots - 1);; i = (i + 1) & (v->n_slots - 1)) {
        const struct vocabulary_slot *slot = &v->slots[i];
        if (slot->id < 0)
            return -1;
        if (slot->hash == hash && token_is(v, slot->id, text, n_bytes))
            return slot->id;
    }
}

const char *vocabulary_text(const struct vocabulary *v, int32_t id, size_t *n_bytes)
{
    if (id < 0 || id >= v->n_ids || !v->tokens[id].used)
        return NULL;
    *n_bytes = v->tokens[id].n_bytes;
    return v->text + v->tokens[id].begin;
}

/* Room for tokens up to `id`. Ids come nearly always in order, and as many as there are tokens. */
static void reserve_ids(struct vocabulary *v, int32_t *capacity, int32_t id)
{
    if (id >= *capacity) {
        const int32_t before = *capacity;
        while (*capacity <= id)
            *capacity = *capacity * 2 < VOCABULARY_MAX_IDS ? *capacity * 2 : VOCABULARY_MAX_IDS;
        v->tokens = memory_resize(v->tokens, (size_t)*capacity, sizeof *v->tokens);
        memset(v->tokens + before, 0, (size_t)(*capacity - before) * sizeof *v->tokens);
    }
    if (id >= v->n_ids)
        v->n_ids = id + 1;
}

/* Puts the token whose text ends the block of text into the tables. */
static bool add_last(struct vocabulary *v, int32_t id, size_t n_bytes, const struct json_cursor *c,
                     struct error *err)
{
    const char *text = v->text + v->text_bytes;
    const int shown = n_bytes < 40 ? (int)n_bytes : 40;
    if (v->tokens[id].used)
        return json_cursor_fail(c, err, "id %d is given to two tokens, the second is \"%.*s\"", id,
                                shown, text);
    const uint32_t hash = hash_of(text, n_bytes);
    size_t i = hash & (v->n_slots - 1);
    for (int probes = 0; v->slots[i].id >= 0; i = (i + 1) & (v->n_slots - 1)) {
        if (v->slots[i].hash == hash && token_is(v, v->slots[i].id, text, n_bytes))
            return json_cursor_fail(c, err, "token \"%.*s\" comes twice", shown, text);
        if (++probes > MAX_PROBES)
            return json_cursor_fail(c, err, "tokens that were made to collide");
    }
    v->slots[i] = (struct vocabulary_slot){hash, id};
    v->tokens[id] =
        (struct vocabulary_token){(uint32_t)v->text_bytes, (uint32_t)n_bytes, true, false};
    v->text_bytes += n_bytes;
    return true;
}

static bool parse_members(struct vocabulary *v, struct json_cursor *c, int32_t *capacity,
                          struct error *err)
{
    if (!json_cursor_expect(c, '{', err))
        return false;
    do {
        size_t n_bytes;
        int64_t id;
        if (!json_cursor_string(c, v->text + v->text_bytes, &n_bytes, err) ||
            !json_cursor_expect(c, ':', err) || !json_cursor_integer(c, &id, err))
            return false;
        if (id < 0 || id >= VOCABULARY_MAX_IDS)
            return json_cursor_fail(c, err, "id %lld, want 0 to %d", (long long)id,
                                    VOCABULARY_MAX_IDS - 1);
        reserve_ids(v, capacity, (int32_t)id);
        if (!add_last(v, (int32_t)id, n_bytes, c, err))
            return false;
    } while (json_cursor_take(c, ','));
    return json_cursor_expect(c, '}', err);
}

bool vocabulary_parse(struct vocabulary *v, const char *file, const struct json_part *part,
                      struct error *err)
{
    *v = (struct vocabulary){0};
    struct json_cursor c = {
        .text = file, .n_bytes = part->begin + part->n_bytes, .at = part->begin};
    if (part->n_items > VOCABULARY_MAX_IDS)
        return json_cursor_fail(&c, err, "%zu tokens, at most %d are supported", part->n_items,
                                VOCABULARY_MAX_IDS);
    v->n_slots = 2;
    while (v->n_slots < 2 * part->n_items)
        v->n_slots *= 2;
    v->slots = memory_alloc(v->n_slots, sizeof *v->slots);
    memset(v->slots, 0xFF, v->n_slots * sizeof *v->slots);
    int32_t capacity = (int32_t)part->n_items;
    v->tokens = memory_alloc((size_t)capacity, sizeof *v->tokens);
    v->text = memory_alloc(part->n_bytes, 1); /* only the pages that get used cost memory */
    if (!parse_members(v, &c, &capacity, err)) {
        vocabulary_release(v);
        return false;
    }
    v->text = memory_resize(v->text, v->text_bytes, 1);
    v->tokens = memory_resize(v->tokens, (size_t)v->n_ids, sizeof *v->tokens);
    return true;
}

void vocabulary_release(struct vocabulary *v)
{
    memory_free(v->slots);
    memory_free(v->tokens);
    memory_free(v->text);
    *v = (struct vocabulary){0};
}

void vocabulary_name(struct vocabulary *v, int32_t id, const char *text, size_t n_bytes)
{
    if (id >= v->n_ids) {
        v->tokens = memory_resize(v->tokens, (size_t)id + 1, sizeof *v->tokens);
        memset(v->tokens + v->n_ids, 0, (size_t)(id + 1 - v->n_ids) * sizeof *v->tokens);
        v->n_ids = id + 1;
    }
    v->text = memory_resize(v->text, v->text_bytes + n_bytes, 1);
    memcpy(v->text + v->text_bytes, text, n_bytes);
    v->tokens[id] =
        (struct vocabulary_token){(uint32_t)v->text_bytes, (uint32_t)n_bytes, true, false};
    v->text_bytes += n_bytes;
}
