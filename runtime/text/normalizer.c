#include "runtime/text/normalizer.h"

#include "base/error.h"
#include "runtime/text/stage.h"

static bool parse_nfc(void *context, const json_t *value, struct error *err)
{
    struct normalizer *n = context;
    (void)value; /* no settings */
    if (n->n_steps == NORMALIZER_MAX_STEPS)
        return error_set(err, ERROR_INPUT, "more than %d steps", NORMALIZER_MAX_STEPS);
    n->steps[n->n_steps++] = (struct normalizer_step){NORMALIZE_NFC};
    return true;
}

bool normalizer_parse(struct normalizer *n, const json_t *value, struct error *err)
{
    static const struct stage_type types[] = {{"NFC", parse_nfc}, {NULL, NULL}};
    *n = (struct normalizer){0};
    return stage_parse(n, value, types, "normalizers", err);
}

void normalizer_run(const struct normalizer *n, struct normalizer_work *work, const char **text,
                    size_t *n_bytes)
{
    for (int i = 0; i < n->n_steps; i++) {
        struct bytes *room = &work->room[i % 2]; /* the step before wrote into the other one */
        bool changed = false;
        bytes_clear(room);
        switch (n->steps[i].kind) {
        case NORMALIZE_NFC:
            changed = nfc_run(&work->nfc, *text, *n_bytes, room);
            break;
        }
        if (changed) {
            *text = room->data;
            *n_bytes = room->len;
        }
    }
}

void normalizer_work_release(struct normalizer_work *work)
{
    bytes_release(&work->room[0]);
    bytes_release(&work->room[1]);
    nfc_work_release(&work->nfc);
}
