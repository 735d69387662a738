#include "launcher/bench/dataset.h"

#include "base/error.h"
#include "base/memory.h"
#include "launcher/bench/json_list.h"
#include "launcher/prompt_file.h"

static struct dataset_prompt *add(struct dataset *dataset)
{
    if ((dataset->n & (dataset->n - 1)) == 0) /* 0, 1, 2, 4, …: full */
        dataset->prompt = memory_resize(dataset->prompt, dataset->n > 0 ? 2 * dataset->n : 1,
                                        sizeof *dataset->prompt);
    struct dataset_prompt *prompt = &dataset->prompt[dataset->n++];
    *prompt = (struct dataset_prompt){0};
    return prompt;
}

/* ---- custom ---- */

bool dataset_read_custom(struct dataset *out, const char *path, size_t max, bool is_chat,
                         const volatile sig_atomic_t *interrupt, struct error *err)
{
    struct prompt_file file;
    struct file_prompt next = {0};
    bool got = true;
    *out = (struct dataset){0};
    bool good = prompt_file_open(&file, path, interrupt, err);
    while (good && got && out->n < max) {
        good = prompt_file_next(&file, &next, &got, err);
        if (good && got && is_chat && next.ids.n > 0)
            good = error_set(err, ERROR_INPUT, "%s:%zu: a chat has no prompt of token ids",
                             file.name, file.n_lines);
        if (!good || !got)
            continue;
        struct dataset_prompt *prompt = add(out);
        if (next.ids.n > 0)
            ids_add_all(&prompt->ids, next.ids.data, next.ids.n);
        else
            prompt->text = memory_copy_text(next.text.data);
    }
    prompt_file_close(&file);
    file_prompt_release(&next);
    return good;
}

/* ---- sharegpt ---- */

static const char *said(const json_t *conversation, size_t turn)
{
    return json_string_value(json_object_get(json_array_get(conversation, turn), "value"));
}

/* One without an answer is skipped, as vLLM does: it may have been cut. */
static void take_conversation(struct dataset *out, const json_t *item)
{
    const json_t *turns = json_object_get(item, "conversations");
    const char *question = said(turns, 0), *answer = said(turns, 1);
    if (question != NULL && *question != '\0' && answer != NULL)
        add(out)->text = memory_copy_text(question);
}

bool dataset_read_sharegpt(struct dataset *out, const char *path, size_t max,
                           const volatile sig_atomic_t *interrupt, struct error *err)
{
    struct json_list list;
    json_t *item = NULL;
    *out = (struct dataset){0};
    bool good = json_list_open(&list, path, interrupt, err);
    while (good && out->n < max && (good = json_list_next(&list, &item, err)) && item != NULL) {
        take_conversation(out, item);
        json_decref(item);
    }
    json_list_close(&list);
    if (good && out->n == 0)
        good = error_set(err, ERROR_INPUT, "%s: no conversation with an answer", path);
    return good;
}

void dataset_release(struct dataset *dataset)
{
    for (size_t i = 0; i < dataset->n; i++) {
        memory_free(dataset->prompt[i].text);
        ids_release(&dataset->prompt[i].ids);
    }
    memory_free(dataset->prompt);
    *dataset = (struct dataset){0};
}
