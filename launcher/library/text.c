/* Text to tokens and back, without the ranks. */
#include "launcher/library/library.h"
#include "runtime/jinja/jinja.h"
#include "runtime/text/detokenizer.h"
#include "runtime/text/encoder.h"
#include "runtime/text/tokenizer.h"

#include <string.h>

static struct intake *intake_of(struct phalanx_model *model)
{
    return &model->service.session.intake;
}

/* What is there goes to the user, who frees it; or nothing, and why. */
static int32_t *give_ids(struct ids *ids, bool good, size_t *n, const struct error *why,
                         struct phalanx_error *err)
{
    if (n != NULL)
        *n = good ? ids->n : 0;
    if (good)
        return ids->data != NULL ? ids->data : memory_alloc(0, sizeof *ids->data);
    library_fail(err, why);
    ids_release(ids);
    return NULL;
}

static char *give_text(struct bytes *text, bool good, size_t *n_bytes, const struct error *why,
                       struct phalanx_error *err)
{
    if (n_bytes != NULL)
        *n_bytes = good ? text->len : 0;
    if (good)
        return text->data != NULL ? text->data : memory_copy_text("");
    library_fail(err, why);
    bytes_release(text);
    return NULL;
}

static bool fail_param(struct error *err, const char *param, const char *text)
{
    error_set(err, ERROR_INPUT, "%s: %s", param, text);
    return error_param(err, param);
}

int32_t *phalanx_tokenize(struct phalanx_model *model, const char *text, unsigned flags, size_t *n,
                          struct phalanx_error *err)
{
    struct error why = {0};
    struct ids ids = {0};
    const struct encode_options options = {.add_special_tokens = (flags & PHALANX_ADD_SPECIAL) != 0,
                                           .special_as_text = (flags & PHALANX_READ_SPECIAL) == 0};
    const bool good =
        model_is_usable(model, &why) && (text != NULL || fail_param(&why, "text", "it is NULL")) &&
        (encoder_encode(intake_of(model)->encoder, text, strlen(text), &options, &ids, &why) ||
         error_param(&why, "text"));
    return give_ids(&ids, good, n, &why, err);
}

/* ---- chats ---- */

/* Templates and what they are given have numbers. Gives the locale to go back to. */
static locale_t use_numbers(const struct phalanx_model *model)
{
    return uselocale(model != NULL ? model->numbers : (locale_t)0); /* 0: as it is */
}

static bool read_chat(const struct phalanx_model *model, struct library_parameters *read,
                      struct chat_prompt_request *out, const char *messages, const char *parameters,
                      struct error *err)
{
    struct generate_request request = {0};
    if (!model_is_usable(model, err) ||
        !parameters_read_chat(read, &request, messages, parameters, err))
        return false;
    *out = (struct chat_prompt_request){.messages = request.messages,
                                        .tools = request.tools,
                                        .documents = request.documents,
                                        .variables = request.template_variables,
                                        .add_generation_prompt = request.add_generation_prompt,
                                        .continue_final_message = request.continue_final_message};
    return model->service.api.chat != NULL ||
           fail_param(err, "messages",
                      "this model has no chat template: open it with "
                      "--chat-template=FILE");
}

int32_t *phalanx_tokenize_chat(struct phalanx_model *model, const char *messages,
                               const char *parameters, size_t *n, struct phalanx_error *err)
{
    struct error why = {0};
    struct ids ids = {0};
    struct library_parameters read = {0};
    struct chat_prompt_request chat;
    const locale_t theirs = use_numbers(model);
    const bool good =
        read_chat(model, &read, &chat, messages, parameters, &why) &&
        chat_prompt_make(model->service.api.chat, intake_of(model), &chat, &ids, &why);
    parameters_release(&read);
    uselocale(theirs);
    return give_ids(&ids, good, n, &why, err);
}

char *phalanx_render_chat(struct phalanx_model *model, const char *messages, const char *parameters,
                          size_t *n_bytes, struct phalanx_error *err)
{
    struct error why = {0};
    struct jinja_output prompt = {0};
    struct library_parameters read = {0};
    struct chat_prompt_request chat;
    const locale_t theirs = use_numbers(model);
    const bool good = read_chat(model, &read, &chat, messages, parameters, &why) &&
                      chat_prompt_render(model->service.api.chat, &chat, &prompt, &why);
    parameters_release(&read);
    uselocale(theirs);
    struct bytes text = prompt.text;
    prompt.text = (struct bytes){0}; /* the user's from here on */
    jinja_output_release(&prompt);
    return give_text(&text, good, n_bytes, &why, err);
}

/* ---- and back ---- */

static bool check_tokens(const struct phalanx_model *model, const int32_t *token, size_t n,
                         struct error *err)
{
    if (token == NULL && n > 0)
        return fail_param(err, "token", "it is NULL");
    for (size_t i = 0; i < n; i++)
        if (token[i] < 0 || token[i] >= phalanx_vocab_size(model)) {
            error_set(err, ERROR_INPUT, "token: %d is no token of this model (0 .. %d)", token[i],
                      phalanx_vocab_size(model) - 1);
            return error_param(err, "token");
        }
    return true;
}

char *phalanx_detokenize(struct phalanx_model *model, const int32_t *token, size_t n_tokens,
                         bool skip_special_tokens, size_t *n_bytes, struct phalanx_error *err)
{
    struct error why = {0};
    struct bytes text = {0};
    const bool good =
        model_is_usable(model, &why) && check_tokens(model, token, n_tokens, &why) &&
        (detokenizer_decode(intake_of(model)->tokenizer, token, n_tokens, skip_special_tokens,
                            &text) ||
         fail_param(&why, "token", "the tokenizer's decoder takes too many steps on these ids"));
    return give_text(&text, good, n_bytes, &why, err);
}

int32_t phalanx_find_token(const struct phalanx_model *model, const char *spelling)
{
    if (model == NULL || spelling == NULL)
        return -1;
    return tokenizer_find(model->service.session.intake.tokenizer, spelling, strlen(spelling));
}

void phalanx_free(void *memory) { memory_free(memory); }
