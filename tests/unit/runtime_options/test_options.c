#include "base/error.h"
#include "runtime/options/options.h"
#include "runtime/options/table.h"
#include "tests/files.h"
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORDS = 16 };

static bool parse(struct options *out, enum command command, const char *line, struct error *err)
{
    static char text[1024];
    char *word[MAX_WORDS], *rest = text;
    int n = 0;
    snprintf(text, sizeof text, "%s", line);
    for (char *w; (w = strsep(&rest, " ")) != NULL && n < MAX_WORDS;)
        word[n++] = w;
    *err = (struct error){0};
    return options_parse(out, command, *line ? n : 0, word, err);
}

static void refuses(enum command command, const char *line, const char *because)
{
    struct options options;
    struct error err;
    if (parse(&options, command, line, &err))
        test_fail(__FILE__, __LINE__, "'%s' was accepted", line);
    CHECK_EQ(err.kind, ERROR_INPUT);
    if (strstr(err.text, because) == NULL)
        test_fail(__FILE__, __LINE__, "'%s' was refused with '%s', want '%s'", line, err.text,
                  because);
    options_release(&options);
}

TEST(every_row_of_the_table_is_complete_and_its_default_is_legal)
{
    for (int i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        CHECK(strncmp(option->name, "--", 2) == 0);
        CHECK(option->help != NULL && option->section != NULL && option->commands != 0);
        CHECK((option->kind == OPTION_FLAG) == (option->value == NULL));
        for (int k = 0; k < i; k++) /* a command has one of a name */
            CHECK(strcmp(option->name, option_at(k)->name) != 0 ||
                  (option->commands & option_at(k)->commands) == 0);
    }
    struct options options; /* options_parse() checks that the defaults are accepted */
    struct error err;
    CHECK(parse(&options, COMMAND_DEMO, "", &err));
    CHECK_EQ(options.tensor_parallel_size, 1);
    CHECK_EQ(options.seed, -1);
    CHECK(options.skip_special_tokens);
    options_release(&options);
}

TEST(values_come_in_every_spelling)
{
    struct options options;
    struct error err;
    CHECK(parse(&options, COMMAND_GENERATE,
                "dir -tp 3 --max_tokens=5 --max-model-len 32K --temperature .5 -p a -p b --json "
                "--no-skip-special-tokens --top-k -1",
                &err));
    CHECK_STR(options.model, "dir");
    CHECK_EQ(options.tensor_parallel_size, 3);
    CHECK_EQ(options.max_tokens, 5);
    CHECK_EQ(options.max_model_len, 32768);
    CHECK(options.temperature == 0.5);
    CHECK_EQ(options.prompt.n, 2);
    CHECK_STR(options.prompt.item[1], "b");
    CHECK(options.json && !options.skip_special_tokens);
    CHECK_EQ(options.top_k, -1);
    CHECK(options_is_given(&options, "--max-tokens"));
    CHECK(!options_is_given(&options, "--seed"));
    options_release(&options);
}

TEST(bounds_of_goodput_are_words_up_to_the_next_option)
{
    struct options options;
    struct error err;
    CHECK(parse(&options, COMMAND_BENCH_SERVE, "--goodput ttft:5 tpot:1 --goodput e2el:9 --seed 3",
                &err));
    CHECK_EQ(options.bench.goodput.n, 3);
    CHECK_STR(options.bench.goodput.item[1], "tpot:1");
    CHECK(options.model == NULL); /* that of the server */
    options_release(&options);
}

TEST(infinity_is_a_number_only_where_it_has_a_meaning)
{
    struct options options;
    struct error err;
    CHECK(parse(&options, COMMAND_BENCH_SERVE, "m --request-rate inf", &err));
    CHECK(options.bench.request_rate > 1e300);
    CHECK_STR(options.model, "m");
    options_release(&options);
    refuses(COMMAND_BENCH_SERVE, "--burstiness inf", "is no number");
    refuses(COMMAND_BENCH_SERVE, "--request-rate nan", "is no number");
}

