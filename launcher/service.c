#include "launcher/service.h"

#include "base/error.h"
#include "base/system.h"
#include "runtime/gateway/generation_config.h"
#include "runtime/options/options.h"
#include "runtime/text/chat_template.h"

#include <string.h>

/* Small files first: what is wrong with them is told before a rank is started. A model without a
 * chat template answers prompts. */
static bool read_files(struct service *s, const struct options *options, struct error *err)
{
    if (!model_path_find(s->folder, options->model, "config.json", err) ||
        !chat_template_open(&s->template, s->folder, options->chat_template, err))
        return false;
    return !chat_template_exists(s->template) ||
           chat_prompt_init(&s->chat, s->template, options, err);
}

/* What requests get that do not say it: the user's word, else that of the makers of the model. */
static bool read_defaults(struct sampling_params *out, const struct service *s,
                          const struct options *options, struct error *err)
{
    const struct {
        const char *name;
        float *to;
        double given;
    } rows[] = {
        {"--temperature", &out->temperature, options->temperature},
        {"--top-p", &out->top_p, options->top_p},
        {"--min-p", &out->min_p, options->min_p},
        {"--repetition-penalty", &out->repetition_penalty, options->repetition_penalty},
    };
    *out = params_default();
    out->max_tokens = 0; /* nobody has said any */
    if (strcmp(options->generation_config, "auto") == 0 &&
        !generation_config_read(out, s->folder, err))
        return false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (options_is_given(options, rows[i].name))
            *rows[i].to = (float)rows[i].given;
    if (options_is_given(options, "--top-k"))
        out->top_k = (int32_t)options->top_k;
    if (options_is_given(options, "--max-tokens"))
        out->max_tokens = (int32_t)options->max_tokens;
    return true;
}

static bool describe(struct service *s, const struct options *options, struct error *err)
{
    const struct session *session = &s->session;
    struct api_model *model = &s->api.model;
    const struct option_list *names = &options->serve.model_name;
    *model = (struct api_model){
        .name = names->n > 0 ? names->item : &options->model,
        .n_names = names->n > 0 ? names->n : 1,
        .root = options->model,
        .created_s = clock_wall_ms() / 1000,
        .vocab = session->vocab,
        .max_model_len = session->max_model_len,
        .kv_tokens = session->kv_tokens,
        .hidden_size = session->hidden_size,
        .about = session->about,
        .tp = (int)options->tensor_parallel_size,
        .pp = (int)options->pipeline_parallel_size,
        .dp = session->n_replicas,
        .block_tokens = (int)options->block_size,
        .prefix_caching = options->enable_prefix_caching,
    };
    return pooling_head_read(&model->head, options, s->folder, session->n_labels, err);
}

static void join(struct service *s, const struct options *options, int64_t max_queue)
{
    struct session *session = &s->session;
    s->admission.max_in_flight = session->max_num_seqs + max_queue;
    s->api.dispatch = session->dispatch;
    s->api.intake = &session->intake;
    s->api.chat = chat_template_exists(s->template) ? &s->chat : NULL;
    s->api.sampling.intake = &session->intake;
    s->api.sampling.vocab = session->vocab;
    s->api.seeds.are_given = options->seed >= 0;
    s->api.seeds.from = (uint64_t)options->seed;
    s->api.sampling.max_logprobs = (int)options->serve.max_logprobs;
    s->api.admission = &s->admission;
    s->api.metrics = &s->metrics;
    api_metrics_init(&s->metrics, session->max_model_len);
    s->api.logs_requests = options->command == COMMAND_SERVE && !options->serve.no_log_requests;
}

/* What is wrong with files and options, before a rank is started. */
static bool prepare(struct service *out, const struct options *options,
                    const volatile sig_atomic_t *interrupt, struct error *err)
{
    *out = (struct service){.session.interrupt = interrupt};
    return read_files(out, options, err) &&
           read_defaults(&out->api.sampling.defaults, out, options, err);
}

bool service_begin(struct service *out, const struct options *options,
                   const volatile sig_atomic_t *interrupt, struct error *err)
{
    return prepare(out, options, interrupt, err) &&
           session_begin(&out->session, options, out->folder, interrupt, err);
}

bool service_join(struct service *s, const struct options *options, int64_t max_queue,
                  struct error *err)
{
    if (!describe(s, options, err))
        return false;
    join(s, options, max_queue);
    return true;
}

bool service_open(struct service *out, const struct options *options, int64_t max_queue,
                  const volatile sig_atomic_t *interrupt, struct error *err)
{
    return prepare(out, options, interrupt, err) &&
           session_open(&out->session, options, out->folder, interrupt, err) &&
           service_join(out, options, max_queue, err);
}

void service_close(struct service *s)
{
    session_close(&s->session);
    pooling_head_release(&s->api.model.head);
    json_decref(s->chat.variables);
    chat_template_close(s->template);
}
