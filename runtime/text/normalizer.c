#include "runtime/text/normalizer.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "runtime/text/replace.h"
#include "runtime/text/stage.h"

#include <string.h>

/* A step to fill; NULL when there are too many. */
static struct normalizer_step *new_step(struct normalizer *n, struct error *err)
{
    if (n->n_steps == NORMALIZER_MAX_STEPS) {
        error_set(err, ERROR_INPUT, "more than %d steps", NORMALIZER_MAX_STEPS);
        return NULL;
    }
    return &n->steps[n->n_steps++];
}

static bool parse_nfc(void *context, const json_t *value, struct error *err)
{
    (void)value; /* no settings */
    struct normalizer_step *step = new_step(context, err);
    if (step == NULL)
        return false;
    step->kind = NORMALIZE_NFC;
    return true;
}

static bool parse_prepend(void *context, const json_t *value, struct error *err)
{
    const char *text;
    struct normalizer_step *step = new_step(context, err);
    if (step == NULL || !json_get_text(value, "prepend", true, &text, err))
        return false;
    step->kind = NORMALIZE_PREPEND;
    step->to = memory_copy_text(text);
    return true;
}

static bool parse_replace(void *context, const json_t *value, struct error *err)
{
    struct normalizer_step *step = new_step(context, err);
    if (step == NULL)
        return false;
    step->kind = NORMALIZE_REPLACE;
    return replace_parse(&step->from, &step->to, value, err);
}

bool normalizer_parse(struct normalizer *n, const json_t *value, struct error *err)
{
    static const struct stage_type types[] = {
        {"NFC", parse_nfc},
        {"Prepend", parse_prepend},
        {"Replace", parse_replace},
        {NULL, NULL},
    };
    *n = (struct normalizer){0};
    return stage_parse(n, value, types, "normalizers", err);
}

void normalizer_release(struct normalizer *n)
{
    for (int i = 0; i < n->n_steps; i++) {
        memory_free(n->steps[i].from);
        memory_free(n->steps[i].to);
    }
    n->n_steps = 0;
}

/* False: the text stays as it is, and `out` is empty. */
static bool run_step(const struct normalizer_step *step, struct nfc_work *nfc, const char *text,
                     size_t n_bytes, struct bytes *out)
{
    switch (step->kind) {
    case NORMALIZE_NFC:
        return nfc_run(nfc, text, n_bytes, out);
    case NORMALIZE_PREPEND:
        if (n_bytes == 0)
            return false;
        bytes_add_text(out, step->to);
        bytes_add(out, text, n_bytes);
        return true;
    case NORMALIZE_REPLACE:
        replace_all(text, n_bytes, step->from, step->to, out);
        return true;
    }
    return false;
}

void normalizer_run(const struct normalizer *n, struct normalizer_work *work, const char **text,
                    size_t *n_bytes)
{
    int free_room = 0; /* the other one may hold the text */
    for (int i = 0; i < n->n_steps; i++) {
        struct bytes *room = &work->room[free_room];
        bytes_clear(room);
        if (run_step(&n->steps[i], &work->nfc, *text, *n_bytes, room)) {
            *text = room->data;
            *n_bytes = room->len;
            free_room = !free_room;
        }
    }
}

void normalizer_work_release(struct normalizer_work *work)
{
    bytes_release(&work->room[0]);
    bytes_release(&work->room[1]);
    nfc_work_release(&work->nfc);
}