TEST(sizes_are_written_as_people_write_them)
{
    static const struct {
        const char *text;
        int64_t n_bytes;
    } sizes[] = {{"7", 7},
                 {"80e9", 80000000000},
                 {"80g", 80000000000},
                 {"80GB", 80000000000},
                 {"80gb", 80000000000},
                 {"80 GB", 80000000000},
                 {"1.5t", 1500000000000},
                 {"1kB", 1000},
                 {"1K", 1024},
                 {"3M", 3 << 20},
                 {"80G", 80LL << 30},
                 {"80Gi", 80LL << 30},
                 {"80GiB", 80LL << 30},
                 {"2TiB", 2LL << 40}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct options options;
        struct error err = {0};
        char *words[] = {"m", "--memory", (char *)sizes[i].text};
        CHECK(options_parse(&options, COMMAND_PLAN, 3, words, &err));
        CHECK_EQ(options.memory, sizes[i].n_bytes);
        options_release(&options);
    }
    static const char *const wrong[] = {"80x", "80GBB", "80bi", "g", "1.5", "80e9 bytes", "8 0"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct options options;
        struct error err = {0};
        char *words[] = {"m", "--memory", (char *)wrong[i]};
        CHECK(!options_parse(&options, COMMAND_PLAN, 3, words, &err));
        CHECK(strstr(err.text, "is no whole number (k, m, g and KB, MB, GB are thousands"));
        options_release(&options);
    }
}

TEST(mistakes_are_named_with_a_remedy)
{
    refuses(COMMAND_GENERATE, "m --tensor-paralel-size 2", "did you mean --tensor-parallel-size?");
    refuses(COMMAND_GENERATE, "m --zzz", "unknown option --zzz; see --help=all");
    refuses(COMMAND_CHAT, "--model_name_or_path m", "a word without a name: phalanx chat MODEL");
    refuses(COMMAND_GENERATE, "m -tp two", "'two' is no whole number");
    refuses(COMMAND_GENERATE, "m -tp 1.5", "'1.5' is no whole number");
    refuses(COMMAND_GENERATE, "m -tp 0", "0 is outside 1 .. 4096");
    refuses(COMMAND_GENERATE, "m --max-tokens 1e400", "no whole number");
    refuses(COMMAND_GENERATE, "m --top-p nan", "no number");
    refuses(COMMAND_GENERATE, "m --top-p 1.01", "outside");
    refuses(COMMAND_GENERATE, "m --kernels sse", "none of auto|scalar");
    refuses(COMMAND_GENERATE, "m --kernels au", "none of auto|scalar");
    refuses(COMMAND_GENERATE, "m --kernels scalar|avx2", "none of auto|scalar");
    refuses(COMMAND_GENERATE, "m --comm |", "none of");
    refuses(COMMAND_GENERATE, "m --seed", "wants a value (N)");
    refuses(COMMAND_GENERATE, "m --no-seed", "unknown option --no-seed");
    refuses(COMMAND_GENERATE, "-p hello", "wants a MODEL");
    refuses(COMMAND_GENERATE, "a b", "does not know what to do with 'b'");
    refuses(COMMAND_DEMO, "model", "does not know what to do with 'model'");
    refuses(COMMAND_DOCTOR, "--json", "unknown option --json");
}

static void file_says(const char *text, const char *extra, const char *error)
{
    const struct folder folder = folder_make();
    const struct file_path path = folder_write(&folder, "f.yaml", text, strlen(text));
    char line[512];
    struct options options;
    struct error err;
    snprintf(line, sizeof line, "--config %s%s", path.text, extra);
    const bool good = parse(&options, COMMAND_GENERATE, line, &err);
    folder_remove(&folder);
    if (error == NULL) {
        CHECK(good);
        CHECK_STR(options.model, "dir");
        CHECK_EQ(options.max_tokens, 7);
        CHECK_EQ(options.stop.n, 2);
        CHECK_STR(options.stop.item[1], "b");
        CHECK(options_is_given(&options, "--max-tokens"));
    } else if (good || strstr(err.text, error) == NULL) {
        test_fail(__FILE__, __LINE__, "got '%s', want '%s'", good ? "no error" : err.text, error);
    }
    options_release(&options);
}

