/* libphalanx: several at once, waits and their ends. */
#include "base/system.h"
#include "tests/library/demo.h"
#include "tests/test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

/* ---- a loop of the program ---- */

TEST(a_loop_over_the_file_comes_to_the_same_end)
{
    struct phalanx_model *model = open_demo();
    struct pollfd file = {.fd = phalanx_fd(model), .events = POLLIN};
    struct phalanx_request *r = phalanx_ask(model, PROMPT, GREEDY, NULL, NULL, &err);
    CHECK(r != NULL && file.fd >= 0);
    while (!phalanx_is_done(r)) {
        CHECK_EQ(poll(&file, 1, 10000), 1);
        CHECK(phalanx_step(model, 0, &err));
        CHECK_EQ(phalanx_fd(model), file.fd);
    }
    expect_text(model, phalanx_text(r, 0, NULL));
    phalanx_close(model);
}

TEST(the_file_of_an_idle_model_is_quiet)
{
    struct phalanx_model *model = open_demo();
    struct pollfd file = {.fd = phalanx_fd(model), .events = POLLIN};
    const int64_t begin_ns = clock_now_ns();
    for (int n_looks = 0; n_looks < 3; n_looks++) { /* at the ranks */
        CHECK_EQ(poll(&file, 1, 10000), 1);
        CHECK(phalanx_step(model, 0, &err));
    }
    CHECK(clock_now_ns() - begin_ns > 150000000); /* and no spinning */
    phalanx_close(model);
}

TEST(the_file_is_the_same_when_ranks_are_started_again)
{
    struct phalanx_model *model = open_demo();
    struct pollfd file = {.fd = phalanx_fd(model), .events = POLLIN};
    struct phalanx_request *r = phalanx_ask(model, PROMPT, LONG, NULL, NULL, &err);
    kill_ranks();
    while (!phalanx_is_done(r)) {
        CHECK_EQ(poll(&file, 1, 10000), 1);
        CHECK(phalanx_step(model, 0, &err));
    }
    CHECK(phalanx_wait(r, &err));
    CHECK_EQ(phalanx_fd(model), file.fd);
    phalanx_close(model);
}

TEST(what_has_ended_is_told_once_and_in_order)
{
    int first = 1, second = 2;
    struct phalanx_model *model = open_demo();
    struct phalanx_request *a = phalanx_ask(model, PROMPT, LONG, NULL, &first, &err);
    struct phalanx_request *b = phalanx_ask(model, PROMPT, GREEDY, NULL, NULL, &err);
    struct phalanx_request *c = phalanx_ask(model, PROMPT, GREEDY, NULL, NULL, &err);
    phalanx_set_context(b, &second);
    CHECK(phalanx_next_done(model) == NULL);
    phalanx_cancel(c);
    CHECK(phalanx_next_done(model) == c);
    CHECK(phalanx_run(model, &err));
    struct phalanx_request *r = phalanx_next_done(model);
    CHECK(r == b && phalanx_context(r) == &second);
    r = phalanx_next_done(model);
    CHECK(r == a && phalanx_context(r) == &first);
    CHECK(phalanx_next_done(model) == NULL);
    phalanx_close(model);
}

TEST(what_was_released_is_not_told)
{
    struct phalanx_model *model = open_demo();
    for (int i = 0; i < 3; i++) {
        struct phalanx_request *r[3];
        for (int k = 0; k < 3; k++) {
            r[k] = phalanx_ask(model, PROMPT, LONG, NULL, NULL, &err);
            phalanx_cancel(r[k]);
        }
        phalanx_release(r[i]);
        CHECK(phalanx_next_done(model) == r[i == 0 ? 1 : 0]);
        CHECK(phalanx_next_done(model) == r[i == 2 ? 1 : 2]);
        CHECK(phalanx_next_done(model) == NULL);
    }
    phalanx_close(model);
}

/* ---- a start that nobody waits for ---- */

TEST(a_model_can_be_started_without_waiting)
{
    struct phalanx_model *model = phalanx_begin(DEMO, NULL, 0, &err);
    CHECK(model != NULL && !phalanx_is_ready(model));
    CHECK(phalanx_ask(model, PROMPT, GREEDY, NULL, NULL, &err) == NULL);
    CHECK_STR(err.code, "not_ready");
    CHECK(phalanx_tokenize(model, PROMPT, 0, NULL, &err) == NULL);
    CHECK_STR(phalanx_about(model), "");
    struct pollfd file = {.fd = phalanx_fd(model), .events = POLLIN};
    while (!phalanx_is_ready(model)) {
        CHECK_EQ(poll(&file, 1, 10000), 1);
        CHECK(phalanx_step(model, 0, &err));
    }
    struct phalanx_model *waited = open_demo();
    CHECK_STR(phalanx_about(model), phalanx_about(waited));
    struct phalanx_request *r = phalanx_generate(model, PROMPT, GREEDY, &err);
    CHECK(r != NULL);
    expect_text(waited, phalanx_text(r, 0, NULL));
    phalanx_close(model);
    phalanx_close(waited);
}

TEST(a_model_can_be_closed_while_it_starts)
{
    struct phalanx_model *model = phalanx_begin(DEMO, NULL, 0, &err);
    CHECK(phalanx_step(model, 0, &err));
    CHECK(close_and_see(model) != -SIGKILL); /* which comes when the time for an end is over */
}

