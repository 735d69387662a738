/* phalanx demo: the model that ships, on two ranks, one streamed answer. */
#include "base/error.h"
#include "base/system.h"
#include "launcher/commands.h"
#include "launcher/generation.h"
#include "launcher/model_path.h"
#include "runtime/options.h"
#include "runtime/text/encoder.h"

#include <stdio.h>
#include <string.h>

static const char default_question[] = "What is tensor parallelism?";

struct watch { /* of the one answer */
    size_t written;
    int64_t begin_ns, first_ns, last_ns;
};

static bool show(void *context, int index, const struct output *output)
{
    struct watch *watch = context;
    (void)index;
    watch->last_ns = clock_now_ns();
    if (watch->first_ns == 0)
        watch->first_ns = watch->last_ns;
    if (output->n_released > watch->written) {
        fwrite(output->text.data + watch->written, 1, output->n_released - watch->written, stdout);
        watch->written = output->n_released;
    }
    return fflush(stdout) == 0;
}

/* The demo model's chat template, for one question. */
static bool ask(struct generation *g, struct session *session, const char *question,
                struct error *err)
{
    struct bytes text = {0};
    bytes_add_text(&text, "<|im_start|>user\n");
    const struct text_range users = {text.len, text.len + strlen(question)};
    bytes_printf(&text, "%s<|im_end|>\n<|im_start|>assistant\n", question);
    struct watch watch = {.begin_ns = clock_now_ns()};
    bool good = generation_add_text(g, session, text.data, &users, false, err);
    if (good) {
        printf("> %s\n", question);
        good = generation_run(g, session, show, &watch, err);
    }
    bytes_release(&text);
    if (!good)
        return false;
    const size_t n = g->output[0].tokens.n;
    const double decode_s = (double)(watch.last_ns - watch.first_ns) * 1e-9;
    printf("\n\n%zu tokens, first after %.0f ms", n,
           (double)(watch.first_ns - watch.begin_ns) * 1e-6);
    if (n > 1 && decode_s > 0)
        printf(", then %.0f tokens/s", (double)(n - 1) / decode_s);
    printf(" (%s)\n", session->about);
    return true;
}

bool cmd_demo(struct options *options, const volatile sig_atomic_t *interrupt, struct error *err)
{
    char folder[MODEL_PATH_BYTES];
    if (!options_is_given(options, "--tensor-parallel-size"))
        options->tensor_parallel_size = 2;
    options->n = 1;
    options->logprobs = LOGPROBS_OFF;
    if (options->prompt.n > 1)
        return error_set(err, ERROR_INPUT, "demo answers one question; see phalanx generate");
    if (!model_path_demo(folder, err))
        return false;
    struct session session = {.interrupt = interrupt};
    struct generation generation = {0};
    bool good = session_open(&session, options, folder, interrupt, err) &&
                generation_init(&generation, options, &session, err);
    if (good) {
        if (!options_is_given(options, "--temperature"))
            generation.params.temperature = 0; /* the same answer every time */
        good = ask(&generation, &session,
                   options->prompt.n ? options->prompt.item[0] : default_question, err);
    }
    generation_release(&generation);
    session_close(&session);
    return good;
}