TEST(a_file_gives_what_the_command_line_does_not)
{
    file_says("model: dir\nmax-tokens: 7\nstop: [a, b]\n", "", NULL);
    file_says("model_name_or_path: dir\nmax_new_tokens: 7\nstop:\n- a\n- b\n", "", NULL);
    file_says("model: x\nmax_tokens: 9\nstop: [a, b]\n", " dir --max-tokens 7", NULL);
}

TEST(mistakes_in_a_file_are_named_with_their_line)
{
    file_says("model: dir\nmax_tokns: 7\n", "",
              ":2: unknown key max_tokns (did you mean max_tokens?)");
    file_says("zzz: 7\n", "", ":1: unknown key zzz; see --help=all");
    file_says("infer_backnd: vllm\n", "", "did you mean infer_backend?");
    file_says("model: dir\n\nmax_tokens: many\n", "", ":3: max-tokens: 'many' is no whole number");
    file_says("model: dir\nseed: [1, 2]\n", "", ":2: seed: want one value");
    file_says("- a\n- b\n", "", "want `key: value` lines");
    file_says("model: [\n", "", "want");
    file_says("model: \"\n", "", "no YAML");
    file_says("seed: 1\nmodel: dir\nseed: 2\n", "", ":3: this option is in the file twice");
    file_says("max_tokens: 1\nmax_new_tokens: 2\n", "", ":2: this option is in the file twice");
    file_says("model: a\nmodel: b\n", "", ":2: the model is in the file twice");
    file_says("model:\nseed: 1\n", "", "wants a MODEL");
    file_says("model: dir\n---\nseed: 1\n", "", "a second document");
    file_says("stop: \"a\\0b\"\n", "", ":1: a NUL character");
    file_says("stop: [[a]]\n", "", ":1: stop: want one value");
    file_says("stop: &a [b]\nprompt: *a\n", "", ":2: prompt: want one value");
    file_says("help: true\n", "", "unknown key help");
    file_says("config: f.yaml\n", "", "unknown key config");
}

TEST(the_first_word_can_be_the_file_and_pairs_are_lines_of_it)
{
    const struct folder folder = folder_make();
    static const char text[] = "model_name_or_path: x\nmax_new_tokens: 7\nseed: 5\ntop_k: 3\n"
                               "stop: ~\ntop_p: \"0.5\"\n";
    const struct file_path path = folder_write(&folder, "f.yml", text, sizeof text - 1);
    char line[512];
    struct options options;
    struct error err;
    snprintf(line, sizeof line, "%s model_name_or_path=a=b temperature=0.5 top-k=9 seed=null",
             path.text);
    CHECK(parse(&options, COMMAND_CHAT, line, &err));
    CHECK_STR(options.config, path.text);
    CHECK_STR(options.model, "a=b");
    CHECK_EQ(options.max_tokens, 7);
    CHECK_EQ(options.top_k, 9);
    CHECK_EQ(options.seed, -1); /* null on the command line: the file does not count */
    CHECK(options.temperature == 0.5 && options.top_p == 0.5);
    CHECK(options_is_given(&options, "--max-tokens") && !options_is_given(&options, "--stop"));
    /* as if neither had it: a null is nothing that was given */
    CHECK(!options_is_given(&options, "--seed"));
    options_release(&options);
    CHECK(parse(&options, COMMAND_CHAT, "dir --max-tokens 5 max_tokens=null", &err));
    CHECK(!options_is_given(&options, "--max-tokens") && options.max_tokens == 256);
    options_release(&options);
    refuses(COMMAND_CHAT, "model=null", "wants a MODEL");

    CHECK(parse(&options, COMMAND_CHAT, "./a=b", &err)); /* a path is no pair */
    CHECK_STR(options.model, "./a=b");
    options_release(&options);
    refuses(COMMAND_CHAT, "dir f.yaml", "does not know what to do with 'f.yaml'");
    refuses(COMMAND_CHAT, "dir tempertaure=1", "did you mean temperature?");
    refuses(COMMAND_CHAT, "dir config=f", "unknown key config");
    refuses(COMMAND_TOKENIZE, "dir seed=1", "does not know what to do with 'seed=1'");
    folder_remove(&folder);
}

