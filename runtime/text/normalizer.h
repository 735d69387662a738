/* runtime/text/normalizer.h: rewrites a text before it is cut into words.
 *
 * Supported: NFC, Prepend, Replace of a text, and Sequence of them. No "normalizer" leaves the
 * text as it is.
 */
#pragma once
#include "base/bytes.h"
#include "runtime/text/nfc.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct error;

enum { NORMALIZER_MAX_STEPS = 16 };

struct normalizer { /* all zero does nothing */
    struct normalizer_step {
        enum {
            NORMALIZE_NFC,
            NORMALIZE_PREPEND, /* `to`, unless the text is empty */
            NORMALIZE_REPLACE, /* each `from` becomes `to` */
        } kind;
        char *from, *to;
    } steps[NORMALIZER_MAX_STEPS];
    int n_steps;
};

/* `value` may be NULL or null. Release also after a failure. */
bool normalizer_parse(struct normalizer *n, const json_t *value, struct error *err);
void normalizer_release(struct normalizer *n);

struct normalizer_work { /* scratch memory of one thread, all zero is empty */
    struct bytes room[2];
    struct nfc_work nfc;
};
void normalizer_work_release(struct normalizer_work *work);

/* Replaces *text and *n_bytes; the new text may be the old one, else it lives in `work` until the
 * next run. Well-formed UTF-8. */
void normalizer_run(const struct normalizer *n, struct normalizer_work *work, const char **text,
                    size_t *n_bytes);
