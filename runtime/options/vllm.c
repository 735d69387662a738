/* Command lines of vLLM, as its users have them: what they ask of parts that are made otherwise
 * here has no effect and is said once, what would change the answer and is not there is refused,
 * and of flags that have another name here, or no sense, one is told which.
 *
 * Source: vLLM, EngineArgs and the arguments of its API server. */
#include "base/bytes.h"
#include "base/error.h"
#include "base/json.h"
#include "runtime/options/table.h"

#include <string.h>

static const struct {
    const char *name, *note;
} without_effect[] = {
    {"--tokenizer-mode", "there is one reader of tokenizer.json"},
    {"--distributed-executor-backend", "ranks are processes, started by mpirun where several are"},
    {"--disable-custom-all-reduce", "sums go by --comm"},
    {"--async-scheduling", "steps of a GPU are planned while the one before runs, always"},
    {"--swap-space", "what gives way is computed again, and not copied"},
    {"--max-log-len", "texts are never logged"},
};

static const char no_lora[] =
    "there is no LoRA yet; merge the adapter into the model and give that";
static const char no_parser[] = "what a model writes is its content: calls of tools and reasoning "
                                "are not taken out of it yet";
static const char no_download[] = "nothing is downloaded; give a folder, or a name that is in the "
                                  "cache below HF_HOME";
static const char other_hosts[] = "for ranks on other hosts give --hostfile, or begin the command "
                                  "with mpirun or srun";

static const struct absent {
    const char *name, *why;
} absent[] = {
    {"--enable-lora", no_lora},
    {"--lora-modules", no_lora},
    {"--max-loras", no_lora},
    {"--max-lora-rank", no_lora},
    {"--tool-call-parser", no_parser},
    {"--enable-auto-tool-choice", no_parser},
    {"--reasoning-parser", no_parser},
    {"--revision", no_download},
    {"--tokenizer-revision", no_download},
    {"--download-dir", no_download},
    {"--tokenizer", "the tokenizer is the tokenizer.json of MODEL"},
    {"--hf-overrides", "change config.json in a copy of the folder"},
    {"--nnodes", other_hosts},
    {"--node-rank", other_hosts},
    {"--master-addr", other_hosts},
    {"--master-port", other_hosts},
    {"--headless", other_hosts},
    {"--grpc", "give --grpc-port N: HTTP and gRPC are served side by side"},
    {"--uvicorn-log-level", "give --log-level"},
    {"--num-gpu-blocks-override", "give --kv-cache-memory-bytes"},
    {"--enable-expert-parallel", "there is no model with experts yet"},
};

/* Of its bench serve, where a name may mean something else. */
static const char no_tokenizer[] = "leave it out: random prompts are token ids below --vocab-size, "
                                   "and the server counts";
static const char one_length[] = "give --output-len";
static const char in_order[] =
    "leave it out: prompts are taken in the order of the file, and again "
    "from its begin where it has too few";
static const struct absent absent_of_bench[] = {
    {"--tokenizer", no_tokenizer},
    {"--tokenizer-mode", no_tokenizer},
    {"--served-model-name", "give as --model the name by which the server knows it"},
    {"--random-prefix-len", "prompts that begin alike are those of a file: --dataset"},
    {"--sharegpt-output-len", one_length},
    {"--custom-output-len", one_length},
    {"--hf-output-len", one_length},
    {"--disable-shuffle", in_order},
    {"--no-oversample", in_order},
    {"--logprobs", "give --extra-body '{\"logprobs\": N}'"},
    {"--label", "give --metadata label=NAME"},
    {"--append-result", "give each run a --result-filename"},
    {"--plot-timeline", "give --plot FILE.svg"},
    {"--profile", "the server is seen from outside: give it --record"},
};

static const char *why_absent(const struct absent *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return list[i].why;
    return NULL;
}

const char *option_absent(const char *name, enum command command)
{
    const char *why =
        command != COMMAND_BENCH_SERVE
            ? NULL
            : why_absent(absent_of_bench, sizeof absent_of_bench / sizeof *absent_of_bench, name);
    return why != NULL ? why : why_absent(absent, sizeof absent / sizeof *absent, name);
}

static void add_notes(struct options *options)
{
    for (size_t i = 0; i < sizeof without_effect / sizeof *without_effect; i++) {
        const char *name = without_effect[i].name;
        struct bytes text = {0};
        if (!options_is_given(options, name))
            continue;
        bytes_printf(&text, "%s: no effect: %s", name, without_effect[i].note);
        option_list_add(options, &options->notes,
                        arena_copy_text(&options->arena, text.data, text.len));
        bytes_release(&text);
    }
}

static bool check_quantization(const struct options *options, struct error *err)
{
    const char *name = options->vllm.quantization;
    return name == NULL || *name == '\0' || strcmp(name, "none") == 0 ||
           error_set(err, ERROR_INPUT,
                     "--quantization %s: weights are bfloat16, float16 or float32 here, as the "
                     "checkpoint has them or as --dtype says; leave it out, with a checkpoint that "
                     "is not quantised",
                     name);
}

/* ---- --override-generation-config ---- */

static bool check_key(const char *key, struct error *err)
{
    static const char *const keys[] = {"temperature",        "top_p",         "top_k", "min_p",
                                       "repetition_penalty", "max_new_tokens"};
    struct bytes all = {0};
    bool is_known = false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        is_known |= strcmp(keys[i], key) == 0;
        bytes_printf(&all, " %s", keys[i]);
    }
    if (!is_known)
        error_set(err, ERROR_INPUT, "unknown key %.60s; there are%s", key, all.data);
    bytes_release(&all);
    return is_known;
}

static bool override(struct options *options, const char *key, const json_t *value,
                     struct error *err)
{
    struct bytes text = {0};
    if (!check_key(key, err))
        return false;
    if (!json_is_number(value))
        return error_set(err, ERROR_INPUT, "\"%s\" is no number", key);
    const struct option *option = option_find_key(key, options->command);
    if (option == NULL)
        return error_set(err, ERROR_INPUT, "this command has no %s", key);
    if (option_is_given(options, option))
        return true; /* the plain option wins */
    bytes_printf(&text, "%.17g", json_number_value(value));
    const bool good = option_set(options, option, key, text.data, err);
    option_mark_given(options, option);
    bytes_release(&text);
    return good;
}

static bool override_all(struct options *options, json_t *config, struct error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(config))
        return error_set(err, ERROR_INPUT, "no JSON object");
    json_object_foreach(config, key, value)
    {
        if (!override(options, key, value, err))
            return false;
    }
    return true;
}

static bool read_overrides(struct options *options, struct error *err)
{
    static const struct json_limits limits = {
        .max_bytes = 1 << 16, .max_depth = 4, .max_values = 64};
    const char *text = options->vllm.override_generation_config;
    json_t *config;
    if (text == NULL || *text == '\0')
        return true;
    if (!json_parse(&config, text, strlen(text), &limits, err))
        return error_in(err, "--override-generation-config");
    const bool good = override_all(options, config, err);
    json_decref(config);
    return good || error_in(err, "--override-generation-config");
}

bool options_apply_vllm(struct options *options, struct error *err)
{
    add_notes(options);
    if (!options->serve.enable_log_requests)
        options->serve.no_log_requests = true;
    return check_quantization(options, err) && read_overrides(options, err);
}
