/* runtime/text/post_processor.h: the ids that stand around a text, such as begin-of-text.
 *
 * Supported: all of release 0.23, which are TemplateProcessing (its template of one text),
 * BertProcessing and RobertaProcessing (one token on either side), ByteLevel (which moves only
 * offsets, and we have none), and Sequence of them. Pairs of texts: the same, but only one stage of
 * a Sequence may have tokens for them.
 */
#pragma once
#include "runtime/text/ids.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct error;

enum { POST_PROCESSOR_MAX_IDS = 64 }; /* on either side; real files have one or two */

struct post_processor { /* all zero adds nothing */
    struct ids before, after;
    struct ids pair_before, pair_between, pair_after; /* of two texts */
    bool no_pairs;                                    /* not known how */
};

/* `value` may be NULL or null. `vocab` is one more than the largest id. Release also after a
 * failure. */
bool post_processor_parse(struct post_processor *p, const json_t *value, int32_t vocab,
                          struct error *err);
void post_processor_release(struct post_processor *p);
