#include "launcher/session.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/bytes_text.h"
#include "runtime/gateway/journal.h"
#include "runtime/link/engine_link.h"
#include "runtime/model/config.h"
#include "runtime/model/share.h"
#include "runtime/options/options.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { LOOK_MS = 200 }; /* at signals, and whether ranks are stopped */
_Static_assert((int)OPTIONS_MAX_REPLICAS <= (int)JOURNAL_MAX_ENGINES, "each replica is an engine");

/* ---- replicas ---- */

static void take_ready(struct session *session, const struct link_ready *ready)
{
    const int n = session->n_replicas;
    const int max_num_seqs = ready->max_num_seqs > 0 ? ready->max_num_seqs : 1;
    char copies[24] = "", memory[BYTES_TEXT], computes[96];
    if (n > 1)
        snprintf(copies, sizeof copies, "dp %d x ", n);
    session->model_mark = ready->model_mark;
    session->vocab = ready->vocab;
    session->max_model_len = ready->max_model_len;
    session->max_num_seqs = n * max_num_seqs;
    session->n_labels = ready->n_labels;
    session->hidden_size = ready->hidden_size;
    session->n_threads = ready->threads * ready->tp * ready->pp;
    session->weight_bytes = ready->weight_bytes;
    session->kv_tokens = ready->kv_tokens;
    session->tp = ready->tp;
    session->pp = ready->pp;
    snprintf(session->dtype, sizeof session->dtype, "%s", ready->dtype);
    snprintf(session->gpu, sizeof session->gpu, "%s", ready->gpu);
    if (*ready->gpu != '\0')
        snprintf(computes, sizeof computes, "%s", ready->gpu);
    else
        snprintf(computes, sizeof computes, "%d thread%s a rank, %s kernels", ready->threads,
                 ready->threads == 1 ? "" : "s", ready->kernels);
    snprintf(session->about, sizeof session->about,
             "%s, %stp %d x pp %d, %s, %s, context %d, %s of memory", ready->dtype, copies,
             ready->tp, ready->pp, computes, ready->comm, ready->max_model_len,
             bytes_text(memory, n * ready->memory_bytes));
}

/* Requests in flight were made for the model that was there at first, and so are their answers. */
static bool is_the_same(const struct session *session, const struct link_ready *ready)
{
    return session->vocab == 0 || /* this is the first */
           (ready->model_mark == session->model_mark && ready->vocab == session->vocab &&
            ready->max_model_len == session->max_model_len &&
            strcmp(ready->dtype, session->dtype) == 0);
}

/* One line for the user, on standard error, where the bar of others that load may be. */
static void tell_loss(struct session *session, const struct replica *replica, size_t n_going_on)
{
    char which[32] = "", rest[64] = "";
    char text[sizeof replica->why.text + sizeof which + sizeof rest + 48];
    if (session->n_replicas > 1)
        snprintf(which, sizeof which, "replica %d: ", (int)(replica - session->replica) + 1);
    if (n_going_on > 0)
        snprintf(rest, sizeof rest, "; %zu answer%s where %s", n_going_on,
                 n_going_on == 1 ? " goes on" : "s go on",
                 n_going_on == 1 ? "it was" : "they were");
    snprintf(text, sizeof text, "%s%s: %s%s", which, replica->why.text,
             replica->state == REPLICA_DOWN ? "starting the ranks again"
                                            : "these ranks are not started again",
             rest);
    loading_bar_hide(&session->bar);
    log_note(LOG_WARN, "phalanx", text);
}

static bool all_ready(const struct session *session)
{
    for (int i = 0; i < session->n_replicas; i++)
        if (session->replica[i].state != REPLICA_READY)
            return false;
    return true;
}

static bool any_left(const struct session *session)
{
    for (int i = 0; i < session->n_replicas; i++)
        if (session->replica[i].state != REPLICA_GONE)
            return true;
    return false;
}

