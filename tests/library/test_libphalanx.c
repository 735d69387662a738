/* libphalanx as a program has it: over the demo model, with real ranks. */
#include "launcher/library/phalanx.h"
#include "tests/test.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define DEMO   SOURCE_DIR "/demo/model"
#define GREEDY "{\"temperature\": 0, \"max_tokens\": 12}"
#define LONG   "{\"temperature\": 0, \"max_tokens\": 200, \"ignore_eos\": true}"
#define PROMPT "Once upon a time"

static struct phalanx_error err;

static struct phalanx_model *open_demo(void)
{
    struct phalanx_model *model = phalanx_open(DEMO, NULL, 0, &err);
    if (model == NULL)
        test_fail(__FILE__, __LINE__, "the demo does not open: %s", err.text);
    return model;
}

static void expect_text(struct phalanx_model *model, const char *want)
{
    struct phalanx_request *r = phalanx_generate(model, PROMPT, GREEDY, &err);
    CHECK(r != NULL);
    CHECK_STR(phalanx_text(r, 0, NULL), want);
    phalanx_release(r);
}

/* ---- errors ---- */

TEST(a_model_that_is_not_there_is_an_error_of_input)
{
    CHECK(phalanx_open("/no/such/model", NULL, 0, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
    CHECK(strstr(err.text, "/no/such/model") != NULL);
}

TEST(an_option_that_is_not_there_is_named_with_the_nearest)
{
    const char *const options[] = {"--tensor-paralel-size=2"};
    CHECK(phalanx_open(DEMO, options, 1, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
    CHECK(strstr(err.text, "did you mean --tensor-parallel-size?") != NULL);
}

TEST(a_word_that_is_no_option_is_refused)
{
    const char *const options[] = {"serve"};
    CHECK(phalanx_open(DEMO, options, 1, &err) == NULL);
    CHECK(strstr(err.text, "'serve'") != NULL);
}

TEST(an_error_that_nobody_wants_is_fine)
{
    CHECK(phalanx_open("/no/such/model", NULL, 0, NULL) == NULL);
}

TEST(a_parameter_that_is_wrong_is_named)
{
    static const struct {
        const char *json, *param;
    } rows[] = {
        {"{\"temperature\": -1}", "temperature"}, {"{\"temperature\": \"hot\"}", "temperature"},
        {"{\"temprature\": 1}", "temprature"},    {"{\"top_p\": 2}", "top_p"},
        {"{\"max_tokens\": 0}", "max_tokens"},    {"{\"tools\": []}", "tools"},
    };
    struct phalanx_model *model = open_demo();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK(phalanx_ask(model, PROMPT, rows[i].json, NULL, NULL, &err) == NULL);
        CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
        CHECK_STR(err.param, rows[i].param);
    }
    phalanx_close(model);
}

TEST(parameters_that_are_no_object_are_refused)
{
    struct phalanx_model *model = open_demo();
    CHECK(phalanx_generate(model, PROMPT, "[1]", &err) == NULL);
    CHECK(phalanx_generate(model, PROMPT, "{", &err) == NULL);
    CHECK(phalanx_generate(model, PROMPT, "", &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
    phalanx_close(model);
}

TEST(messages_that_are_wrong_are_named)
{
    static const char *const wrong[] = {"{}", "[]", "[1]", "nonsense", "[{\"content\": \"Hi\"}]"};
    struct phalanx_model *model = open_demo();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(phalanx_chat(model, wrong[i], NULL, &err) == NULL);
        CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
        CHECK_STR(err.param, "messages");
    }
    phalanx_close(model);
}

TEST(a_prompt_that_is_too_long_has_a_code)
{
    static char prompt[1 << 20];
    struct phalanx_model *model = open_demo();
    for (size_t i = 0; i + 2 < sizeof prompt; i += 2)
        memcpy(prompt + i, "a ", 2);
    CHECK(phalanx_ask(model, prompt, NULL, NULL, NULL, &err) == NULL);
    CHECK_STR(err.code, "context_length_exceeded");
    phalanx_close(model);
}

TEST(what_is_not_given_is_an_error)
{
    struct phalanx_model *model = open_demo();
    CHECK(phalanx_open(NULL, NULL, 0, &err) == NULL);
    CHECK(phalanx_generate(model, NULL, NULL, &err) == NULL);
    CHECK_STR(err.param, "prompt");
    CHECK(phalanx_chat(model, NULL, NULL, &err) == NULL);
    CHECK_STR(err.param, "messages");
    CHECK(phalanx_measure(model, PHALANX_EMBED, NULL, NULL, &err) == NULL);
    CHECK_STR(err.param, "input");
    CHECK(phalanx_measure(model, (enum phalanx_task)9, PROMPT, NULL, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
    phalanx_close(model);
    phalanx_close(NULL);
    phalanx_release(NULL);
}

/* ---- answers ---- */

struct seen {
    char text[4096];
    size_t n;
    int n_calls, most_calls;
    struct phalanx_request *cancel;
};

static bool see(void *context, struct phalanx_request *request, int choice, const char *text,
                size_t n_bytes)
{
    struct seen *seen = context;
    (void)request;
    CHECK_EQ(choice, 0);
    CHECK_EQ((long long)strlen(text), (long long)n_bytes);
    CHECK(seen->n + n_bytes < sizeof seen->text);
    memcpy(seen->text + seen->n, text, n_bytes + 1);
    seen->n += n_bytes;
    if (seen->cancel != NULL)
        phalanx_cancel(seen->cancel);
    return ++seen->n_calls != seen->most_calls;
}

TEST(a_stream_has_the_text_of_the_answer)
{
    struct seen seen = {0};
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_ask(model, PROMPT, GREEDY, see, &seen, &err);
    CHECK(r != NULL && !phalanx_is_done(r));
    CHECK(phalanx_wait(r, &err) && phalanx_is_done(r));
    CHECK(seen.n_calls > 1);
    CHECK_STR(phalanx_text(r, 0, NULL), seen.text);
    CHECK_STR(phalanx_finish_reason(r, 0), "length");
    size_t n;
    CHECK(phalanx_tokens(r, 0, &n) != NULL);
    CHECK_EQ(n, 12);
    CHECK_EQ(phalanx_usage(r).completion_tokens, 12);
    CHECK(phalanx_usage(r).prompt_tokens > 0);
    expect_text(model, seen.text);
    phalanx_release(r);
    phalanx_close(model);
}

TEST(the_rest_of_a_stream_can_be_refused)
{
    struct seen seen = {.most_calls = 3};
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_ask(model, PROMPT, LONG, see, &seen, &err);
    CHECK(r != NULL && phalanx_wait(r, &err));
    CHECK_EQ(seen.n_calls, 3);
    CHECK_STR(phalanx_text(r, 0, NULL), seen.text);
    CHECK_STR(phalanx_finish_reason(r, 0), "abort");
    phalanx_release(r);
    phalanx_close(model);
}

TEST(a_cancelled_request_is_done_and_others_go_on)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *a = phalanx_ask(model, PROMPT, LONG, NULL, NULL, &err);
    struct phalanx_request *b = phalanx_ask(model, PROMPT, GREEDY, NULL, NULL, &err);
    CHECK(a != NULL && b != NULL);
    phalanx_cancel(a);
    CHECK(phalanx_is_done(a) && phalanx_wait(a, &err));
    CHECK_STR(phalanx_finish_reason(a, 0), "abort");
    CHECK(phalanx_run(model, &err));
    CHECK_STR(phalanx_finish_reason(b, 0), "length");
    phalanx_release(a);
    phalanx_release(b);
    phalanx_close(model);
}

TEST(a_stream_may_cancel_another_request)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *a = phalanx_ask(model, PROMPT, LONG, NULL, NULL, &err);
    struct seen seen = {.cancel = a};
    struct phalanx_request *b = phalanx_ask(model, PROMPT, GREEDY, see, &seen, &err);
    CHECK(a != NULL && b != NULL && phalanx_run(model, &err));
    CHECK_STR(phalanx_finish_reason(a, 0), "abort");
    CHECK_STR(phalanx_text(b, 0, NULL), seen.text);
    phalanx_close(model); /* frees both */
}

TEST(several_choices_are_told_apart)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r =
        phalanx_generate(model, PROMPT, "{\"n\": 3, \"seed\": 7, \"max_tokens\": 8}", &err);
    CHECK(r != NULL);
    CHECK_EQ(phalanx_choices(r), 3);
    CHECK(strcmp(phalanx_text(r, 0, NULL), phalanx_text(r, 1, NULL)) != 0);
    CHECK_STR(phalanx_text(r, 3, NULL), "");
    CHECK(phalanx_finish_reason(r, -1) == NULL);
    phalanx_release(r);
    phalanx_close(model);
}

TEST(steps_come_to_the_same_end)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_ask(model, PROMPT, GREEDY, NULL, NULL, &err);
    CHECK(r != NULL);
    while (!phalanx_is_done(r))
        CHECK(phalanx_step(model, 50, &err));
    CHECK(phalanx_step(model, 0, &err));
    expect_text(model, phalanx_text(r, 0, NULL));
    phalanx_close(model);
}

TEST(a_chat_is_answered)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r =
        phalanx_chat(model, "[{\"role\": \"user\", \"content\": \"Hi\"}]", GREEDY, &err);
    CHECK(r != NULL);
    CHECK(*phalanx_text(r, 0, NULL) != '\0');
    phalanx_release(r);
    phalanx_close(model);
}

TEST(an_embedding_has_length_1)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_measure(model, PHALANX_EMBED, PROMPT, NULL, &err);
    size_t n;
    double sum = 0;
    CHECK(r != NULL);
    const float *value = phalanx_values(r, &n);
    CHECK(n > 1);
    for (size_t i = 0; i < n; i++)
        sum += (double)value[i] * (double)value[i];
    CHECK(fabs(sum - 1) < 1e-5);
    CHECK_EQ(phalanx_choices(r), 0);
    phalanx_release(r);
    r = phalanx_measure(model, PHALANX_SCORE, PROMPT, PROMPT, &err);
    CHECK(r != NULL);
    value = phalanx_values(r, &n);
    CHECK_EQ(n, 1);
    CHECK(fabs((double)value[0] - 1) < 1e-5);
    phalanx_release(r);
    CHECK(phalanx_measure(model, PHALANX_CLASSIFY, PROMPT, NULL, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_UNSUPPORTED);
    phalanx_close(model);
}

/* ---- several models ---- */

TEST(two_models_in_one_thread_do_not_mix)
{
    const char *const two_ranks[] = {"--tensor-parallel-size=2"};
    struct phalanx_model *a = open_demo();
    struct phalanx_model *b = phalanx_open(DEMO, two_ranks, 1, &err);
    CHECK(b != NULL);
    CHECK(strstr(phalanx_about(b), "tp 2") != NULL);
    CHECK(phalanx_max_model_len(a) > 0);
    struct phalanx_request *of_a = phalanx_ask(a, PROMPT, GREEDY, NULL, NULL, &err);
    struct phalanx_request *of_b = phalanx_ask(b, PROMPT, GREEDY, NULL, NULL, &err);
    CHECK(phalanx_run(b, &err) && phalanx_is_done(of_b) && !phalanx_is_done(of_a));
    CHECK(phalanx_run(a, &err));
    CHECK_STR(phalanx_text(of_a, 0, NULL), phalanx_text(of_b, 0, NULL));
    phalanx_close(a);
    expect_text(b, phalanx_text(of_b, 0, NULL));
    phalanx_close(b);
}

static void *answer_in_thread(void *context)
{
    struct phalanx_error why;
    struct phalanx_model *model = phalanx_open(DEMO, NULL, 0, &why);
    struct phalanx_request *r =
        model != NULL ? phalanx_generate(model, PROMPT, GREEDY, &why) : NULL;
    if (r != NULL)
        snprintf(context, 256, "%s", phalanx_text(r, 0, NULL));
    phalanx_close(model);
    return NULL;
}

TEST(two_threads_have_a_model_each)
{
    char text[2][256] = {"", ""};
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&thread[i], NULL, answer_in_thread, text[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    CHECK(text[0][0] != '\0');
    CHECK_STR(text[0], text[1]);
}

/* ---- a guest in the program ---- */

TEST(signals_stay_as_the_program_has_them)
{
    static const int numbers[] = {SIGPIPE, SIGINT, SIGTERM, SIGCHLD, SIGHUP, SIGABRT};
    struct phalanx_model *model = open_demo();
    expect_text(model, phalanx_text(phalanx_generate(model, PROMPT, GREEDY, &err), 0, NULL));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction now;
        CHECK_EQ(sigaction(numbers[i], NULL, &now), 0);
        CHECK(now.sa_handler == SIG_DFL);
    }
    phalanx_close(model);
}

static int children(pid_t out[64])
{
    char path[64];
    int n = 0, pid;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "r");
    while (file != NULL && n < 64 && fscanf(file, "%d", &pid) == 1)
        out[n++] = pid;
    if (file != NULL)
        fclose(file);
    return n;
}

