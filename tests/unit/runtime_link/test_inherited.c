/* A link over a socket that a program was started with. */
#include "base/error.h"
#include "runtime/link/stream.h"
#include "tests/test.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

TEST(a_socket_is_taken_by_its_number)
{
    int ends[2], fd;
    char name[24];
    struct error err = {0};
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    snprintf(name, sizeof name, "fd:%d", ends[1]);
    CHECK(link_connect(name, &fd, &err));
    CHECK_EQ(fd, ends[1]);
    close(ends[0]);
    close(ends[1]);
}

TEST(a_number_of_no_socket_is_refused)
{
    int file[2], fd;
    char name[24];
    CHECK_EQ(pipe(file), 0);
    snprintf(name, sizeof name, "fd:%d", file[0]); /* open, and no socket */
    const char *const bad[] = {"fd:", "fd:-1", "fd:12x", "fd:99999", "fd:99999999999999999999",
                               name};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = {0};
        CHECK(!link_connect(bad[i], &fd, &err));
        CHECK_EQ((int)err.kind, ERROR_INPUT);
    }
    close(file[0]);
    close(file[1]);
}
