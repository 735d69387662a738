/* The end of a replica whose job goes on: looked at from time to time, and never waited for. */
#include "launcher/job/replica.h"

#include "base/system.h"
#include "tests/test.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A process that goes on for ever, as a job that was lost; its time to end is over. */
static struct replica lost(void)
{
    const pid_t pid = fork();
    CHECK(pid >= 0);
    while (pid == 0)
        pause();
    struct replica replica = {.state = REPLICA_ENDING, .was_ready = true, .restarts.most = 1};
    replica.why = (struct error){.kind = ERROR_PEER, .text = "it went away"};
    replica.job = (struct job){.pid = pid, .listener = -1};
    replica.job.watch = (int)syscall(SYS_pidfd_open, pid, 0);
    return replica;
}

static void step(struct replica *replica)
{
    struct link_ready about;
    bool ready;
    replica_step(replica, NULL, NULL, &ready, &about);
    CHECK(!ready);
}

TEST(a_job_that_does_not_end_in_its_time_is_killed_and_then_looked_at_again)
{
    struct replica replica = lost();
    const pid_t pid = replica.job.pid;
    struct pollfd watched[REPLICA_MAX_WATCHED];
    siginfo_t info;
    step(&replica);
    CHECK_EQ(replica.state, REPLICA_ENDING); /* killed, and nobody has waited for that */
    CHECK(replica.until_ns > clock_now_ns());
    CHECK_EQ(replica_watch(&replica, watched), replica.job.watch >= 0);
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    step(&replica);
    CHECK_EQ(replica.state, REPLICA_DOWN);
    CHECK_EQ(replica.job.pid, 0);
    CHECK_STR(replica.why.text, "the ranks are lost: it went away");
}

TEST(a_job_that_cannot_be_killed_is_left_alone_in_the_end)
{
    struct replica replica = lost();
    const pid_t pid = replica.job.pid;
    replica.was_killed = true; /* so the step believes, and its time is over, too */
    step(&replica);
    CHECK_EQ(replica.state, REPLICA_DOWN);
    CHECK_EQ(replica.job.pid, 0);
    CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0); /* it lives */
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
}
