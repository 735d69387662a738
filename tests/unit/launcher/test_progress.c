#include "launcher/job/replica.h"
#include "launcher/loading_bar.h"
#include "launcher/progress.h"
#include "tests/files.h"
#include "tests/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

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

/* What a terminal of so many columns is sent in the middle of all. */
static const char *said_on(unsigned short columns)
{
    const struct winsize size = {.ws_row = 24, .ws_col = columns};
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY), before = dup(STDERR_FILENO);
    CHECK(terminal >= 0 && before >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    const int screen = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    CHECK(screen >= 0 && ioctl(screen, TIOCSWINSZ, &size) == 0);
    struct progress progress = begin(true);
    CHECK(dup2(screen, STDERR_FILENO) >= 0);
    progress_update_at(&progress, 250 * MB, 0, progress.begin_ns + 1000000000);
    CHECK(dup2(before, STDERR_FILENO) >= 0);
    const ssize_t n = read(terminal, said, sizeof said - 1);
    CHECK(n > 0);
    said[n] = '\0';
    close(before);
    close(screen);
    close(terminal);
    return said;
}

TEST(a_bar_is_never_longer_than_the_line)
{
    CHECK_STR(said_on(76), "\r\033[K[############............] 250 MB of 500 MB of weights, 250 "
                           "MB/s, 0:01 left" BEHIND);
    CHECK_STR(said_on(75), "\r\033[K250 MB of 500 MB of weights, 250 MB/s, 0:01 left" BEHIND);
    CHECK_STR(said_on(20), "\r\033[K250 MB of 500 MB of" BEHIND);
}

static void end_half_way(void *progress) { progress_end(progress, 5, 100); }

TEST(the_last_line_of_what_was_stopped_has_no_time_that_is_left)
{
    static const char want[] = "5/10 prompts, 50 tokens/s, 0:02 in all\n";
    said[0] = '\0';
    for (int i = 0; i < 5 && strcmp(said, want) != 0; i++) { /* it may be a longer time */
        struct progress progress;
        progress_begin(&progress, "prompts", 10, false);
        progress.begin_ns -= 2000000000;
        capture_stderr(said, sizeof said, end_half_way, &progress);
    }
    CHECK_STR(said, want);
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