TEST(a_start_can_be_interrupted_and_gone_on_with)
{
    struct phalanx_model *model = phalanx_begin(DEMO, NULL, 0, &err);
    phalanx_interrupt(model);
    CHECK(!phalanx_run(model, &err));
    CHECK_EQ(err.kind, PHALANX_ERROR_INTERRUPTED);
    CHECK(phalanx_run(model, &err) && phalanx_is_ready(model));
    phalanx_close(model);
}

TEST(a_start_that_comes_to_nothing_is_told)
{
    const char *const options[] = {"--kv-cache-memory-bytes=1k"};
    CHECK(phalanx_open(DEMO, options, 1, &err) == NULL);
    CHECK(err.kind != PHALANX_NO_ERROR && *err.text != '\0');
    struct phalanx_model *model = phalanx_begin(DEMO, options, 1, &err);
    err = (struct phalanx_error){0};
    CHECK(!phalanx_run(model, &err)); /* or NULL, where the ranks were faster than this thread */
    CHECK(err.kind != PHALANX_NO_ERROR);
    CHECK(!phalanx_run(model, &err) && !phalanx_is_ready(model)); /* still so */
    phalanx_close(model);
}

/* ---- threads ---- */

static void *run_in_thread(void *model) { return phalanx_run(model, NULL) ? model : NULL; }

TEST(a_model_can_be_run_by_another_thread_than_asks)
{
    pthread_t thread;
    void *ran;
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_ask(model, PROMPT, GREEDY, NULL, NULL, &err);
    CHECK_EQ(pthread_create(&thread, NULL, run_in_thread, model), 0);
    pthread_join(thread, &ran);
    CHECK(ran == model && phalanx_is_done(r));
    expect_text(model, phalanx_text(r, 0, NULL));
    phalanx_close(model);
}

/* ---- interrupts ---- */

static void *interrupt(void *model)
{
    phalanx_interrupt(model);
    return NULL;
}

/* A text function: in the middle of the answer, by another thread. */
static bool interrupt_by_thread(void *model, struct phalanx_request *request, int choice,
                                const char *text, size_t n_bytes)
{
    pthread_t thread;
    size_t n;
    (void)choice, (void)text, (void)n_bytes;
    phalanx_tokens(request, 0, &n);
    if (n == 5) {
        CHECK_EQ(pthread_create(&thread, NULL, interrupt, model), 0);
        pthread_join(thread, NULL);
    }
    return true;
}

TEST(another_thread_can_interrupt_a_wait_that_goes_on_afterwards)
{
    struct phalanx_model *model = open_demo();
    const char *parameters = "{\"temperature\": 0, \"max_tokens\": 1500, \"ignore_eos\": true}";
    struct phalanx_request *r =
        phalanx_ask(model, PROMPT, parameters, interrupt_by_thread, model, &err);
    CHECK(!phalanx_wait(r, &err));
    CHECK_EQ(err.kind, PHALANX_ERROR_INTERRUPTED);
    CHECK_STR(err.code, "interrupted");
    CHECK(!phalanx_is_done(r));
    CHECK(phalanx_wait(r, &err));
    CHECK_STR(phalanx_finish_reason(r, 0), "length");
    phalanx_close(model);
}

TEST(an_interrupt_that_comes_with_the_end_is_for_the_next_wait)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_ask(model, PROMPT, GREEDY, NULL, NULL, &err);
    system_sleep_ns(300000000); /* so that all of the answer is there; if not, this passes, too */
    phalanx_interrupt(model);
    const bool was_done = phalanx_wait(r, &err);
    struct phalanx_request *next = phalanx_ask(model, PROMPT, GREEDY, NULL, NULL, &err);
    CHECK_EQ(phalanx_wait(next, &err), !was_done);
    CHECK(phalanx_wait(next, &err) && phalanx_wait(r, &err));
    phalanx_close(model);
}

static const struct phalanx_model *signalled;
static void on_signal(int number)
{
    (void)number;
    phalanx_interrupt(signalled);
}

TEST(a_signal_handler_can_interrupt)
{
    struct phalanx_model *model = open_slow_demo();
    struct phalanx_request *r = phalanx_ask(model, PROMPT, ENDLESS, NULL, NULL, &err);
    signalled = model;
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    raise(SIGUSR1); /* both are one */
    CHECK(!phalanx_run(model, &err));
    CHECK_EQ(err.kind, PHALANX_ERROR_INTERRUPTED);
    raise(SIGUSR1);
    CHECK(phalanx_step(model, 5000, &err)); /* returns, and that was the interrupt */
    struct phalanx_request *next = phalanx_ask(model, PROMPT, GREEDY, NULL, NULL, &err);
    CHECK(phalanx_wait(next, &err));
    phalanx_cancel(r);
    signal(SIGUSR1, SIG_DFL);
    phalanx_close(model);
}

TEST(a_signal_alone_interrupts_nothing)
{
    struct phalanx_model *model = open_demo();
    struct itimerspec often = {.it_value.tv_nsec = 1000000, .it_interval.tv_nsec = 1000000};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;
    signalled = NULL;
    signal(SIGUSR1, on_signal);
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    CHECK_EQ(timer_settime(timer, 0, &often, NULL), 0);
    struct phalanx_request *r = phalanx_generate(model, PROMPT, LONG, &err);
    timer_delete(timer);
    signal(SIGUSR1, SIG_DFL);
    CHECK(r != NULL);
    phalanx_close(model);
}
