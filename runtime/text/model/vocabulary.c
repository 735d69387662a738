/* One open table of hashes, one array by id, one block of records: three allocations for any
 * number of tokens. The full hash in the slot makes a comparison of texts rare, so a look that
 * finds something touches two cache lines. */
#include "runtime/text/model/vocabulary.h"

#include "base/error.h"
#include "base/memory.h"
#include "runtime/text/file/json_cursor.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum {
    /* Such tables have runs of a few dozen; a file made to collide must not cost seconds. */
    MAX_PROBES = 2048,
};

struct record { /* the text follows; not aligned */
    int32_t id;
    uint32_t n_bytes;
};

static struct record record_get(const struct vocabulary *v, uint32_t place)
{
    struct record record;
    memcpy(&record, v->records + place, sizeof record);
    return record;
}

static bool record_is(const struct vocabulary *v, uint32_t place, const char *text, size_t n_bytes)
{
    const struct record record = record_get(v, place);
    return record.n_bytes == n_bytes &&
           memcmp(v->records + place + sizeof record, text, n_bytes) == 0;
}

uint32_t vocabulary_hash(const char *text, size_t n_bytes)
{
    return (uint32_t)XXH3_64bits(text, n_bytes);
}

void vocabulary_prefetch(const struct vocabulary *v, uint32_t hash)
{
    __builtin_prefetch(&v->slots[hash & (v->n_slots - 1)]);
}

int32_t vocabulary_find_hashed(const struct vocabulary *v, uint32_t hash, const char *text,
                               size_t n_bytes)
{
    for (size_t i = hash & (v->n_slots - 1);; i = (i + 1) & (v->n_slots - 1)) {
        const struct vocabulary_slot slot = v->slots[i];
        if (slot.record == 0)
            return -1;
        if (slot.hash == hash && record_is(v, slot.record, text, n_bytes))
            return record_get(v, slot.record).id;
    }
}

int32_t vocabulary_find(const struct vocabulary *v, const char *text, size_t n_bytes)
{
    if (v->n_slots == 0)
        return -1;
    return vocabulary_find_hashed(v, vocabulary_hash(text, n_bytes), text, n_bytes);
}

bool vocabulary_is(const struct vocabulary *v, int32_t id, const char *text, size_t n_bytes)
{
    return id >= 0 && id < v->n_ids && v->tokens[id].record != 0 &&
           record_is(v, v->tokens[id].record, text, n_bytes);
}