TEST(the_keys_of_llama_factory_mean_what_they_can_mean)
{
    struct options options;
    struct error err;
    CHECK(parse(&options, COMMAND_CHAT,
                "dir do_sample=false temperature=0.9 infer_backend=vllm trust_remote_code=true "
                "template=llama3 infer_dtype=float16 vllm_maxlen=4096 num_beams=1",
                &err));
    CHECK(options.temperature == 0 && options_is_given(&options, "--temperature"));
    CHECK_STR(options.dtype, "float16");
    CHECK_EQ(options.max_model_len, 4096);
    CHECK_STR(options.factory.template, "llama3");
    CHECK_EQ(options.notes.n, 2);
    options_release(&options);
    CHECK(parse(&options, COMMAND_CHAT, "dir do_sample=true temperature=0.9", &err));
    CHECK(options.temperature == 0.9);
    CHECK_EQ(options.notes.n, 0);
    options_release(&options);
    CHECK(parse(&options, COMMAND_CHAT, "dir num_beams=4 length_penalty=0.5", &err));
    CHECK(options.beam_width == 4 && options.length_penalty == 0.5);
    CHECK_EQ(options.notes.n, 0);
    options_release(&options);
    CHECK(parse(&options, COMMAND_CHAT, "dir length_penalty=0.5", &err));
    CHECK_EQ(options.notes.n, 1); /* no beams, no effect */
    options_release(&options);
    refuses(COMMAND_CHAT, "dir adapter_name_or_path=a,b", "there is no LoRA yet");
    refuses(COMMAND_CHAT, "dir infer_backend=mlx", "none of huggingface|vllm");
}

/* line -> method, model, tokens, shortest and longest n-gram. */
static void speculates(const char *line, const char *method, const char *model, int n, int min,
                       int max)
{
    struct options options;
    struct error err;
    if (!parse(&options, COMMAND_GENERATE, line, &err))
        test_fail(__FILE__, __LINE__, "'%s': %s", line, err.text);
    CHECK_STR(options.speculative_method, method);
    CHECK((options.speculative_model == NULL) == (model == NULL));
    if (model != NULL)
        CHECK_STR(options.speculative_model, model);
    CHECK_EQ(options.num_speculative_tokens, n);
    CHECK_EQ(options.prompt_lookup_min, min);
    CHECK_EQ(options.prompt_lookup_max, max);
    options_release(&options);
}

TEST(flags_of_vllm_that_have_no_effect_say_so_and_those_that_would_change_answers_are_refused)
{
    struct options options;
    struct error err;
    CHECK(parse(&options, COMMAND_SERVE,
                "dir -q none --tokenizer-mode auto --swap-space 4 --cpu-offload-gb 0", &err));
    CHECK_EQ(options.notes.n, 2);
    CHECK(strstr(options.notes.item[0], "--tokenizer-mode: no effect") != NULL);
    CHECK(strstr(options.notes.item[1], "--swap-space: no effect") != NULL);
    options_release(&options);
    refuses(COMMAND_SERVE, "dir -q awq", "--quantization awq: weights are bfloat16");
    refuses(COMMAND_SERVE, "dir --cpu-offload-gb 2", "2 is outside 0 .. 0");
    refuses(COMMAND_SERVE, "dir --distributed-executor-backend ray", "'ray' is none of mp");
    refuses(COMMAND_SERVE, "dir --load-format gguf", "'gguf' is none of auto|safetensors|dummy");
    refuses(COMMAND_SERVE, "dir --enable_lora",
            "--enable-lora is no option here: there is no LoRA");
    refuses(COMMAND_CHAT, "dir revision=main", "chat: revision is no key here: nothing is");
}

