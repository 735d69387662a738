#include "runtime/endpoints/prompts.h"

#include "base/memory.h"

const struct api_prompt *prompts_of(const struct json_prompts *prompts, struct arena *arena)
{
    struct api_prompt *out = arena_alloc(arena, prompts->n, sizeof *out);
    for (size_t i = 0; i < prompts->n; i++) {
        const struct json_prompt *from = &prompts->prompt[i];
        out[i] = (struct api_prompt){.text = from->text,
                                     .n_bytes = from->n_bytes,
                                     .id = from->id,
                                     .n_ids = from->n_ids,
                                     .param = prompts->key};
    }
    return out;
}
