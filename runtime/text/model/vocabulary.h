/* runtime/text/model/vocabulary.h: the tokens of a model, by text and by id.
 *
 * Built once, then only read. Texts are as the file spells them, any bytes, not NUL-terminated.
 * A token may have an id and no place in the table of texts: added tokens have a name for
 * decoding, but the model must not find them in a text.
 */
#pragma once
#include "runtime/text/file/json_skim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum {
    /* Twice the largest vocabulary in use (Gemma: 262,144). Merges pack two ids into 40 bits. */
    VOCABULARY_MAX_IDS = 1 << 19,
    VOCABULARY_MAX_BYTES = 12 << 20, /* of all records: those of Gemma have 4 MB */
};

struct vocabulary { /* all zero is empty */
    struct vocabulary_slot {
        uint32_t hash;
        uint32_t record; /* 0: free */
    } * slots;
    size_t n_slots; /* a power of two, at most two thirds of them used */
    struct vocabulary_token {
        uint32_t record;       /* 0: unused */
        bool special, skipped; /* skipped: not shown when special tokens are not */
    } * tokens;                /* [n_ids] */
    int32_t n_ids;             /* one more than the largest */
    /* A record is its id, the length of its text, and the text: what a look needs lies together.
     * It is named by where it begins; the first byte is no record's. */
    char *records;
    size_t records_bytes;
};

/* Reads the object {"token": id, …} at `part` of a file. ERROR_INPUT with line and column for a
 * token or an id that comes twice, an empty vocabulary, ids outside [0, VOCABULARY_MAX_IDS), and
 * more than VOCABULARY_MAX_BYTES. */
bool vocabulary_parse(struct vocabulary *v, const char *file, const struct json_part *part,
                      struct error *err);
/* Reads the array [["token", score], …]: the place of a token is its id, and *scores, by id, are to
 * be freed with memory_free(). A text that comes again is found with its last id, and both ids have
 * it. ERROR_INPUT as above, and for a score that is no number. */
bool vocabulary_parse_scored(struct vocabulary *v, double **scores, const char *file,
                             const struct json_part *part, struct error *err);
void vocabulary_release(struct vocabulary *v);

/* The id of a text in the table, or -1. */
int32_t vocabulary_find(const struct vocabulary *v, const char *text, size_t n_bytes);

/* The same in two steps, so that many looks can wait for memory at once. */
uint32_t vocabulary_hash(const char *text, size_t n_bytes);
void vocabulary_prefetch(const struct vocabulary *v, uint32_t hash);
int32_t vocabulary_find_hashed(const struct vocabulary *v, uint32_t hash, const char *text,
                               size_t n_bytes);

/* Whether an id has this text. */
bool vocabulary_is(const struct vocabulary *v, int32_t id, const char *text, size_t n_bytes);
/* Text of an id; NULL when the id is not used. */
const char *vocabulary_text(const struct vocabulary *v, int32_t id, size_t *n_bytes);
/* The ids of "<0x00>" to "<0xFF>", which stand for bytes without a token; -1: none. */
void vocabulary_byte_ids(const struct vocabulary *v, int32_t ids[256]);
/* Gives an id in [0, VOCABULARY_MAX_IDS) a text for decoding, another one if it had one, without
 * putting it in the table. */
void vocabulary_name(struct vocabulary *v, int32_t id, const char *text, size_t n_bytes);