TEST(flags_of_vllm_that_have_another_name_mean_the_same)
{
    struct options options;
    struct error err;
    CHECK(parse(&options, COMMAND_SERVE,
                "dir --shutdown-timeout 7 --no-enable-log-requests --no-enable-sleep-mode "
                "--no-enable-chunked-prefill --seed 4 --load-format dummy",
                &err));
    CHECK_EQ(options.serve.drain_timeout, 7);
    CHECK(options.serve.no_log_requests && !options.serve.sleep_mode);
    CHECK(!options.enable_chunked_prefill && options_dummy_weights(&options));
    CHECK_EQ(options.seed, 4);
    options_release(&options);
    CHECK(parse(&options, COMMAND_SERVE, "dir", &err));
    CHECK(!options.serve.no_log_requests && options.serve.sleep_mode);
    CHECK(options.enable_chunked_prefill && !options_dummy_weights(&options));
    options_release(&options);
    CHECK(parse(&options, COMMAND_CHAT, "dir -q Hello", &err)); /* as in vLLM's chat */
    CHECK_STR(options.quick, "Hello");
    options_release(&options);
}

TEST(defaults_of_sampling_may_come_from_the_json_of_vllm)
{
    static const char line[] = "dir --top-k 7 --override-generation-config "
                               "{\"temperature\":0.5,\"top_k\":3,\"max_new_tokens\":9}";
    struct options options;
    struct error err;
    CHECK(parse(&options, COMMAND_SERVE, line, &err));
    CHECK(options.temperature == 0.5 && options_is_given(&options, "--temperature"));
    CHECK_EQ(options.max_tokens, 9);
    CHECK_EQ(options.top_k, 7); /* the plain option wins */
    CHECK(!options_is_given(&options, "--top-p"));
    options_release(&options);
    refuses(COMMAND_SERVE, "dir --override-generation-config {\"stop\":1}", "unknown key stop");
    refuses(COMMAND_SERVE, "dir --override-generation-config {\"top_p\\u0020top_k\":1}",
            "unknown key top_p top_k; there are temperature top_p top_k min_p");
    refuses(COMMAND_DEMO, "--override-generation-config {\"min_p\":0.1}",
            "this command has no min_p");
    refuses(COMMAND_SERVE, "dir --override-generation-config {\"top_p\":\"x\"}", "no number");
    refuses(COMMAND_SERVE, "dir --override-generation-config {\"top_p\":2}", "2 is outside");
}