TEST(lost_ranks_are_an_error_and_no_signal)
{
    const char *const options[] = {"--max-restarts=0"};
    pid_t pid[64];
    struct phalanx_model *model = phalanx_open(DEMO, options, 1, &err);
    CHECK(model != NULL);
    struct phalanx_request *r = phalanx_ask(model, PROMPT, LONG, NULL, NULL, &err);
    const int n = children(pid);
    if (n == 0)
        SKIP("this system does not list children");
    for (int i = 0; i < n; i++)
        kill(pid[i], SIGKILL);
    CHECK(!phalanx_run(model, &err));
    CHECK_EQ(err.kind, PHALANX_ERROR_PEER);
    CHECK(phalanx_is_done(r) && !phalanx_wait(r, &err));
    CHECK_EQ(err.kind, PHALANX_ERROR_PEER);
    CHECK(phalanx_generate(model, PROMPT, GREEDY, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_PEER);
    phalanx_close(model);
}

TEST(ranks_that_are_started_again_go_on_with_the_answer)
{
    pid_t pid[64];
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_ask(model, PROMPT, LONG, NULL, NULL, &err);
    const int n = children(pid);
    if (n == 0)
        SKIP("this system does not list children");
    for (int i = 0; i < n; i++)
        kill(pid[i], SIGKILL);
    CHECK(phalanx_run(model, &err) && phalanx_wait(r, &err));
    struct phalanx_request *again = phalanx_generate(model, PROMPT, LONG, &err);
    CHECK(again != NULL);
    CHECK_STR(phalanx_text(r, 0, NULL), phalanx_text(again, 0, NULL));
    phalanx_close(model);
}

TEST(a_program_that_ignores_its_children_can_close)
{
    signal(SIGCHLD, SIG_IGN);
    struct phalanx_model *model = open_demo();
    phalanx_close(model);
    signal(SIGCHLD, SIG_DFL);
}
