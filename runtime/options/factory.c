/* LLaMA-Factory's files, as its tutorials write them, run here unchanged. What a key asks of its
 * own engines has no meaning for ours and is said once; what would change the answer, and is not
 * there, is refused.
 *
 * Source: LLaMA-Factory, ModelArguments, GeneratingArguments and the files of examples/inference.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "runtime/options/table.h"

#include <string.h>

static bool given(const struct options *options, const char *key)
{
    const struct option *option = option_find_key(key, options->command);
    return option != NULL && option_is_given(options, option);
}

static void note(struct options *options, const char *text)
{
    option_list_add(options, &options->notes, text);
}

static bool refuse_what_is_not_there(const struct options *options, struct error *err)
{
    const char *adapter = options->factory.adapter_name_or_path;
    if (adapter != NULL && *adapter != '\0')
        return error_set(err, ERROR_INPUT,
                         "adapter_name_or_path: %s: there is no LoRA yet; merge the adapter into "
                         "the model (llamafactory-cli export) and give that",
                         adapter);
    return true;
}

/* Beams are compared and not drawn: files of options say how to draw all the same. */
static void note_beams(struct options *options)
{
    static const char *const draws[][2] = {
        {"temperature", "temperature: no effect with beams"},
        {"top_k", "top_k: no effect with beams"},
        {"top_p", "top_p: no effect with beams"},
        {"min_p", "min_p: no effect with beams"},
    };
    if (options->beam_width == 1) {
        if (given(options, "length_penalty") && options->length_penalty != 1)
            note(options, "length_penalty: no effect without beams");
        return;
    }
    for (size_t i = 0; i < sizeof draws / sizeof *draws; i++)
        if (given(options, draws[i][0]))
            note(options, draws[i][1]);
}

bool options_apply_factory(struct options *options, struct error *err)
{
    if (!refuse_what_is_not_there(options, err))
        return false;
    note_beams(options);
    if (given(options, "do_sample") && !options->factory.do_sample) {
        options->temperature = 0;
        option_mark_given(options, option_find_key("temperature", options->command));
    }
    if (options->factory.infer_backend != NULL) {
        struct bytes text = {0};
        bytes_printf(&text, "infer_backend %s: Phalanx's own engine answers",
                     options->factory.infer_backend);
        note(options, arena_copy_text(&options->arena, text.data, text.len));
        bytes_release(&text);
    }
    if (options->factory.trust_remote_code)
        note(options, "trust_remote_code: nothing from a checkpoint is executed");
    return true;
}