TEST(speculation_comes_from_the_json_of_vllm_or_from_plain_options)
{
    speculates("dir", "none", NULL, 0, 0, 0);
    speculates("dir --speculative-model small", "draft_model", "small", 4, 0, 0);
    speculates("dir --spec-model small --spec-tokens 7", "draft_model", "small", 7, 0, 0);
    speculates("dir --num-speculative-tokens 3", "ngram", NULL, 3, 5, 5);
    speculates("dir --speculative-method ngram", "ngram", NULL, 4, 5, 5);
    speculates("dir --prompt-lookup-max 4 --prompt-lookup-min 2", "ngram", NULL, 4, 2, 4);
    speculates("dir --prompt-lookup-max 3", "ngram", NULL, 4, 3, 3);
    speculates("dir --prompt-lookup-min 2", "ngram", NULL, 4, 2, 2);
    speculates("dir --speculative-config {\"method\":\"ngram\",\"num_speculative_tokens\":5,"
               "\"prompt_lookup_max\":4,\"prompt_lookup_min\":2}",
               "ngram", NULL, 5, 2, 4);
    speculates("dir --speculative-config {\"model\":\"small\",\"num_speculative_tokens\":2}",
               "draft_model", "small", 2, 0, 0);
    speculates("dir --num-speculative-tokens 9 --speculative-config {\"num_speculative_tokens\":2}",
               "ngram", NULL, 9, 5, 5); /* the plain option wins */
    refuses(COMMAND_GENERATE, "dir --speculative-config 5", "--speculative-config: no JSON object");
    refuses(COMMAND_GENERATE, "dir --speculative-config {", "--speculative-config: ");
    refuses(COMMAND_GENERATE, "dir --speculative-config {\"modle\":\"x\"}", "unknown key modle");
    refuses(COMMAND_GENERATE, "dir --speculative-config {\"method\":\"eagle\"}",
            "'eagle' is none of none|ngram|draft_model");
    refuses(COMMAND_GENERATE, "dir --speculative-config {\"num_speculative_tokens\":0}",
            "num_speculative_tokens");
    refuses(COMMAND_GENERATE, "dir --speculative-method draft_model", "needs --speculative-model");
    refuses(COMMAND_GENERATE, "dir --spec-method ngram --spec-model m", "n-grams need no model");
    refuses(COMMAND_GENERATE, "dir --prompt-lookup-max 2 --prompt-lookup-min 3",
            "3 is more than the longest, 2");
}

TEST(a_command_has_one_word_or_two)
{
    enum command command;
    char *generate[] = {"generate", "latency"}, *latency[] = {"bench", "latency", "dir"},
         *bench[] = {"bench"}, *other[] = {"bench", "late"}, *rank[] = {"phalanx-rank"};
    CHECK_EQ(command_find(&command, 2, generate), 1);
    CHECK_EQ(command, COMMAND_GENERATE);
    CHECK_EQ(command_find(&command, 3, latency), 2);
    CHECK_EQ(command, COMMAND_BENCH_LATENCY);
    CHECK_EQ(command_find(&command, 1, bench), 0);
    CHECK_EQ(command_find(&command, 2, other), 0);
    CHECK_EQ(command_find(&command, 1, rank), 0);
}

