#include "launcher/job/replica.h"

#include "base/system.h"
#include "launcher/exit_code.h"
#include "runtime/link/engine_link.h"
#include "runtime/options/options.h"

#include <poll.h>

/* From the end of the link to that of the job, whose status tells more: mpirun takes about a second
 * to end ranks that are stuck. Where nothing is started again users wait for the error. */
static const int64_t LOST_GRACE_NS = 2500000000, LAST_GRACE_NS = 800000000;
/* For a start that fails: of ranks that never stood only the status says why. And for mpirun on
 * several hosts, beside the time limit of the ranks: it waits for ever for one that is silent. */
static const int64_t START_GRACE_NS = 10000000000;
static const int64_t END_GRACE_NS = 3000000000, HURRY_GRACE_NS = 400000000;
static const int64_t TERM_GRACE_NS = 1500000000, HURRY_TERM_GRACE_NS = 900000000;

/* As ranks look after each other. A look is a system call, and rounds come with every token. */
static const int64_t STOPPED_LIMIT_NS = 2000000000, LOOK_NS = 100000000;

static void be_gone(struct replica *replica, const struct error *why)
{
    replica->why = *why;
    replica->state = REPLICA_GONE;
}

static void start(struct replica *replica, const struct options *options, const char *model_folder)
{
    struct error err = {0};
    replica->loading = (struct link_loading){0};
    const int64_t limit_ns = START_GRACE_NS + options->distributed_timeout_seconds * 1000000000;
    if (job_start(&replica->job, options, model_folder, replica->number, &err)) {
        replica->state = REPLICA_STARTING;
    } else {
        job_end(&replica->job);
        be_gone(replica, &err);
    }
    replica->until_ns = replica->job.is_over_hosts ? clock_now_ns() + limit_ns : INT64_MAX;
}

void replica_adopt(struct replica *replica, int fd)
{
    replica->link = link_create(fd);
    replica->state = REPLICA_STARTING;
}

int replica_watch(const struct replica *replica, struct pollfd *out)
{
    int n = 0;
    const bool ends = replica->state == REPLICA_ENDING && replica->job.pid != 0;
    const bool connects = replica->state == REPLICA_STARTING && replica->link == NULL;
    if (replica->state == REPLICA_STARTING && replica->link != NULL)
        out[n++] = (struct pollfd){.fd = link_fd(replica->link), .events = POLLIN};
    if (connects)
        out[n++] = (struct pollfd){.fd = replica->job.listener, .events = POLLIN};
    if ((ends || connects) && replica->job.watch >= 0)
        out[n++] = (struct pollfd){.fd = replica->job.watch, .events = POLLIN};
    return n;
}

/* ---- an end ---- */

/* The error that the exit status of its job means; always false. mpirun tells nothing itself of
 * hosts that it could not use, and its status says little. */
static bool explain(const struct replica *replica, int status, struct error *err)
{
    job_failure(status, err);
    if (!replica->job.is_over_hosts || err->kind != ERROR_PEER)
        return false;
    *err = (struct error){0};
    if (replica->was_ready)
        return error_set(err, ERROR_PEER,
                         "mpirun ended with status %d: a rank was killed, or a host of --hostfile "
                         "no longer answers",
                         status);
    return error_set(
        err, ERROR_PEER,
        "mpirun ended with status %d before all ranks stood: every host of --hostfile must let it "
        "in (does ssh HOST true work without a question?), and must have this program and the "
        "model where this host has them",
        status);
}

void replica_lose(struct replica *replica, const struct error *why, bool progressed)
{
    link_destroy(replica->link);
    replica->link = NULL;
    replica->why = *why;
    replica->progressed = progressed;
    replica->n_going_on = 0;
    const bool again = why->kind == ERROR_PEER && replica->restarts.most > 0;
    const int64_t grace_ns = !replica->was_ready && why->kind == ERROR_PEER ? START_GRACE_NS
                             : again                                        ? LOST_GRACE_NS
                                                                            : LAST_GRACE_NS;
    replica->until_ns = clock_now_ns() + grace_ns;
    replica->state = REPLICA_ENDING;
}

bool replica_hangs(struct replica *replica, struct error *why)
{
    const int64_t now_ns = clock_now_ns();
    if (now_ns < replica->look_ns)
        return false;
    replica->look_ns = now_ns + LOOK_NS;
    if (!job_is_stopped(&replica->job))
        replica->stopped_ns = 0;
    else if (replica->stopped_ns == 0)
        replica->stopped_ns = now_ns;
    if (replica->stopped_ns == 0 || now_ns - replica->stopped_ns < STOPPED_LIMIT_NS)
        return false;
    replica->was_killed = true;
    job_signal(&replica->job, true);
    error_set(why, ERROR_PEER, "the rank was stopped, and did not go on for %lld s",
              (long long)(STOPPED_LIMIT_NS / 1000000000));
    return true;
}

