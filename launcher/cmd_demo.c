/* phalanx demo: the model that ships, on two ranks, one streamed answer. */
#include "base/error.h"
#include "base/system.h"
#include "launcher/commands.h"
#include "launcher/generation.h"
#include "launcher/model_path.h"
#include "launcher/stream.h"
#include "runtime/gateway/chat_prompt.h"
#include "runtime/options/options.h"
#include "runtime/text/chat_template.h"

#include <stdio.h>

static const char default_question[] = "What is tensor parallelism?";

static bool ask(struct generation *g, struct session *session, const struct chat_prompt *prompt,
                const char *question, struct error *err)
{
    struct ids ids = {0};
    struct stream stream = {.begin_ns = clock_now_ns()};
    json_t *messages = json_pack("[{ss ss}]", "role", "user", "content", question);
    bool good = messages != NULL || error_set(err, ERROR_INPUT, "the question is not UTF-8");
    const struct chat_prompt_request request = {.messages = messages,
                                                .add_generation_prompt = true};
    if (good && !chat_prompt_make(prompt, &session->intake, &request, &ids, err)) {
        ids_release(&ids);
        good = false;
    }
    json_decref(messages);
    if (!good || !generation_add_prompt(g, session, question, &ids, false, err))
        return false;
    printf("> %s\n", question);
    const struct generation_hooks hooks = {.progress = stream_show, .context = &stream};
    if (!generation_run(g, session, &hooks, err))
        return false;
    char speed[160];
    stream_describe(speed, sizeof speed, &stream, g->item[0]->answer.output[0].tokens.n);
    printf("\n\n%s (%s)\n", speed, session->about);
    return true;
}

bool cmd_demo(struct options *options, const volatile sig_atomic_t *interrupt, struct error *err)
{
    char folder[MODEL_PATH_BYTES];
    options->n = 1;
    options->logprobs = LOGPROBS_OFF;
    if (options->prompt.n > 1)
        return error_set(err, ERROR_INPUT, "demo answers one question; see phalanx generate");
    if (!model_path_demo(folder, err))
        return false;
    struct session session = {.interrupt = interrupt};
    struct generation generation = {0};
    struct chat_template *template = NULL;
    struct chat_prompt prompt = {0};
    bool good = chat_template_open(&template, folder, options->chat_template, err) &&
                chat_prompt_init(&prompt, template, options, err) &&
                session_open(&session, options, folder, interrupt, err) &&
                generation_init(&generation, options, &session, err);
    if (good) {
        if (!options_is_given(options, "--temperature"))
            generation.sampling.params.temperature = 0; /* the same answer every time */
        good = ask(&generation, &session, &prompt,
                   options->prompt.n ? options->prompt.item[0] : default_question, err);
    }
    generation_release(&generation);
    session_close(&session);
    json_decref(prompt.variables);
    chat_template_close(template);
    return good;
}
