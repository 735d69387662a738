#include "launcher/session.h"

#include "base/error.h"
#include "launcher/rank_bytes.h"
#include "runtime/model/config.h"
#include "runtime/model/share.h"
#include "runtime/options/options.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { INTERRUPT_POLL_MS = 200 };
static const int64_t END_GRACE_NS = 3000000000;

static void take_ready(struct session *session, const struct link_ready *ready)
{
    char memory[BYTES_TEXT];
    session->vocab = ready->vocab;
    session->max_model_len = ready->max_model_len;
    session->max_num_seqs = ready->max_num_seqs > 0 ? ready->max_num_seqs : 1;
    session->n_labels = ready->n_labels;
    session->hidden_size = ready->hidden_size;
    session->n_threads = ready->threads * ready->tp * ready->pp;
    session->weight_bytes = ready->weight_bytes;
    session->kv_tokens = ready->kv_tokens;
    snprintf(session->dtype, sizeof session->dtype, "%s", ready->dtype);
    snprintf(session->about, sizeof session->about,
             "%s, tp %d x pp %d, %d thread%s a rank, %s kernels, %s, context %d, %s of memory",
             ready->dtype, ready->tp, ready->pp, ready->threads, ready->threads == 1 ? "" : "s",
             ready->kernels, ready->comm, ready->max_model_len,
             bytes_text(memory, ready->memory_bytes));
}

/* Reads the link until the engine says that it is ready. A job that ends first has told why over
 * the link or on standard error. */
static bool wait_until_ready(struct session *session, struct error *err)
{
    bool ready = false, good = true;
    while (good && !ready) {
        struct link_event event;
        bool got;
        good = link_receive_event(session->link, &event, &got, err);
        if (good && !got) {
            struct pollfd wait = {.fd = link_fd(session->link), .events = POLLIN};
            poll(&wait, 1, INTERRUPT_POLL_MS);
            if (*session->interrupt)
                good = error_set(err, ERROR_LIMIT, "interrupted");
            continue;
        }
        if (!good)
            break;
        if (event.kind == LINK_FAILED) {
            *err = event.failure;
            good = false;
        } else if (event.kind == LINK_READY) {
            take_ready(session, &event.ready);
            ready = true;
        }
    }
    return good;
}

/* What small files alone tell, before a process is started for it. */
static bool check_model(const struct options *options, const char *model_folder, struct error *err)
{
    struct model_config config;
    return model_config_read(&config, model_folder, err) &&
           model_tp_check(&config, (int)options->tensor_parallel_size, err) &&
           model_pp_check(&config, (int)options->pipeline_parallel_size, err);
}

bool session_open(struct session *out, const struct options *options, const char *model_folder,
                  const volatile sig_atomic_t *interrupt, struct error *err)
{
    *out = (struct session){.interrupt = interrupt, .model_folder = model_folder};
    int fd;
    if (!check_model(options, model_folder, err) ||
        !job_start(&out->job, options, model_folder, err) ||
        !intake_open(&out->intake, model_folder, err) || !job_link(&out->job, &fd, interrupt, err))
        return false;
    out->link = link_create(fd);
    out->dispatch = dispatch_create(out->link);
    return wait_until_ready(out, err) || job_explain(&out->job, err);
}

void session_close(struct session *session)
{
    if (session->link != NULL) {
        const struct link_command stop = {.kind = LINK_STOP};
        struct error ignored = {0};
        bool all_sent;
        if (link_send_command(session->link, &stop, &ignored))
            link_flush(session->link, &all_sent, &ignored);
    }
    dispatch_destroy(session->dispatch);
    const bool linked = session->link != NULL;
    if (linked && *session->interrupt) {
        link_destroy(session->link); /* do not wait for a step to end */
        session->link = NULL;
    }
    job_end(&session->job, linked ? END_GRACE_NS : 0);
    link_destroy(session->link);
    intake_close(&session->intake);
}