/* Its job has ended, or SIGKILL cannot end it: again, or never? */
static void decide(struct replica *replica)
{
    job_release(&replica->job);
    const bool once_more = replica->was_ready && replica->why.kind == ERROR_PEER;
    if (once_more &&
        restarts_allow(&replica->restarts, clock_now_ns(), replica->progressed, &replica->until_ns))
        replica->state = REPLICA_DOWN;
    else
        be_gone(replica, &replica->why);
    replica->progressed = replica->was_killed = false;
    replica->stopped_ns = 0;
}

static void await_end(struct replica *replica)
{
    int status;
    const bool ended = job_has_ended(&replica->job, &status);
    const bool lives = !ended && replica->job.pid != 0;
    if (lives && clock_now_ns() < replica->until_ns)
        return;
    if (lives && !replica->was_killed) {
        replica->was_killed = true;
        job_signal(&replica->job, true);
        replica->until_ns = clock_now_ns() + (int64_t)JOB_KILL_GRACE_MS * 1000000;
        return;
    }
    if (ended && !replica->was_killed && replica->why.kind == ERROR_PEER &&
        status != EXIT_RANK_LOST) {
        replica->why = (struct error){0}; /* rank 0 does not know it better */
        explain(replica, status, &replica->why);
    } else if (replica->why.kind == ERROR_PEER) {
        error_in(&replica->why, "the ranks are lost");
    }
    decide(replica);
}

/* ---- a start ---- */

/* A job that ends without a link has told why on standard error; one that connected meanwhile has
 * left it in the link. */
static bool connect_link(struct replica *replica, struct error *err)
{
    int status, fd;
    const bool ended = job_has_ended(&replica->job, &status);
    if (!job_accept(&replica->job, &fd, err))
        return false;
    if (fd >= 0)
        replica->link = link_create(fd);
    if (replica->link != NULL)
        return true;
    if (ended)
        return explain(replica, status, err);
    return clock_now_ns() < replica->until_ns ||
           error_set(err, ERROR_PEER, "not all hosts of --hostfile have answered in time");
}

static bool hear_ready(struct replica *replica, bool *ready, struct link_ready *about,
                       struct error *err)
{
    struct link_event event;
    bool got = true;
    while (got && !*ready) {
        if (!link_receive_event(replica->link, &event, &got, err))
            return false;
        if (got && event.kind == LINK_FAILED) {
            *err = event.failure;
            return false;
        }
        if (got && event.kind == LINK_LOADING)
            replica->loading = event.loading;
        *ready = got && event.kind == LINK_READY;
    }
    if (*ready)
        *about = event.ready;
    return true;
}

static void go_on_starting(struct replica *replica, bool *ready, struct link_ready *about)
{
    struct error err = {0};
    if ((replica->link == NULL && !connect_link(replica, &err)) ||
        (replica->link != NULL && !hear_ready(replica, ready, about, &err))) {
        replica_lose(replica, &err, false);
        return;
    }
    if (!*ready)
        return;
    job_settle(&replica->job);
    replica->was_ready = true;
    replica->state = REPLICA_READY;
    restarts_note_ready(&replica->restarts, clock_now_ns());
}

void replica_step(struct replica *replica, const struct options *options, const char *model_folder,
                  bool *ready, struct link_ready *about)
{
    *ready = false;
    if (replica->state == REPLICA_DOWN && clock_now_ns() >= replica->until_ns)
        start(replica, options, model_folder);
    if (replica->state == REPLICA_STARTING)
        go_on_starting(replica, ready, about);
    if (replica->state == REPLICA_ENDING)
        await_end(replica);
}

/* ---- the end of all ---- */

static void ask_to_stop(struct replica *replica, bool hurry)
{
    const struct link_command stop = {.kind = LINK_STOP};
    struct error ignored = {0};
    bool all_sent;
    if (replica->link != NULL && link_send_command(replica->link, &stop, &ignored))
        link_flush(replica->link, &all_sent, &ignored);
    if (replica->link != NULL && hurry) {
        link_destroy(replica->link); /* do not wait for a step to end */
        replica->link = NULL;
    }
    if (replica->state != REPLICA_READY)
        job_signal(&replica->job, false);
}

void replicas_close(struct replica *replica, int n, bool hurry)
{
    const int64_t begin_ns = clock_now_ns();
    const int64_t term_ns = begin_ns + (hurry ? HURRY_GRACE_NS : END_GRACE_NS);
    const int64_t kill_ns = term_ns + (hurry ? HURRY_TERM_GRACE_NS : TERM_GRACE_NS);
    for (int i = 0; i < n; i++)
        ask_to_stop(&replica[i], hurry);
    for (int i = 0; i < n; i++)
        if (!job_ends_by(&replica[i].job, term_ns))
            job_signal(&replica[i].job, false);
    for (int i = 0; i < n; i++) {
        job_ends_by(&replica[i].job, kill_ns);
        job_end(&replica[i].job);
        link_destroy(replica[i].link);
        replica[i].link = NULL;
    }
}
