#include "runtime/result_sender.h"

#include "base/error.h"
#include "base/memory.h"
#include "parallel/ranks.h"
#include "runtime/forward/forward.h"
#include "runtime/result_message.h"

#include <string.h>

struct result_sender {
    const struct ranks *ranks;
    struct row_picker *picker;
    unsigned char *packed; /* [result_max_pick_bytes()] */
};

void result_sender_create(struct result_sender **out, const struct ranks *ranks,
                          const struct row_picker_settings *settings)
{
    struct result_sender *s = memory_alloc(1, sizeof *s);
    s->ranks = ranks;
    row_picker_create(&s->picker, settings);
    s->packed = memory_alloc(1, result_max_pick_bytes(settings->limits));
    *out = s;
}

void result_sender_destroy(struct result_sender *s)
{
    if (s == NULL)
        return;
    row_picker_destroy(s->picker);
    memory_free(s->packed);
    memory_free(s);
}

static size_t put(unsigned char *to, const void *from, size_t n_bytes)
{
    memcpy(to, from, n_bytes);
    return n_bytes;
}

/* The picks of the rows that do not come home whole, end to end. */
static void pack(struct result_sender *s, const struct step_plan *plan,
                 const struct step_view *view, const struct picked *picked,
                 struct result_header *header)
{
    size_t at = 0;
    for (int i = 0; i < plan->n_logits; i++) {
        if (result_is_whole(view, i)) {
            header->n_rows++;
            continue;
        }
        const struct result_pick pick = {.token = picked[i].token,
                                         .is_finite = picked[i].is_finite,
                                         .n_logprobs = picked[i].n_logprobs,
                                         .lse = picked[i].lse};
        at += put(s->packed + at, &pick, sizeof pick);
        at += put(s->packed + at, picked[i].logprob,
                  (size_t)pick.n_logprobs * sizeof *picked[i].logprob);
        header->n_picks++;
    }
    header->n_pick_bytes = (uint32_t)at;
}

static bool send(const struct ranks *ranks, const void *bytes, size_t n_bytes, struct error *err)
{
    struct comm *world = ranks->world;
    return n_bytes == 0 || comm_send(world, NULL, bytes, n_bytes, 0, err);
}

static bool send_rows(const struct result_sender *s, const struct step_plan *plan,
                      const struct step_view *view, const struct step_result *result,
                      struct error *err)
{
    const size_t vocab = (size_t)result->vocab;
    bool good = true;
    for (int i = 0, n; good && i<plan->n_logits; i += n> 0 ? n : 1) {
        n = result_whole_run(plan, view, i);
        good = send(s->ranks, result->logits + (size_t)i * vocab,
                    (size_t)n * vocab * sizeof *result->logits, err);
    }
    return good;
}

bool result_sender_run(struct result_sender *s, const struct step_plan *plan,
                       const struct step_view *view, const struct step_result *result,
                       struct error *err)
{
    struct result_header header = {.step = plan->step, .n_hidden = (uint32_t)result->n_hidden};
    const size_t hidden_bytes =
        (size_t)result->n_hidden * (size_t)result->hidden_size * sizeof *result->hidden;
    pack(s, plan, view, row_picker_run(s->picker, view, result), &header);
    return (send(s->ranks, &header, sizeof header, err) &&
            send(s->ranks, s->packed, header.n_pick_bytes, err) &&
            send_rows(s, plan, view, result, err) &&
            send(s->ranks, result->hidden, hidden_bytes, err)) ||
           error_in(err, "results for rank 0");
}