/* A replica is gone for good. False when the session is, too. */
static bool go_without(struct session *session, struct replica *replica, struct error *err)
{
    const struct restarts *restarts = &replica->restarts;
    if (session->is_open && any_left(session)) {
        tell_loss(session, replica, 0);
        return true;
    }
    *err = replica->why;
    if (restarts->n > 0 && restarts->n >= restarts->most)
        error_in(err, "the ranks were started again %d times and came to nothing", restarts->n);
    dispatch_fail_all(session->dispatch, err);
    return false;
}

static bool step_replica(struct session *session, int i, struct error *err)
{
    struct replica *replica = &session->replica[i];
    struct link_ready about;
    bool ready;
    const enum replica_state before = replica->state;
    const bool was_heard = replica->link != NULL;
    replica_step(replica, session->options, session->model_folder, &ready, &about);
    if (before != REPLICA_READY || replica->state != REPLICA_READY)
        session->n_changes++;
    if (!session->is_open && !was_heard && replica->link != NULL)
        session->times.connected_ns = clock_now_ns();
    if (ready && !is_the_same(session, &about)) {
        const struct error why = {.kind = ERROR_INPUT,
                                  .text = "the model is another one than before: its folder has "
                                          "changed since the ranks were started"};
        replica_lose(replica, &why, false);
        return true;
    }
    if (ready && !session->is_open)
        take_ready(session, &about);
    if (ready)
        dispatch_attach(session->dispatch, i, replica->link);
    if (replica->state == before)
        return true;
    if (replica->state == REPLICA_DOWN)
        tell_loss(session, replica, replica->n_going_on);
    return replica->state != REPLICA_GONE || go_without(session, replica, err);
}

/* What a ready one has to say; its end is no error here. */
static void hear_replica(struct session *session, int i, size_t at_most)
{
    struct replica *replica = &session->replica[i];
    struct error why = {0};
    if (replica->state != REPLICA_READY ||
        (dispatch_take(session->dispatch, i, at_most, &why) && !replica_hangs(replica, &why)))
        return;
    const struct dispatch_loss loss = dispatch_detach(session->dispatch, i);
    replica_lose(replica, &why, loss.was_heard);
    session->n_changes++;
    replica->n_going_on = loss.n_going_on;
}

/* ---- rounds ---- */

/* One round: what is there of every replica. */
static bool step(struct session *session, size_t at_most, struct error *err)
{
    dispatch_expire(session->dispatch, clock_now_ns());
    for (int i = 0; i < session->n_replicas; i++) {
        if (!step_replica(session, i, err))
            return false;
        hear_replica(session, i, at_most);
    }
    session->is_open = session->is_open || all_ready(session);
    return true;
}

/* No replica is left, and none will come. */
static bool is_lost(const struct session *session, struct error *err)
{
    if (any_left(session))
        return false;
    *err = session->replica[0].why;
    dispatch_fail_all(session->dispatch, err);
    return true;
}

bool session_step(struct session *session, struct error *err)
{
    return step(session, 0, err) && !is_lost(session, err);
}

void session_watch(struct session *session, struct pollfd *out, int *n, int64_t *until_ns)
{
    const int64_t look_ns = clock_now_ns() + (int64_t)LOOK_MS * 1000000;
    const int64_t deadline_ns = dispatch_next_deadline(session->dispatch);
    *n = 0;
    *until_ns = deadline_ns < look_ns ? deadline_ns : look_ns;
    for (int i = 0; i < session->n_replicas; i++) {
        const struct replica *replica = &session->replica[i];
        const bool is_timed = replica->state == REPLICA_DOWN || replica->state == REPLICA_ENDING;
        *n += replica_watch(replica, out + *n);
        if (replica->state == REPLICA_READY)
            out[(*n)++] = (struct pollfd){
                .fd = link_fd(replica->link),
                .events = (short)(POLLIN | (dispatch_flush(session->dispatch, i) ? 0 : POLLOUT))};
        if (replica->state == REPLICA_READY && dispatch_has_more(session->dispatch, i))
            *until_ns = 0; /* long ago: at once */
        if (is_timed && replica->until_ns < *until_ns)
            *until_ns = replica->until_ns;
    }
}