const char *vocabulary_text(const struct vocabulary *v, int32_t id, size_t *n_bytes)
{
    if (id < 0 || id >= v->n_ids || v->tokens[id].record == 0)
        return NULL;
    *n_bytes = record_get(v, v->tokens[id].record).n_bytes;
    return v->records + v->tokens[id].record + sizeof(struct record);
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

/* Makes a record of the text that already lies behind the last record, with room for its head. */
static uint32_t close_record(struct vocabulary *v, int32_t id, size_t n_bytes)
{
    const struct record record = {id, (uint32_t)n_bytes};
    const uint32_t place = (uint32_t)v->records_bytes;
    memcpy(v->records + place, &record, sizeof record);
    v->records_bytes += sizeof record + n_bytes;
    v->tokens[id] = (struct vocabulary_token){.record = place};
    return place;
}

static char *open_record(const struct vocabulary *v)
{
    return v->records + v->records_bytes + sizeof(struct record);
}

/* Puts the token whose text stands in the open record into the tables. */
static bool add_open(struct vocabulary *v, int32_t id, size_t n_bytes, bool may_repeat,
                     const struct json_cursor *c, struct error *err)
{
    const char *text = open_record(v);
    const int shown = n_bytes < 40 ? (int)n_bytes : 40;
    if (v->tokens[id].record != 0)
        return json_cursor_fail(c, err, "id %d is given to two tokens, the second is \"%.*s\"", id,
                                shown, text);
    const uint32_t hash = vocabulary_hash(text, n_bytes);
    size_t i = hash & (v->n_slots - 1);
    for (int probes = 0; v->slots[i].record != 0; i = (i + 1) & (v->n_slots - 1)) {
        if (v->slots[i].hash == hash && record_is(v, v->slots[i].record, text, n_bytes)) {
            if (may_repeat)
                break;
            return json_cursor_fail(c, err, "token \"%.*s\" comes twice", shown, text);
        }
        if (++probes > MAX_PROBES)
            return json_cursor_fail(c, err, "tokens that were made to collide");
    }
    v->slots[i] = (struct vocabulary_slot){hash, close_record(v, id, n_bytes)};
    return true;
}

static bool check_bytes(const struct vocabulary *v, const struct json_cursor *c, struct error *err)
{
    return v->records_bytes <= VOCABULARY_MAX_BYTES ||
           json_cursor_fail(c, err, "the tokens up to here have more than %d bytes",
                            VOCABULARY_MAX_BYTES);
}

static bool parse_members(struct vocabulary *v, struct json_cursor *c, int32_t *capacity,
                          struct error *err)
{
    if (!json_cursor_expect(c, '{', err))
        return false;
    do {
        size_t n_bytes = 0;
        int64_t id = -1;
        if (!json_cursor_string(c, open_record(v), &n_bytes, err) ||
            !json_cursor_expect(c, ':', err) || !json_cursor_integer(c, &id, err))
            return false;
        if (id < 0 || id >= VOCABULARY_MAX_IDS)
            return json_cursor_fail(c, err, "id %lld, want 0 to %d", (long long)id,
                                    VOCABULARY_MAX_IDS - 1);
        reserve_ids(v, capacity, (int32_t)id);
        if (!add_open(v, (int32_t)id, n_bytes, false, c, err) || !check_bytes(v, c, err))
            return false;
    } while (json_cursor_take(c, ','));
    return json_cursor_expect(c, '}', err);
}

static bool parse_items(struct vocabulary *v, struct json_cursor *c, int32_t *capacity,
                        double *scores, struct error *err)
{
    if (!json_cursor_expect(c, '[', err))
        return false;
    do {
        const int32_t id = v->n_ids;
        size_t n_bytes = 0;
        if (!json_cursor_expect(c, '[', err) ||
            !json_cursor_string(c, open_record(v), &n_bytes, err) ||
            !json_cursor_expect(c, ',', err) || !json_cursor_number(c, &scores[id], err) ||
            !json_cursor_expect(c, ']', err))
            return false;
        reserve_ids(v, capacity, id);
        if (!add_open(v, id, n_bytes, true, c, err) || !check_bytes(v, c, err))
            return false;
    } while (json_cursor_take(c, ','));
    return json_cursor_expect(c, ']', err);
}

static bool parse(struct vocabulary *v, double **scores, const char *file,
                  const struct json_part *part, struct error *err)
{
    *v = (struct vocabulary){0};
    struct json_cursor c = {
        .text = file, .n_bytes = part->begin + part->n_bytes, .at = part->begin};
    if (part->n_items > VOCABULARY_MAX_IDS)
        return json_cursor_fail(&c, err, "%zu tokens, at most %d are supported", part->n_items,
                                VOCABULARY_MAX_IDS);
    v->n_slots = 2;
    while (v->n_slots < part->n_items + part->n_items / 2 + 1)
        v->n_slots *= 2;
    v->slots = memory_alloc(v->n_slots, sizeof *v->slots);
    int32_t capacity = (int32_t)part->n_items;
    v->tokens = memory_alloc((size_t)capacity, sizeof *v->tokens);
    /* A token takes 5 bytes of JSON besides its text ("":0,) and here 8: so this is enough, and
     * only the pages that get used cost memory. */
    const size_t room = part->n_bytes + (part->n_items + 1) * sizeof(struct record) + 1;
    v->records = memory_alloc(room, 1);
    v->records_bytes = 1;
    if (scores != NULL)
        *scores = memory_alloc(part->n_items, sizeof **scores);
    if (!(scores != NULL ? parse_items(v, &c, &capacity, *scores, err)
                         : parse_members(v, &c, &capacity, err))) {
        vocabulary_release(v);
        return false;
    }
    v->records = memory_resize(v->records, v->records_bytes, 1);
    v->tokens = memory_resize(v->tokens, (size_t)v->n_ids, sizeof *v->tokens);
    return true;
}

bool vocabulary_parse(struct vocabulary *v, const char *file, const struct json_part *part,
                      struct error *err)
{
    return parse(v, NULL, file, part, err);
}

bool vocabulary_parse_scored(struct vocabulary *v, double **scores, const char *file,
                             const struct json_part *part, struct error *err)
{
    *scores = NULL;
    if (parse(v, scores, file, part, err))
        return true;
    memory_free(*scores);
    *scores = NULL;
    return false;
}

void vocabulary_release(struct vocabulary *v)
{
    memory_free(v->slots);
    memory_free(v->tokens);
    memory_free(v->records);
    *v = (struct vocabulary){0};
}

void vocabulary_name(struct vocabulary *v, int32_t id, const char *text, size_t n_bytes)
{
    if (id >= v->n_ids) {
        v->tokens = memory_resize(v->tokens, (size_t)id + 1, sizeof *v->tokens);
        memset(v->tokens + v->n_ids, 0, (size_t)(id + 1 - v->n_ids) * sizeof *v->tokens);
        v->n_ids = id + 1;
    }
    v->records = memory_resize(v->records, v->records_bytes + sizeof(struct record) + n_bytes, 1);
    memcpy(open_record(v), text, n_bytes);
    close_record(v, id, n_bytes);
}

void vocabulary_byte_ids(const struct vocabulary *v, int32_t ids[256])
{
    for (int byte = 0; byte < 256; byte++) {
        char text[8];
        const int n_bytes = snprintf(text, sizeof text, "<0x%02X>", byte);
        ids[byte] = vocabulary_find(v, text, (size_t)n_bytes);
    }
}
