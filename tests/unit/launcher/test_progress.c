#include "launcher/job/replica.h"
#include "launcher/loading_bar.h"
#include "launcher/progress.h"
#include "tests/files.h"
#include "tests/test.h"

#include <string.h>

enum { MB = 1000000 };
static char said[1024];

struct update {
    struct progress *progress;
    size_t done;
    uint64_t n_tokens;
    int64_t now_ns;
};

static void update_one(void *context)
{
    const struct update *update = context;
    progress_update_at(update->progress, update->done, update->n_tokens, update->now_ns);
}

/* What is said of so much so many milliseconds after the begin. */
static const char *said_at(struct progress *progress, int ms, size_t done, uint64_t n_tokens)
{
    struct update update = {progress, done, n_tokens, progress->begin_ns + ms * 1000000LL};
    capture_stderr(said, sizeof said, update_one, &update);
    return said;
}

static void hide(void *progress) { progress_hide(progress); }

static const char *said_when_hidden(struct progress *progress)
{
    capture_stderr(said, sizeof said, hide, progress);
    return said;
}

/* Half a gigabyte of weights. */
static struct progress begin(bool is_terminal)
{
    struct progress progress;
    progress_begin_bytes(&progress, "weights", false);
    progress.total = 500 * MB;
    progress.is_terminal = is_terminal;
    return progress;
}

TEST(elsewhere_than_on_a_terminal_every_tenth_is_a_line)
{
    struct progress progress = begin(false);
    CHECK_STR(said_at(&progress, 1000, 49 * MB, 0), "");
    CHECK_STR(said_at(&progress, 1000, 50 * MB, 0),
              "phalanx: loading, 10 %: 50.0 MB of 500 MB of weights, 50.0 MB/s, 0:09 left\n");
    CHECK_STR(said_at(&progress, 1500, 60 * MB, 0), "");
    CHECK_STR(said_at(&progress, 2000, 240 * MB, 0),
              "phalanx: loading, 40 %: 240 MB of 500 MB of weights, 120 MB/s, 0:02 left\n");
    CHECK_STR(said_at(&progress, 3000, 500 * MB, 0), "");
}

TEST(a_line_of_other_things_has_their_number_and_tokens)
{
    struct progress progress;
    progress_begin(&progress, "prompts", 10, false);
    progress.is_terminal = false;
    CHECK_STR(said_at(&progress, 2000, 5, 100), "50 %: 5/10 prompts, 50 tokens/s, 0:02 left\n");
}

TEST(what_is_loaded_within_half_a_second_shows_nothing)
{
    for (int is_terminal = 0; is_terminal < 2; is_terminal++) {
        struct progress progress = begin(is_terminal);
        CHECK_STR(said_at(&progress, 100, 400 * MB, 0), "");
        CHECK_STR(said_at(&progress, 499, 499 * MB, 0), "");
        CHECK_STR(said_when_hidden(&progress), "");
    }
}

/* Behind the last column, so that what another process writes begins on the next line. */
#define BEHIND "\033[999C "

TEST(a_terminal_shows_a_bar_that_is_drawn_again_every_fifth_of_a_second)
{
    struct progress progress = begin(true);
    CHECK_STR(said_at(&progress, 500, 200 * MB, 0),
              "\r\033[K[#########...............] 200 MB of 500 MB of weights, 400 MB/s, "
              "0:01 left" BEHIND);
    CHECK_STR(said_at(&progress, 699, 260 * MB, 0), "");
    CHECK_STR(said_at(&progress, 700, 500 * MB, 0),
              "\r\033[K[########################] 500 MB of 500 MB of weights, 714 MB/s" BEHIND);
}

TEST(a_bar_that_was_taken_away_comes_again_at_once)
{
    struct progress progress = begin(true);
    CHECK(strstr(said_at(&progress, 500, 250 * MB, 0), "[####") != NULL);
    CHECK_STR(said_when_hidden(&progress), "\r\033[K");
    CHECK_STR(said_when_hidden(&progress), "");
    CHECK(strstr(said_at(&progress, 501, 250 * MB, 0), "[####") != NULL);
}

TEST(quiet_is_quiet)
{
    struct progress progress = begin(true);
    progress.quiet = true;
    CHECK_STR(said_at(&progress, 1000, 250 * MB, 0), "");
    progress.is_terminal = false;
    CHECK_STR(said_at(&progress, 1000, 250 * MB, 0), "");
}

static const struct replica replicas[2] = {{.loading = {.done = 50 * MB, .all = 300 * MB}},
                                           {.loading = {.done = 200 * MB, .all = 200 * MB}}};

static void show(void *bar) { loading_bar_show(bar, replicas, 2); }

TEST(bytes_are_those_of_all_replicas_from_the_first_that_is_known)
{
    static const struct replica unknown = {0};
    struct loading_bar bar;
    loading_bar_begin(&bar, false);
    loading_bar_show(&bar, &unknown, 1);
    CHECK(!bar.has_begun);
    capture_stderr(said, sizeof said, show, &bar);
    CHECK_STR(said, "");
    bar.progress.is_terminal = false;
    bar.progress.begin_ns -= 1000000000;
    capture_stderr(said, sizeof said, show, &bar);
    CHECK(strstr(said, "phalanx: loading, 50 %: 250 MB of 500 MB of weights, ") == said);
}