/* A signal between the look at *interrupt and poll() is seen when the time is over. */
static bool wait_for_more(struct session *session, struct error *err)
{
    struct pollfd fd[SESSION_MAX_WATCHED];
    int64_t until_ns;
    int n;
    if (*session->interrupt)
        return error_set(err, ERROR_LIMIT, "interrupted");
    session_watch(session, fd, &n, &until_ns);
    const int64_t left_ns = until_ns - clock_now_ns();
    return poll(fd, (nfds_t)n, left_ns > 0 ? (int)(left_ns / 1000000) + 1 : 0) >= 0 ||
           errno == EINTR || error_errno(err, "waiting for the ranks");
}

bool session_run(struct session *session, size_t at_most, struct error *err)
{
    while (dispatch_in_flight(session->dispatch) > at_most) {
        if (!step(session, at_most, err))
            return false;
        if (dispatch_in_flight(session->dispatch) <= at_most)
            break; /* that is enough, whatever became of the ranks */
        if (is_lost(session, err) || !wait_for_more(session, err))
            return false;
    }
    return true;
}

/* ---- open and close ---- */

bool session_check(const struct options *options, const char *model_folder, struct error *err)
{
    struct model_config config;
    if (options->data_parallel_size > 1 && options->record != NULL)
        return error_set(err, ERROR_INPUT,
                         "--record is of one engine: it goes without --data-parallel-size");
    return model_config_read(&config, model_folder, err) &&
           model_tp_check(&config, (int)options->tensor_parallel_size, err) &&
           model_pp_check(&config, (int)options->pipeline_parallel_size, err);
}

/* A job that writes a record would replace it when it is started again. */
static int most_restarts(const struct options *options)
{
    return options->record == NULL && options->engine_fd == 0 ? (int)options->max_restarts : 0;
}

static bool start_replicas(struct session *session, struct error *err)
{
    const int fd = session->options->engine_fd;
    bool good = true;
    for (int i = 0; good && i < session->n_replicas; i++) {
        session->replica[i].number = i;
        session->replica[i].restarts.most = most_restarts(session->options);
        if (fd > 0)
            replica_adopt(&session->replica[i], fd);
        good = step_replica(session, i, err);
    }
    return good;
}

bool session_begin(struct session *out, const struct options *options, const char *model_folder,
                   const volatile sig_atomic_t *interrupt, struct error *err)
{
    *out =
        (struct session){.options = options, .interrupt = interrupt, .model_folder = model_folder};
    if (!session_check(options, model_folder, err))
        return false;
    out->times.begin_ns = clock_now_ns();
    out->n_replicas = (int)options->data_parallel_size;
    out->replica = memory_alloc((size_t)out->n_replicas, sizeof *out->replica);
    out->dispatch = dispatch_create(out->n_replicas);
    if (!start_replicas(out, err) || !intake_open(&out->intake, model_folder, err))
        return false;
    out->times.text_ns = clock_now_ns();
    return true;
}

bool session_open(struct session *out, const struct options *options, const char *model_folder,
                  const volatile sig_atomic_t *interrupt, struct error *err)
{
    if (!session_begin(out, options, model_folder, interrupt, err))
        return false;
    bool good = true;
    loading_bar_begin(&out->bar, options->quiet);
    while (good && !out->is_open) {
        good = session_step(out, err) && (out->is_open || wait_for_more(out, err));
        loading_bar_show(&out->bar, out->replica, out->n_replicas);
    }
    loading_bar_hide(&out->bar);
    out->times.ready_ns = clock_now_ns();
    return good;
}

void session_close(struct session *session)
{
    dispatch_destroy(session->dispatch);
    replicas_close(session->replica, session->n_replicas, *session->interrupt != 0);
    memory_free(session->replica);
    intake_close(&session->intake);
}
