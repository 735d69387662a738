#include "runtime/api/reading.h"

#include "base/system.h"
#include "runtime/api/call.h"

#include <string.h>

/* Of the prompts of one slice, at least one, or a part of it. False: one of them is refused. */
static bool read_slice(struct api_call *call, struct error *err)
{
    const int64_t slice_ns = call->api->reading_slice_ns;
    const int64_t until_ns = clock_now_ns() + slice_ns;
    call->reader.until_ns = slice_ns > 0 ? until_ns : 0;
    call->reader.texts_stay = call->owns_from;
    while (call->n_read < call->n_prompts) {
        if (!call->hooks->read(call, call->n_read, err))
            return false;
        if (call->reader.is_under_way)
            break;
        call->n_read++;
        if (slice_ns > 0 && clock_now_ns() >= until_ns)
            break;
    }
    return true;
}

static void send_when_read(struct api_call *call)
{
    if (call->n_read < call->n_prompts) {
        call_enlist(call, &call->api->reading);
        return;
    }
    prompt_reader_release(&call->reader);
    call_send(call);
}

/* A text that stands before many documents is there once, and is copied once. */
static struct api_prompt copy_prompt(struct arena *arena, const struct api_prompt *from,
                                     const struct api_prompt *before,
                                     const struct api_prompt *copy_before)
{
    struct api_prompt copy = *from;
    if (from->text == NULL) {
        int64_t *id = arena_alloc(arena, from->n_ids, sizeof *id);
        if (from->n_ids > 0)
            memcpy(id, from->id, from->n_ids * sizeof *id);
        copy.id = id;
    } else if (before != NULL && before->text == from->text && before->n_bytes == from->n_bytes) {
        copy.text = copy_before->text;
    } else {
        copy.text = arena_copy_text(arena, from->text, from->n_bytes);
    }
    return copy;
}

/* Those that are not read yet. Nothing of theirs is under way: such texts are not begun. */
static const struct api_prompt *copy_rest(struct api_call *call, const struct api_prompt *from)
{
    if (from == NULL)
        return NULL;
    struct api_prompt *copy = arena_alloc(&call->arena, (size_t)call->n_prompts, sizeof *copy);
    for (int i = call->n_read; i < call->n_prompts; i++) {
        const bool is_first = i == call->n_read;
        copy[i] = copy_prompt(&call->arena, &from[i], is_first ? NULL : &from[i - 1],
                              is_first ? NULL : &copy[i - 1]);
    }
    return copy;
}

bool reading_begin(struct api_call *call, struct error *err)
{
    if (!read_slice(call, err))
        return false;
    if (call->n_read < call->n_prompts && !call->owns_from) {
        call->from = copy_rest(call, call->from);
        call->pair = copy_rest(call, call->pair);
        call->owns_from = true;
    }
    send_when_read(call);
    return true;
}

bool reading_step(struct api *api)
{
    struct api_call *call = api->reading.first;
    struct error why = {0};
    if (call == NULL)
        return false;
    call_unlist(call);
    if (call_is_late(call)) {
        call_fail_late(call);
    } else if (!read_slice(call, &why)) {
        call_fail(call, &why);
    } else {
        send_when_read(call);
        if (call->is_sent && call->hooks->sent != NULL)
            call->hooks->sent(call); /* who may cancel it */
    }
    return true;
}

void reading_fail_all(struct api *api, const struct error *why)
{
    while (api->reading.first != NULL) {
        struct api_call *call = api->reading.first;
        call_unlist(call);
        call_fail(call, why);
    }
}