TEST(sampling_can_change_later_and_nothing_else)
{
    struct options options;
    struct error err;
    CHECK(parse(&options, COMMAND_CHAT, "dir", &err));
    CHECK(options_change(&options, "temperature", "0.25", &err));
    CHECK(options_change(&options, "max_new_tokens", "8", &err));
    CHECK(options.temperature == 0.25 && options_is_given(&options, "--temperature"));
    CHECK_EQ(options.max_tokens, 8);
    static const char *const wrong[][3] = {{"temperature", "3", "outside"},
                                           {"threads", "1", "only what is about sampling"},
                                           {"tempereture", "1", "did you mean temperature?"},
                                           {"config", "f", "unknown key config"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        err = (struct error){0};
        CHECK(!options_change(&options, wrong[i][0], wrong[i][1], &err));
        CHECK(strstr(err.text, wrong[i][2]) != NULL);
    }
    /* what was wrong can be put right: a list is the last text, and "" is none */
    CHECK(options_change(&options, "stop", "a", &err));
    CHECK(options_change(&options, "stop", "b", &err));
    CHECK(options.stop.n == 1 && strcmp(options.stop.item[0], "b") == 0);
    CHECK(options_change(&options, "stop", "", &err));
    CHECK(options.stop.n == 0 && !options_is_given(&options, "--stop"));
    CHECK(options_change(&options, "max_tokens", "null", &err));
    CHECK(options.max_tokens == 256 && !options_is_given(&options, "--max-tokens"));
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    options_print_sampling(out, &options);
    fclose(out);
    CHECK(strstr(text, "temperature = 0.25\n") != NULL);
    CHECK(strstr(text, "top-p = (not set)\n") != NULL);
    CHECK(strstr(text, "threads") == NULL);
    free(text);
    options_release(&options);
}

/* Each would take minutes or gigabytes if it were read as a tree, or copied for each item. */
TEST(a_hostile_file_costs_no_more_than_its_size)
{
    enum { N = 1000000, ITEMS = 20000 };
    static char text[N + 1];
    struct options options;
    struct error err;
    for (int i = 0; i < N; i++)
        text[i] = '[';
    file_says(text, "", "want `key: value` lines");
    memcpy(text, "model: ", 7);
    file_says(text, "", "the model wants a path");

    CHECK(parse(&options, COMMAND_GENERATE, "dir", &err));
    for (int i = 0; i < ITEMS; i++)
        CHECK(option_set(&options, option_find("--prompt", COMMAND_GENERATE), "", "a", &err));
    CHECK_EQ(options.prompt.n, ITEMS);
    CHECK_STR(options.prompt.item[ITEMS - 1], "a");
    CHECK(options.arena.total_bytes < 200 * ITEMS);
    options_release(&options);
}

TEST(flags_take_the_words_of_yaml)
{
    struct options options;
    struct error err;
    CHECK(parse(&options, COMMAND_GENERATE, "dir --json=True --ignore-eos=on", &err));
    CHECK(options.json && options.ignore_eos);
    options_release(&options);
    CHECK(parse(&options, COMMAND_GENERATE, "dir --skip-special-tokens=FALSE", &err));
    CHECK(!options.skip_special_tokens);
    options_release(&options);
    refuses(COMMAND_GENERATE, "dir --json=maybe", "neither true nor false");
}

TEST(ranks_get_the_values_of_the_gateway)
{
    struct options options, rank;
    struct error err;
    struct arena arena = {0};
    char *word[64] = {"dir"};
    CHECK(parse(&options, COMMAND_GENERATE,
                "dir -tp 3 -pp 2 --dtype float32 --threads 2 --check-weights --block-size 64 "
                "--spec-model small --no-enable-prefix-caching",
                &err));
    const int n = options_for_rank(&options, &arena, word + 1, 63);
    CHECK(n > 5);
    CHECK(options_parse(&rank, COMMAND_RANK, n + 1, word, &err));
    CHECK_EQ(rank.tensor_parallel_size, 3);
    CHECK_EQ(rank.pipeline_parallel_size, 2);
    CHECK_STR(rank.dtype, "float32");
    CHECK_EQ(rank.threads, 2);
    CHECK(rank.check_weights);
    CHECK_EQ(rank.block_size, 64);
    CHECK_STR(rank.speculative_method, "draft_model");
    CHECK_STR(rank.speculative_model, "small");
    CHECK(rank.num_speculative_tokens == 4 && !rank.enable_prefix_caching);
    CHECK(rank.record == NULL); /* no word for what was not given */
    options_release(&options);
    options_release(&rank);
    arena_release(&arena);
}

TEST(the_help_of_every_command_fits_a_screen)
{
    for (int c = 0; c < COMMAND_COUNT; c++) {
        char *text;
        size_t n;
        FILE *out = open_memstream(&text, &n);
        options_print_help(out, (enum command)c, false);
        fclose(out);
        int lines = 0;
        for (size_t i = 0; i < n; i++)
            lines += text[i] == '\n';
        if (lines > 50)
            test_fail(__FILE__, __LINE__, "%s --help has %d lines", command_name((enum command)c),
                      lines);
        free(text);
    }
}

TEST(docs_options_md_is_what_the_table_prints)
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    options_print_markdown(out);
    fclose(out);
    FILE *file = fopen(SOURCE_DIR "/docs/options.md", "r");
    CHECK(file != NULL);
    char *written = calloc(1, n + 2);
    CHECK(written != NULL);
    const size_t n_written = fread(written, 1, n + 1, file);
    fclose(file);
    if (n_written != n || memcmp(written, text, n) != 0)
        test_fail(__FILE__, __LINE__, "run: phalanx --help=markdown > docs/options.md");
    free(written);
    free(text);
}
